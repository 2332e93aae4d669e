// The .lmx file: a message (Executable.proto) and a data section that is memory-mapped when read.
#pragma once

#include "runtime/DataSection.h"
#include "runtime/Executable.pb.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace lmc {

/// Bytes of one element.
uint64_t sizeOf(executable::DType type);
std::string_view nameOf(executable::DType type); ///< "f32"

/// An executable in memory, made by a code generator or read from a file. Immutable once made.
class Executable {
public:
  /// Takes a message and its data section. Does not check it: the producer is ours (save() and
  /// Session do). Every offset in it is a multiple of kArenaAlignment, those of file pages
  /// (runtime/FilePages.h) of their element's size; save() fills in the checksums.
  Executable(executable::Executable message, DataSection data);

  /// Maps and checks a file (bounds, checksums, cross references). Throws Error naming the file and
  /// the field that is wrong. An .lmx holds machine code: run only files from sources you trust.
  static std::shared_ptr<const Executable> load(const std::filesystem::path &file);

  /// Writes to a temporary name beside `file`, syncs, renames. Throws Error; an older file stays.
  void save(const std::filesystem::path &file) const;

  const executable::Executable &message() const { return proto; }
  std::span<const std::byte> data() const;
  std::span<const std::byte> code() const;

  /// Index of a tensor or program by name, or -1.
  int findTensor(std::string_view name) const;
  int findProgram(std::string_view name) const;

private:
  executable::Executable proto;
  struct Mapping;
  std::shared_ptr<const Mapping>
      mapping; // of the file, or of a copy of the data; null if there is none
};

} // namespace lmc
