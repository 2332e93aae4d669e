// Compiled kernels and programs on disk, named by the hash of everything that went into them.
#pragma once

#include <google/protobuf/message_lite.h>

#include <filesystem>
#include <optional>
#include <string>

namespace lmc {

/// 128 bits of XXH3, as 32 hexadecimal digits.
std::string contentHash(const std::string &text);

class CodeCache {
public:
  /// No folder (no home, or caching switched off): nothing is found and nothing is kept.
  explicit CodeCache(std::optional<std::filesystem::path> folder) : folder(std::move(folder)) {}

  /// Entries of one kind ("kernels", "programs") lie in one folder. False where there is none; an
  /// entry that is damaged counts as absent and is written again.
  bool find(const std::string &kind, const std::string &hash,
            google::protobuf::MessageLite &entry) const;
  /// Failures to write (read-only home, full disk) are not errors: the cache only saves time.
  void keep(const std::string &kind, const std::string &hash,
            const google::protobuf::MessageLite &entry) const;

private:
  std::filesystem::path file(const std::string &kind, const std::string &hash) const;
  std::optional<std::filesystem::path> folder;
};

} // namespace lmc
