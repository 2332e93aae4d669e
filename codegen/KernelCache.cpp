#include "codegen/KernelCache.h"

#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <fstream>
#include <xxhash.h>

namespace lmc {

std::string contentHash(const std::string &text) {
  XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::filesystem::path KernelCache::file(const std::string &hash) const {
  return *folder / "kernels" / hash.substr(0, 2) / (hash + ".kernel");
}

std::optional<codegen::CachedKernel> KernelCache::find(const std::string &hash) const {
  if (!folder)
    return std::nullopt;
  std::ifstream stream(file(hash), std::ios::binary);
  codegen::CachedKernel kernel;
  if (!stream || !kernel.ParseFromIstream(&stream) || kernel.object().empty() ||
      kernel.checksum() != XXH3_64bits(kernel.object().data(), kernel.object().size()))
    return std::nullopt;
  return kernel;
}

void KernelCache::keep(const std::string &hash, const codegen::CachedKernel &kernel) const {
  if (!folder)
    return;
  std::error_code error;
  std::filesystem::create_directories(file(hash).parent_path(), error);
  if (error)
    return;
  try {
    AtomicFile out(file(hash));
    out.write(kernel.SerializeAsString());
    out.commit();
  } catch (const Error &) {
  }
}

} // namespace lmc
