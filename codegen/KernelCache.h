// Compiled kernels on disk, named by the hash of everything that went into them.
#pragma once

#include "codegen/CachedKernel.pb.h"

#include <filesystem>
#include <optional>
#include <string>

namespace lmc {

/// 128 bits of XXH3, as 32 hexadecimal digits.
std::string contentHash(const std::string &text);

class KernelCache {
public:
  /// No folder (no home, or caching switched off): nothing is found and nothing is kept.
  explicit KernelCache(std::optional<std::filesystem::path> folder) : folder(std::move(folder)) {}

  /// An entry that is damaged counts as absent; it is written again.
  std::optional<codegen::CachedKernel> find(const std::string &hash) const;
  /// Failures to write (read-only home, full disk) are not errors: the cache only saves time.
  void keep(const std::string &hash, const codegen::CachedKernel &kernel) const;

private:
  std::filesystem::path file(const std::string &hash) const;
  std::optional<std::filesystem::path> folder;
};

} // namespace lmc
