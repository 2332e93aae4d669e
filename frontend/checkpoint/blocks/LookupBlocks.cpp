// Blocks of 32 whose elements are one of 16 values, times a scale.
#include "frontend/checkpoint/blocks/Blocks.h"
#include "runtime/BitRuns.h"
#include "runtime/Half.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lmc {
namespace {

constexpr int size = 32;

/// 2^(e - 128), the block's scale over doubled E2M1 values.
float mxfp4Scale(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : uint32_t(e - 1) << 23);
}

/// The first of the nearest to value among scale * table.
uint8_t nearest(const int8_t (&table)[16], float scale, float value) {
  uint8_t best = 0;
  float least = std::fabs(scale * float(table[0]) - value);
  for (uint8_t i = 1; i < 16; ++i)
    if (float error = std::fabs(scale * float(table[i]) - value); error < least) {
      best = i;
      least = error;
    }
  return best;
}

/// Sums over a block for x ~ d * kIQ4Values[q] with q nearest to x * inverseD; elements count by
/// their squares.
struct Fit {
  float products = 0, squares = 0;

  Fit(const float *values, float inverseD) {
    for (int i = 0; i < size; ++i) {
      auto q = float(kIQ4Values[nearest(kIQ4Values, 1, values[i] * inverseD)]);
      float weight = values[i] * values[i];
      products += weight * values[i] * q;
      squares += weight * q * q;
    }
  }
  float scale() const { return squares > 0 ? products / squares : 0; }
  /// How much of the weighted sum of squares the best scale explains.
  float gain() const { return scale() * products; }
};

} // namespace

void decode(const BlockIQ4_NL &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 16>(block.qs, q);
  float d = halfToFloat(block.d);
  for (int i = 0; i < size; ++i)
    values[i] = d * float(kIQ4Values[q[i]]);
}

/// Tries scales around the one that puts the extreme element on the table's first value, and keeps
/// the least-squares scale of the best.
void encode(const float *values, BlockIQ4_NL &block) {
  float extreme = *std::max_element(values, values + size,
                                    [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  float d = 0, best = 0;
  if (std::fabs(extreme) > 1e-15f)
    for (int step = -7; step <= 7; ++step) {
      Fit fit(values, float(kIQ4Values[0] + step) / extreme);
      if (fit.gain() > best) {
        best = fit.gain();
        d = fit.scale();
      }
    }
  block.d = floatToHalf(d);
  uint8_t q[size];
  for (int i = 0; i < size; ++i)
    q[i] = nearest(kIQ4Values, d, values[i]);
  packBits<4, 16>(q, block.qs);
}

void decode(const BlockMXFP4 &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 16>(block.qs, q);
  float d = mxfp4Scale(block.e);
  for (int i = 0; i < size; ++i)
    values[i] = d * float(kMxfp4Values[q[i]]);
}

/// Source: OCP Microscaling Formats 1.0, 6.3: the exponent of the largest element less that of
/// E2M1's largest, 2.
void encode(const float *values, BlockMXFP4 &block) {
  float largest = 0;
  for (int i = 0; i < size; ++i)
    largest = std::max(largest, std::fabs(values[i]));
  block.e =
      largest > 0 ? uint8_t(std::clamp(std::floor(std::log2(largest)) - 2 + 127, 0.0f, 254.0f)) : 0;
  float d = mxfp4Scale(block.e);
  uint8_t q[size];
  for (int i = 0; i < size; ++i)
    q[i] = nearest(kMxfp4Values, d, values[i]);
  packBits<4, 16>(q, block.qs);
}

} // namespace lmc
