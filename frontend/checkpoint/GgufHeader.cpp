#include "frontend/checkpoint/GgufHeader.h"

#include "frontend/checkpoint/TensorView.h"
#include "runtime/Error.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace lmc {
namespace {

constexpr int maxArrayDepth = 4;

/// A name for an error message: any bytes may stand in a file.
std::string printable(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 80))
    result += c >= ' ' && c < 127 ? c : '?';
  return result;
}

/// Reads from the front of the file; every read is checked against what is left.
class Cursor {
public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes(bytes) {}

  size_t position() const { return at; }
  size_t left() const { return bytes.size() - at; }

  template <typename T> T read(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    at += sizeof(T);
    return value;
  }

  std::string_view text(std::string_view what, uint64_t most) {
    auto length = read<uint64_t>(what);
    if (length > most)
      fail("{} would be {} bytes long, at most {} are read", what, length, most);
    need(length, what);
    std::string_view result(reinterpret_cast<const char *>(bytes.data()) + at, length);
    at += length;
    return result;
  }

private:
  void need(uint64_t count, std::string_view what) const {
    if (count > left())
      fail("ends within {} at byte {} (is it truncated?)", what, at);
  }

  std::span<const std::byte> bytes;
  size_t at = 0;
};

template <typename T> T readScalar(Cursor &cursor, std::string_view what) {
  if constexpr (std::is_same_v<T, bool>) {
    auto byte = cursor.read<uint8_t>(what);
    if (byte > 1)
      fail("{} is a bool of value {}, which must be 0 or 1", what, byte);
    return byte == 1;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return std::string(cursor.text(what, cursor.left()));
  } else {
    return cursor.read<T>(what);
  }
}

GgufArray readArray(Cursor &cursor, std::string_view what, int depth);

/// Bytes that an element takes at least: no count can make us reserve more than the file holds.
template <typename T> constexpr uint64_t leastBytes = sizeof(T);
template <> constexpr uint64_t leastBytes<std::string> = 8;
template <> constexpr uint64_t leastBytes<GgufArray> = 12;

template <typename T>
std::vector<T> readElements(Cursor &cursor, std::string_view what, uint64_t count, int depth) {
  if (count > cursor.left() / leastBytes<T>)
    fail("{} would have {} elements, the file has {} more bytes", what, count, cursor.left());
  std::vector<T> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i)
    if constexpr (std::is_same_v<T, GgufArray>)
      values.push_back(readArray(cursor, what, depth + 1));
    else
      values.push_back(readScalar<T>(cursor, what));
  return values;
}

/// Reads with the alternative of a variant that has number `type`; both variants are in the file's
/// order of types.
template <typename Variant, size_t Index = 0, typename Read>
Variant readAlternative(uint32_t type, std::string_view what, Read read) {
  if constexpr (Index == std::variant_size_v<Variant>) {
    fail("{} has the unknown type {}", what, type);
  } else {
    if (type == Index)
      return Variant(std::in_place_index<Index>,
                     read.template operator()<std::variant_alternative_t<Index, Variant>>());
    return readAlternative<Variant, Index + 1>(type, what, read);
  }
}

GgufArray readArray(Cursor &cursor, std::string_view what, int depth) {
  if (depth > maxArrayDepth)
    fail("{} has arrays nested deeper than {}", what, maxArrayDepth);
  auto type = cursor.read<uint32_t>(what);
  auto count = cursor.read<uint64_t>(what);
  return {readAlternative<decltype(GgufArray::elements)>(type, what, [&]<typename Vector>() {
    return readElements<typename Vector::value_type>(cursor, what, count, depth);
  })};
}

GgufValue readValue(Cursor &cursor, std::string_view what) {
  auto type = cursor.read<uint32_t>(what);
  return readAlternative<GgufValue>(type, what, [&]<typename T>() {
    if constexpr (std::is_same_v<T, GgufArray>)
      return readArray(cursor, what, 1);
    else
      return readScalar<T>(cursor, what);
  });
}

void readMetadata(Cursor &cursor, uint64_t count, GgufMetadata &metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    std::string key(cursor.text(fmt::format("the name of metadata key {}", i), 65535));
    if (key.empty())
      fail("metadata key {} has no name", i);
    if (metadata.find(key))
      fail("metadata key '{}' is given twice", printable(key));
    GgufValue value = readValue(cursor, fmt::format("metadata key '{}'", printable(key)));
    metadata.set(std::move(key), std::move(value));
  }
}

