#include "frontend/checkpoint/SafetensorsHeader.h"

#include "frontend/json/StrictJson.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <new>

namespace lmc {

using Json = nlohmann::json;

/// A value for an error message, which must stay readable.
static std::string brief(const Json &value) { return value.dump().substr(0, 80); }

static uint64_t unsignedNumber(const Json &value, const std::string &tensor, const char *what) {
  if (!value.is_number_unsigned())
    fail("tensor '{}': {} must be integers >= 0, got {}", tensor, what, brief(value));
  return value.get<uint64_t>();
}

static SafetensorsHeader::Entry parseEntry(const std::string &name, const Json &node) {
  if (!node.is_object() || node.size() != 3 || !node.contains("dtype") || !node.contains("shape") ||
      !node.contains("data_offsets"))
    fail("tensor '{}' must have exactly dtype, shape and data_offsets", name);
  const Json &dtype = node["dtype"], &shape = node["shape"], &offsets = node["data_offsets"];
  SafetensorsHeader::Entry entry{};

  std::optional<TensorType> type;
  if (dtype.is_string())
    type = tensorTypeNamed(dtype.get_ref<const std::string &>());
  if (!type)
    fail("tensor '{}' has the unknown dtype {}", name, brief(dtype));
  entry.type = *type;

  if (!shape.is_array() || shape.size() > 64)
    fail("tensor '{}': shape must be an array of at most 64 dimensions", name);
  uint64_t bytes = sizeBytes(entry.type);
  for (const Json &dimension : shape) {
    uint64_t extent = unsignedNumber(dimension, name, "dimensions");
    if (extent > uint64_t(INT64_MAX) || __builtin_mul_overflow(bytes, extent, &bytes) ||
        bytes > uint64_t(INT64_MAX))
      fail("tensor '{}': shape {} has too many elements", name, brief(shape));
    entry.shape.push_back(int64_t(extent));
  }

  if (!offsets.is_array() || offsets.size() != 2)
    fail("tensor '{}': data_offsets must be [begin, end]", name);
  entry.begin = unsignedNumber(offsets[0], name, "data_offsets");
  entry.end = unsignedNumber(offsets[1], name, "data_offsets");
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    fail("tensor '{}' of {} {} needs {} bytes, data_offsets [{}, {}] do not give that many", name,
         nameOf(entry.type), brief(shape), bytes, entry.begin, entry.end);
  return entry;
}

/// The entries in the order of their data must meet end to begin.
static void checkCoverage(const SafetensorsHeader &header, uint64_t dataBytes) {
  using Named = std::pair<const std::string, SafetensorsHeader::Entry>;
  std::vector<const Named *> order;
  for (const Named &tensor : header.tensors)
    order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const Named *a, const Named *b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t position = 0;
  for (const Named *tensor : order) {
    if (tensor->second.begin != position)
      fail("tensor '{}' begins at byte {} of the data, the one before it ends at {}", tensor->first,
           tensor->second.begin, position);
    position = tensor->second.end;
  }
  if (position != dataBytes)
    fail("the tensors take {} bytes, the file has {} bytes of data{}", position, dataBytes,
         position > dataBytes ? " (is it truncated?)" : "");
}

SafetensorsHeader parseSafetensorsHeader(std::string_view json, uint64_t dataBytes) {
  if (!json.starts_with('{'))
    fail("header must start with '{{' (is this a safetensors file?)");
  Json root;
  try {
    root = parseStrictJson(json, 8);
  } catch (const Json::exception &error) {
    fail("header is not valid JSON: {}", error.what());
  }
  SafetensorsHeader header;
  for (const auto &[name, node] : root.items()) {
    if (name != "__metadata__") {
      header.tensors.emplace(name, parseEntry(name, node));
      continue;
    }
    if (!node.is_object())
      fail("'__metadata__' must be an object of strings");
    for (const auto &[key, value] : node.items()) {
      if (!value.is_string())
        fail("'__metadata__': '{}' must be a string", key);
      header.metadata.emplace(key, value.get<std::string>());
    }
  }
  checkCoverage(header, dataBytes);
  return header;
}

size_t findChecksum(std::string_view json) {
  std::string before = fmt::format("\"{}\":\"", checksumKey);
  size_t found = json.find(before);
  if (found == std::string_view::npos)
    return found;
  found += before.size();
  return json.size() - found >= zeroChecksum.size() ? found : std::string_view::npos;
}

static XXH3_state_t *xxh3(const auto &state) { return static_cast<XXH3_state_t *>(state.get()); }

void Checksum::Free::operator()(void *state) const {
  XXH3_freeState(static_cast<XXH3_state_t *>(state));
}

Checksum::Checksum() : state(XXH3_createState()) {
  if (!state)
    throw std::bad_alloc();
  XXH3_64bits_reset(xxh3(state));
}

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(xxh3(state), bytes.data(), bytes.size());
}

std::string Checksum::digits() const {
  return fmt::format("{:016x}", XXH3_64bits_digest(xxh3(state)));
}

} // namespace lmc
