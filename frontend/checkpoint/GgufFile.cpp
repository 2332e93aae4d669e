#include "frontend/checkpoint/GgufFile.h"

#include "frontend/checkpoint/GgufHeader.h"
#include "runtime/Error.h"

namespace lmc {

GgufFile GgufFile::open(const std::filesystem::path &path) {
  GgufFile result(path, MappedFile(path));
  std::span<const std::byte> bytes = result.mapped.bytes();
  try {
    GgufHeader header = parseGgufHeader(bytes, path.string());
    result.fileVersion = header.version;
    result.keys = std::move(header.metadata);
    for (GgufHeader::Entry &entry : header.tensors) {
      std::span<const std::byte> data;
      if (entry.sizeInBytes)
        data = bytes.subspan(header.dataBegin + entry.offset, entry.sizeInBytes);
      result.index.emplace(entry.name, result.all.size());
      result.all.push_back({std::move(entry.name), {entry.type, std::move(entry.shape), data}});
    }
  } catch (const Error &error) {
    fail("'{}': {}", path.string(), error.what());
  }
  return result;
}

const TensorView *GgufFile::find(const std::string &name) const {
  auto found = index.find(name);
  return found == index.end() ? nullptr : &all[found->second].view;
}

} // namespace lmc
