// bf16 in memory: the upper half of an f32.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lmc {

inline float bfloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

/// To nearest even; NaN stays NaN.
inline uint16_t floatToBfloat16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>(bits >> 16 | 0x40); // rounding could carry over to infinity
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

} // namespace lmc
