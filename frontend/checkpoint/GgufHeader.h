// Everything in a GGUF file that stands before the tensors' data. Private to this folder.
//   Source: ggml-org/ggml, docs/gguf.md; versions 2 and 3, which differ in nothing here.
#pragma once

#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/checkpoint/TensorType.h"

namespace lmc {

struct GgufHeader {
  struct Entry {
    std::string name;
    TensorType type;
    std::vector<int64_t> shape;   // row-major: the file's dimensions reversed
    uint64_t offset, sizeInBytes; // offset in the data
  };
  uint32_t version;
  uint64_t alignment, dataBegin; // dataBegin in the file
  GgufMetadata metadata;
  std::vector<Entry> tensors; // in the order of the file
};

inline constexpr uint32_t kGgufMagic = 0x46554747; // "GGUF"
inline constexpr uint64_t kGgufAlignment = 32;     // where general.alignment does not say otherwise
inline constexpr size_t kGgufMaxName = 64, kGgufMaxDims = 4;

/// Checks everything against the file's size: counts, lengths, types, nesting, alignment, shapes
/// whose product fits and whose rows are whole blocks, data inside the file and nowhere shared.
/// Error without the file's name. `source` is how errors of the metadata call the file.
GgufHeader parseGgufHeader(std::span<const std::byte> file, const std::string &source);

/// Bytes of a tensor. Error naming it where the rows are not whole blocks or it is too large.
uint64_t ggufTensorBytes(std::string_view name, TensorType type, std::span<const int64_t> shape);

} // namespace lmc
