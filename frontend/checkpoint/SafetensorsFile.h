// Reads and writes safetensors files. Nothing in a file is trusted.
#pragma once

#include "frontend/checkpoint/MappedFile.h"
#include "frontend/checkpoint/TensorView.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lmc {

class SafetensorsFile {
public:
  /// Maps the file and checks its header, and where lmc wrote it also its checksum. Errors name the
  /// file and the tensor.
  static SafetensorsFile open(const std::filesystem::path &path);

  /// Sorted.
  std::vector<std::string> names() const;
  /// Null if there is none. Valid as long as this object.
  const TensorView *find(const std::string &name) const;
  const std::map<std::string, std::string> &metadata() const { return extra; }
  const std::filesystem::path &path() const { return file; }

private:
  SafetensorsFile(std::filesystem::path path, MappedFile mapped)
      : file(std::move(path)), mapped(std::move(mapped)) {}
  void readHeader();
  void verifyChecksum(std::string_view header, std::span<const std::byte> data) const;

  std::filesystem::path file;
  MappedFile mapped;
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> extra;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};

/// Adds a tensor as the pieces that files have (StackedNames.h), views into its bytes.
void addStored(std::vector<NamedTensor> &tensors, NamedTensor tensor);

/// Writes atomically; others' readers accept the file. Tensors come by falling element size and
/// then by name, so that each is aligned to its elements; data starts at a multiple of 8. metadata
/// gets "format": "pt" unless it says otherwise, and "lmc.xxh3". Error if names repeat or a view's
/// bytes do not fit its shape, and as AtomicFile.
void writeSafetensors(const std::filesystem::path &path, std::vector<NamedTensor> tensors,
                      std::map<std::string, std::string> metadata = {});

/// Writes model.safetensors into a folder; where that would have more than maxShardBytes of weights,
/// model-00001-of-00002.safetensors and so on with model.safetensors.index.json, which comes last.
/// Tensors stay in the order given, a shard takes them while they fit and at least one. Files of an
/// earlier model with other names are removed, so that no reader finds two.
void writeModelSafetensors(const std::filesystem::path &folder, std::vector<NamedTensor> tensors,
                           uint64_t maxShardBytes);

} // namespace lmc
