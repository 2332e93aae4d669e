// f16 (IEEE 754 binary16) in memory.
#pragma once

#include <bit>
#include <cstdint>

namespace lmc {

/// Exact: every f16 is an f32.
inline float halfToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1F,
           mantissa = bits & 0x3FF;
  if (exponent == 0) { // zero or subnormal: mantissa * 2^-24
    float magnitude = float(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | exponent << 23 | mantissa << 13);
}

/// To nearest even; beyond 65504 to infinity; NaN stays NaN.
inline uint16_t floatToHalf(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  auto sign = uint16_t(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000)
    return sign | 0x7E00 | uint16_t(magnitude >> 13 & 0x3FF);
  if (magnitude >= 0x477FF000) // 65520, half way to the first power of two that does not fit
    return sign | 0x7C00;
  if (magnitude < 0x38800000) { // below 2^-14: a multiple of 2^-24, rounded by the addition
    float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | uint16_t(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f));
  }
  magnitude += 0xFFF + (magnitude >> 13 & 1); // a carry into the exponent is what is wanted
  return sign | uint16_t((magnitude - 0x38000000) >> 13);
}

} // namespace lmc
