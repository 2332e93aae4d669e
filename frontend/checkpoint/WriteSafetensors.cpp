#include "frontend/checkpoint/SafetensorsFile.h"
#include "frontend/checkpoint/SafetensorsHeader.h"
#include "frontend/checkpoint/StackedNames.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cassert>

namespace lmc {

static void check(const std::filesystem::path &path, const std::vector<NamedTensor> &sorted) {
  for (size_t i = 0; i < sorted.size(); ++i) {
    const auto &[name, view] = sorted[i];
    if (name == "__metadata__" || (i > 0 && sorted[i - 1].name == name))
      fail("'{}': tensor name '{}' cannot be written twice", path.string(), name);
    if (!formatOf(view.type).inSafetensors)
      fail("'{}': tensor '{}': safetensors has no type {}", path.string(), name, nameOf(view.type));
    assert(view.order == StoredOrder::Rows && "bytes are written as they are");
    uint64_t bytes = sizeBytes(view.type);
    for (int64_t extent : view.shape)
      if (extent < 0 || __builtin_mul_overflow(bytes, uint64_t(extent), &bytes))
        fail("'{}': tensor '{}' has the impossible shape {}", path.string(), name,
             shapeText(view.shape));
    if (bytes != view.bytes.size())
      fail("'{}': tensor '{}' of {} {} needs {} bytes, got {}", path.string(), name,
           nameOf(view.type), shapeText(view.shape), bytes, view.bytes.size());
  }
}

void addStored(std::vector<NamedTensor> &tensors, NamedTensor tensor) {
  std::vector<std::string> names = storedNames(tensor.name, tensor.view.shape);
  std::span<const int64_t> shape = storedShape(tensor.name, tensor.view.shape);
  size_t each = tensor.view.bytes.size() / names.size();
  for (size_t i = 0; i < names.size(); ++i)
    tensors.push_back({names[i],
                       {tensor.view.type,
                        {shape.begin(), shape.end()},
                        tensor.view.bytes.subspan(i * each, each)}});
}

void writeSafetensors(const std::filesystem::path &path, std::vector<NamedTensor> tensors,
                      std::map<std::string, std::string> metadata) {
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor &a, const NamedTensor &b) { return a.name < b.name; });
  check(path, tensors);
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor &a, const NamedTensor &b) {
    size_t sizeA = sizeBytes(a.view.type), sizeB = sizeBytes(b.view.type);
    return sizeA != sizeB ? sizeA > sizeB : a.name < b.name;
  });

  // Others' loaders ask for "format"; the checksum is filled in below.
  metadata.emplace("format", "pt");
  metadata[std::string(checksumKey)] = zeroChecksum;
  nlohmann::ordered_json root;
  // First in its object, so that no value of another key can look like it.
  root["__metadata__"][std::string(checksumKey)] = zeroChecksum;
  for (const auto &[key, value] : metadata)
    root["__metadata__"][key] = value;
  uint64_t offset = 0;
  std::vector<std::span<const std::byte>> data;
  for (const auto &[name, view] : tensors) {
    root[name] = {{"dtype", nameOf(view.type)},
                  {"shape", view.shape},
                  {"data_offsets", {offset, offset + view.bytes.size()}}};
    offset += view.bytes.size();
    data.push_back(view.bytes);
  }
  std::string header;
  try {
    header = root.dump();
  } catch (const nlohmann::json::exception &error) {
    fail("'{}': names and metadata must be UTF-8: {}", path.string(), error.what());
  }
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > maxHeaderBytes)
    fail("'{}': the header would have {} bytes, at most {} can be read", path.string(),
         header.size(), maxHeaderBytes);
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(header)));
  for (std::span<const std::byte> part : data)
    checksum.add(part);
  header.replace(findChecksum(header), zeroChecksum.size(), checksum.digits());

  uint64_t length = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(std::string_view(header));
  for (std::span<const std::byte> part : data)
    file.write(part);
  file.commit();
}

} // namespace lmc
