// A whole file in the address space, read only.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lmc {

class MappedFile {
public:
  /// Error naming the file and the system's reason; an empty file is an empty span.
  explicit MappedFile(const std::filesystem::path &path);
  ~MappedFile();
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;

  std::span<const std::byte> bytes() const { return mapped; }

  /// Gives the memory of a part of a mapped file's bytes() back until it is read again.
  static void forget(std::span<const std::byte> part);

private:
  std::span<const std::byte> mapped;
};

} // namespace lmc
