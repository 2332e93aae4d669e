#include "frontend/checkpoint/GgufFile.h"

#include "frontend/checkpoint/GgufHeader.h"
#include "runtime/Error.h"

namespace lmc {
namespace {

constexpr const char *partKey = "split.no", *partsKey = "split.count",
                     *tensorsKey = "split.tensors.count";
constexpr int64_t maxParts = 99999; // five digits

/// "-00001-of-00003.gguf", of the first of three.
std::string partSuffix(int64_t part, int64_t parts) {
  return fmt::format("-{:05}-of-{:05}.gguf", part + 1, parts);
}

} // namespace

void GgufFile::add(const std::filesystem::path &part, GgufHeader header) {
  std::span<const std::byte> bytes = mapped.back().bytes();
  for (GgufHeader::Entry &entry : header.tensors) {
    std::span<const std::byte> data;
    if (entry.sizeInBytes)
      data = bytes.subspan(header.dataBegin + entry.offset, entry.sizeInBytes);
    if (!index.emplace(entry.name, all.size()).second)
      fail("'{}': tensor '{}' is in another part too", part.string(), entry.name);
    all.push_back({std::move(entry.name), {entry.type, std::move(entry.shape), data}});
  }
}

GgufHeader GgufFile::map(const std::filesystem::path &part) {
  mapped.emplace_back(part);
  try {
    return parseGgufHeader(mapped.back().bytes(), part.string());
  } catch (const Error &error) {
    fail("'{}': {}", part.string(), error.what());
  }
}

void GgufFile::addParts() {
  int64_t parts = keys.integer(partsKey, 0, maxParts, 1);
  if (parts <= 1)
    return;
  int64_t own = keys.integer(partKey, 0, parts - 1);
  std::string name = file.filename().string(), suffix = partSuffix(own, parts);
  if (!name.ends_with(suffix))
    fail("'{}': is part {} of {}, which must be called ...{}", file.string(), own + 1, parts,
         suffix);
  std::string stem = name.substr(0, name.size() - suffix.size());
  if (own != 0)
    fail("'{}': is part {} of {}; give the first, '{}{}'", file.string(), own + 1, parts, stem,
         partSuffix(0, parts));
  for (int64_t part = 1; part < parts; ++part) {
    std::filesystem::path next = file.parent_path() / (stem + partSuffix(part, parts));
    GgufHeader header = map(next);
    if (header.metadata.integer(partsKey, 0, maxParts) != parts ||
        header.metadata.integer(partKey, 0, maxParts) != part)
      fail("'{}': says that it is part {} of {}, its name and the first part say {} of {}",
           next.string(), header.metadata.integer(partKey, 0, maxParts) + 1,
           header.metadata.integer(partsKey, 0, maxParts), part + 1, parts);
    add(next, std::move(header));
  }
  if (int64_t tensors = keys.integer(tensorsKey, 0, INT32_MAX, int64_t(all.size()));
      tensors != int64_t(all.size()))
    keys.bad(tensorsKey,
             fmt::format("is {}, but the {} parts have {}", tensors, parts, all.size()));
}

GgufFile GgufFile::open(const std::filesystem::path &path) {
  GgufFile result(path);
  GgufHeader header = result.map(path);
  result.fileVersion = header.version;
  result.keys = header.metadata;
  result.add(path, std::move(header));
  result.addParts();
  return result;
}

const TensorView *GgufFile::find(const std::string &name) const {
  auto found = index.find(name);
  return found == index.end() ? nullptr : &all[found->second].view;
}

} // namespace lmc
