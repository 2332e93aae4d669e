// A named tensor in a file: element type, shape and bytes, without owning them.
#pragma once

#include "runtime/Bfloat16.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

/// Element types of safetensors, by its names ("BF16").
enum class TensorType {
  Bool,
  U8,
  I8,
  F8E4M3,
  F8E5M2,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64
};

size_t sizeBytes(TensorType type);
std::string_view nameOf(TensorType type);
std::optional<TensorType> tensorTypeNamed(std::string_view name);

/// Row-major, little-endian; may be unaligned.
struct TensorView {
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;

  int64_t numElements() const;
};

/// "[50257, 768]"
std::string shapeText(std::span<const int64_t> shape);

/// Elements of an F32, F16 or BF16 tensor as f32, exactly. values.size() must be
/// view.numElements(). Error for other types.
void readAsF32(const TensorView &view, std::span<float> values);

/// Exact: every value of the narrow type is an f32.
float halfToFloat(uint16_t bits);

} // namespace lmc
