#include "frontend/checkpoint/GgufFile.h"
#include "frontend/checkpoint/GgufHeader.h"
#include "runtime/Error.h"

#include <set>

namespace lmc {
namespace {

constexpr uint32_t version = 3;

/// Bytes of the header, appended piece by piece.
class Output {
public:
  template <typename T> void scalar(T value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
  }
  void text(std::string_view text) {
    scalar(uint64_t(text.size()));
    bytes.append(text);
  }
  template <typename T> void value(const T &value) {
    if constexpr (std::is_same_v<T, std::string>)
      text(value);
    else if constexpr (std::is_same_v<T, bool>)
      scalar(uint8_t(value));
    else if constexpr (std::is_same_v<T, GgufArray>)
      array(value);
    else
      scalar(value);
  }
  void pad() { bytes.append((kGgufAlignment - bytes.size() % kGgufAlignment) % kGgufAlignment, 0); }

  std::string bytes;

private:
  void array(const GgufArray &array) {
    scalar(uint32_t(array.elements.index()));
    scalar(uint64_t(array.size()));
    std::visit(
        [&](const auto &values) {
          for (size_t i = 0; i < values.size(); ++i) {
            typename std::decay_t<decltype(values)>::value_type element = values[i];
            value(element);
          }
        },
        array.elements);
  }
};

uint64_t padded(uint64_t bytes) {
  return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

std::string headerBytes(const GgufMetadata &metadata, const std::vector<GgufTensorInfo> &tensors) {
  Output out;
  out.scalar(kGgufMagic);
  out.scalar(version);
  out.scalar(uint64_t(tensors.size()));
  out.scalar(uint64_t(metadata.entries().size()));
  for (const auto &[key, value] : metadata.entries()) {
    out.text(key);
    out.scalar(uint32_t(value.index()));
    std::visit([&](const auto &content) { out.value(content); }, value);
  }
  std::set<std::string> names;
  uint64_t offset = 0;
  for (const GgufTensorInfo &tensor : tensors) {
    if (tensor.name.size() > kGgufMaxName || tensor.shape.size() > kGgufMaxDims)
      fail(
          "tensor '{}' {} cannot be in a GGUF file: names have at most {} bytes, shapes at most {} "
          "dimensions",
          tensor.name, shapeText(tensor.shape), kGgufMaxName, kGgufMaxDims);
    if (!names.insert(tensor.name).second)
      fail("tensor '{}' cannot be written twice", tensor.name);
    int32_t id = formatOf(tensor.type).ggufId;
    if (id < 0)
      fail("tensor '{}': GGUF has no type {}", tensor.name, nameOf(tensor.type));
    out.text(tensor.name);
    out.scalar(uint32_t(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
      out.scalar(uint64_t(*extent));
    out.scalar(uint32_t(id));
    out.scalar(offset);
    offset += padded(ggufTensorBytes(tensor.name, tensor.type, tensor.shape));
  }
  out.pad();
  return std::move(out.bytes);
}

} // namespace

GgufWriter::GgufWriter(const std::filesystem::path &path, GgufMetadata metadata,
                       std::vector<GgufTensorInfo> infos)
    : path(path), tensors(std::move(infos)), file(path) {
  if (metadata.find("general.alignment"))
    metadata.set("general.alignment", uint32_t(kGgufAlignment));
  std::string header;
  try {
    header = headerBytes(metadata, tensors);
  } catch (const Error &error) {
    fail("'{}': {}", path.string(), error.what());
  }
  file.write(header);
}

void GgufWriter::write(std::span<const std::byte> blocks) {
  if (next == tensors.size())
    fail("'{}': the header has {} tensors, more were written", path.string(), next);
  const GgufTensorInfo &tensor = tensors[next++];
  uint64_t expected = ggufTensorBytes(tensor.name, tensor.type, tensor.shape);
  if (blocks.size() != expected)
    fail("'{}': tensor '{}' of {} {} needs {} bytes, got {}", path.string(), tensor.name,
         nameOf(tensor.type), shapeText(tensor.shape), expected, blocks.size());
  file.write(blocks);
  file.write(std::string(padded(expected) - expected, '\0'));
}

void GgufWriter::commit() {
  if (next != tensors.size())
    fail("'{}': tensor '{}' was not written", path.string(), tensors[next].name);
  file.commit();
}

} // namespace lmc