GgufHeader::Entry readEntry(Cursor &cursor, uint64_t number, uint64_t alignment) {
  GgufHeader::Entry entry{};
  entry.name = cursor.text(fmt::format("the name of tensor {}", number), kGgufMaxName);
  std::string what = fmt::format("tensor '{}'", printable(entry.name));
  auto dims = cursor.read<uint32_t>(what);
  if (dims > kGgufMaxDims)
    fail("{} has {} dimensions, at most {} are possible", what, dims, kGgufMaxDims);
  for (uint32_t i = 0; i < dims; ++i) {
    auto extent = cursor.read<uint64_t>(what);
    if (extent > uint64_t(INT64_MAX))
      fail("{} has the impossible extent {}", what, extent);
    entry.shape.insert(entry.shape.begin(), int64_t(extent));
  }
  auto id = cursor.read<uint32_t>(what);
  const TensorFormat *format = formatOfGgufId(id);
  if (!format)
    fail("{} has the unknown type {}", what, id);
  entry.type = format->type;
  entry.sizeInBytes = ggufTensorBytes(printable(entry.name), entry.type, entry.shape);
  entry.offset = cursor.read<uint64_t>(what);
  if (entry.offset % alignment)
    fail("{} begins at byte {} of the data, which is no multiple of {}", what, entry.offset,
         alignment);
  return entry;
}

/// Each tensor lies within the data and shares no byte with another.
void checkPlaces(const std::vector<GgufHeader::Entry> &tensors, uint64_t dataBytes) {
  std::vector<const GgufHeader::Entry *> order;
  for (const GgufHeader::Entry &tensor : tensors) {
    if (tensor.offset > dataBytes || tensor.sizeInBytes > dataBytes - tensor.offset)
      fail("tensor '{}' needs {} bytes at byte {} of the data, which has {} (is it truncated?)",
           printable(tensor.name), tensor.sizeInBytes, tensor.offset, dataBytes);
    order.push_back(&tensor);
  }
  std::ranges::sort(order, {}, [](const auto *t) { return std::pair(t->offset, t->sizeInBytes); });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i]->offset < order[i - 1]->offset + order[i - 1]->sizeInBytes)
      fail("tensors '{}' and '{}' overlap", printable(order[i - 1]->name),
           printable(order[i]->name));
}

} // namespace

uint64_t ggufTensorBytes(std::string_view name, TensorType type, std::span<const int64_t> shape) {
  const TensorFormat &format = formatOf(type);
  int64_t row = shape.empty() ? 1 : shape.back();
  if (row % format.blockElements)
    fail("tensor '{}' is {}, but rows of {} are multiples of {} elements", name, shapeText(shape),
         format.name, format.blockElements);
  auto bytes = uint64_t(row / format.blockElements);
  bool tooLarge = __builtin_mul_overflow(bytes, uint64_t(format.blockBytes), &bytes);
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    tooLarge |= __builtin_mul_overflow(bytes, uint64_t(shape[i]), &bytes);
  int64_t elements = 1;
  for (int64_t extent : shape)
    tooLarge |= __builtin_mul_overflow(elements, extent, &elements);
  if (tooLarge || bytes > uint64_t(INT64_MAX))
    fail("tensor '{}' of shape {} has too many elements", name, shapeText(shape));
  return bytes;
}

GgufHeader parseGgufHeader(std::span<const std::byte> file, const std::string &source) {
  Cursor cursor(file);
  if (auto magic = cursor.read<uint32_t>("the magic number"); magic != kGgufMagic)
    fail("is no GGUF file: it does not begin with 'GGUF'");
  auto version = cursor.read<uint32_t>("the version");
  if (version != 0 && (version & 0xFFFF) == 0)
    fail("is a big-endian GGUF file; only little-endian ones are read (convert it with "
         "gguf_convert_endian)");
  if (version != 2 && version != 3)
    fail("has GGUF version {}, versions 2 and 3 are read{}", version,
         version == 1 ? " (convert the model anew)" : "");
  GgufHeader header{version, kGgufAlignment, 0, GgufMetadata(source), {}};
  auto numTensors = cursor.read<uint64_t>("the number of tensors");
  auto numKeys = cursor.read<uint64_t>("the number of metadata keys");
  if (numKeys > cursor.left() / 13 || numTensors > cursor.left() / 24) // their least sizes
    fail("would have {} metadata keys and {} tensors, which its {} bytes cannot hold", numKeys,
         numTensors, file.size());

  readMetadata(cursor, numKeys, header.metadata);
  if (const GgufValue *value = header.metadata.find("general.alignment")) {
    const auto *alignment = std::get_if<uint32_t>(value);
    if (!alignment || *alignment == 0 || (*alignment & (*alignment - 1)))
      fail("metadata key 'general.alignment' is {} ({}), expected a power of two (u32)",
           valueText(*value, 3), typeText(*value));
    header.alignment = *alignment;
  }
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < numTensors; ++i) {
    header.tensors.push_back(readEntry(cursor, i, header.alignment));
    if (!names.insert(header.tensors.back().name).second)
      fail("tensor '{}' is in the header twice", printable(header.tensors.back().name));
  }
  uint64_t end = cursor.position();
  header.dataBegin = (end + header.alignment - 1) / header.alignment * header.alignment;
  // A file without tensors need not be padded.
  checkPlaces(header.tensors, file.size() - std::min<uint64_t>(header.dataBegin, file.size()));
  return header;
}

} // namespace lmc
