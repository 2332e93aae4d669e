#include "frontend/checkpoint/TensorView.h"
#include "runtime/Error.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace lmc {

static_assert(std::endian::native == std::endian::little, "files are read as they are");

float halfToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1F,
           mantissa = bits & 0x3FF;
  if (exponent == 0) { // zero or subnormal: mantissa * 2^-24
    float magnitude = float(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | exponent << 23 | mantissa << 13);
}

void readAsF32(const TensorView &view, std::span<float> values) {
  assert(int64_t(values.size()) == view.numElements());
  auto convert = [&](float (*toFloat)(uint16_t)) {
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits;
      std::memcpy(&bits, view.bytes.data() + 2 * i, 2);
      values[i] = toFloat(bits);
    }
  };
  if (view.type == TensorType::F32) {
    if (!values.empty())
      std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  } else if (view.type == TensorType::F16) {
    convert(halfToFloat);
  } else if (view.type == TensorType::BF16) {
    convert(bfloat16ToFloat);
  } else {
    fail("a tensor of type {} cannot be read as F32 (F32, F16 and BF16 can)", nameOf(view.type));
  }
}

} // namespace lmc
