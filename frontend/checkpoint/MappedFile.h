// A whole file in the address space, shared and read only.
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

private:
  std::span<const std::byte> mapped;
};

} // namespace lmc
