// The JSON at the start of a safetensors file. Private to this folder.
//   Source: safetensors' format description (u64 length, JSON, data without holes).
#pragma once

#include "frontend/checkpoint/TensorView.h"

#include <map>
#include <memory>

namespace lmc {

struct SafetensorsHeader {
  struct Entry {
    TensorType type;
    std::vector<int64_t> shape;
    uint64_t begin, end; // in the data section
  };
  std::map<std::string, Entry> tensors;
  std::map<std::string, std::string> metadata;
};

/// Longest header that is read; the reference implementation's limit.
inline constexpr uint64_t maxHeaderBytes = 100'000'000;

/// Checks everything: JSON of bounded nesting without duplicate names, known types, shapes whose
/// product fits, offsets that agree with them and cover [0, dataBytes) without gap or overlap.
/// Error without the file's name.
SafetensorsHeader parseSafetensorsHeader(std::string_view json, uint64_t dataBytes);

/// Where our files keep XXH3-64 of header and data, as 16 hexadecimal digits; while it is computed
/// the digits stand as zeros, so that it covers names, shapes and metadata as well.
inline constexpr std::string_view checksumKey = "lmc.xxh3";
inline constexpr std::string_view zeroChecksum = "0000000000000000";

/// Position of the digits in the header's text; npos if it has no such entry as we write it.
size_t findChecksum(std::string_view json);

/// Takes the header with its digits as zeros, then the data.
class Checksum {
public:
  Checksum();
  void add(std::span<const std::byte> bytes);
  std::string digits() const;

private:
  struct Free {
    void operator()(void *state) const;
  };
  std::unique_ptr<void, Free> state;
};

} // namespace lmc
