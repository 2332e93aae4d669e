#include "codegen/CodeCache.h"

#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <climits>
#include <cstring>
#include <fstream>
#include <xxhash.h>

namespace lmc {

std::string contentHash(const std::string &text) {
  XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::filesystem::path CodeCache::file(const std::string &kind, const std::string &hash) const {
  return *folder / kind / hash.substr(0, 2) / hash;
}

// A file is XXH3-64 of the message, then the message.
bool CodeCache::find(const std::string &kind, const std::string &hash,
                     google::protobuf::MessageLite &entry) const {
  if (!folder)
    return false;
  std::ifstream stream(file(kind, hash), std::ios::binary | std::ios::ate);
  auto size = static_cast<int64_t>(stream.tellg());
  uint64_t checksum;
  if (!stream || size < static_cast<int64_t>(sizeof checksum) || size > INT_MAX)
    return false;
  std::string bytes(static_cast<size_t>(size), '\0');
  stream.seekg(0);
  if (!stream.read(bytes.data(), size))
    return false;
  std::memcpy(&checksum, bytes.data(), sizeof checksum);
  const char *message = bytes.data() + sizeof checksum;
  size_t length = bytes.size() - sizeof checksum;
  return checksum == XXH3_64bits(message, length) &&
         entry.ParseFromArray(message, static_cast<int>(length));
}

void CodeCache::keep(const std::string &kind, const std::string &hash,
                     const google::protobuf::MessageLite &entry) const {
  if (!folder)
    return;
  std::error_code error;
  std::filesystem::create_directories(file(kind, hash).parent_path(), error);
  if (error)
    return;
  try {
    std::string message = entry.SerializeAsString();
    uint64_t checksum = XXH3_64bits(message.data(), message.size());
    AtomicFile out(file(kind, hash));
    out.write(std::as_bytes(std::span(&checksum, 1)));
    out.write(message);
    out.commit();
  } catch (const Error &) {
  }
}

} // namespace lmc
