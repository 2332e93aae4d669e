// Reads and writes GGUF files. Nothing in a file is trusted.
#pragma once

#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/checkpoint/MappedFile.h"
#include "frontend/checkpoint/TensorView.h"
#include "runtime/AtomicFile.h"

#include <map>

namespace lmc {

struct GgufHeader;

/// One file, or one in parts ("model-00001-of-00003.gguf"): metadata is the first one's, tensors are
/// those of all.
class GgufFile {
public:
  struct Tensor {
    std::string name;
    TensorView view; ///< shape row-major: [out, in] where GGUF has dimensions in, out
  };

  /// Maps the file and checks its header; of a file in parts, which path must be the first of, all
  /// of them. Errors name the file and the tensor or key.
  static GgufFile open(const std::filesystem::path &path);

  uint32_t version() const { return fileVersion; }
  const GgufMetadata &metadata() const { return keys; }
  /// In the order of the file; views are valid as long as this object.
  const std::vector<Tensor> &tensors() const { return all; }
  /// Null if there is none.
  const TensorView *find(const std::string &name) const;
  const std::filesystem::path &path() const { return file; }

private:
  explicit GgufFile(std::filesystem::path path) : file(std::move(path)), keys(file.string()) {}

  GgufHeader map(const std::filesystem::path &part);
  /// The tensors of the part that was mapped last.
  void add(const std::filesystem::path &part, GgufHeader header);
  void addParts();

  std::filesystem::path file;
  std::vector<MappedFile> mapped;
  uint32_t fileVersion = 0;
  GgufMetadata keys;
  std::vector<Tensor> all;
  std::map<std::string, size_t> index;
};

struct GgufTensorInfo {
  std::string name;
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape; ///< row-major
};

/// Writes version 3 atomically, one tensor after the other, so that only one need be in memory.
/// Errors name the file and the tensor or key.
class GgufWriter {
public:
  /// Writes the header. general.alignment is set to 32 where the metadata has another.
  GgufWriter(const std::filesystem::path &path, GgufMetadata metadata,
             std::vector<GgufTensorInfo> tensors);
  /// The blocks of the next tensor.
  void write(std::span<const std::byte> blocks);
  /// After the last tensor.
  void commit();

private:
  std::filesystem::path path;
  std::vector<GgufTensorInfo> tensors;
  size_t next = 0;
  AtomicFile file;
};

} // namespace lmc
