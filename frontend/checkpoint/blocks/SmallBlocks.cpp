// Blocks of 32 whose elements are rounded to a uniform grid: one scale, for _1 also a minimum.
#include "frontend/checkpoint/blocks/Blocks.h"
#include "runtime/BitRuns.h"
#include "runtime/Half.h"

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

constexpr int size = 32;

/// The element of largest magnitude, the first of equals, with its sign.
float extreme(const float *values) {
  return *std::max_element(values, values + size,
                           [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

float inverse(float d) { return d == 0 ? 0 : 1 / d; }

/// Rounds to the nearest of [0, levels); value is half an element above it. A scale so small that
/// its inverse is infinite gives NaN, which goes to 0.
uint8_t level(float value, int levels) {
  return value > 0 ? uint8_t(std::min(value, float(levels - 1))) : 0;
}

/// x = d * (q - levels / 2): the extreme element gets q = 0, exactly.
half encodeSymmetric(const float *values, int levels, uint8_t *q) {
  float d = extreme(values) / float(-levels / 2), inverseD = inverse(d);
  for (int i = 0; i < size; ++i)
    q[i] = level(values[i] * inverseD + (float(levels / 2) + 0.5f), levels);
  return floatToHalf(d);
}

/// x = d * q + m from the least to the largest element.
void encodeAffine(const float *values, int levels, uint8_t *q, half &d, half &m) {
  auto [least, largest] = std::minmax_element(values, values + size);
  float step = (*largest - *least) / float(levels - 1), inverseStep = inverse(step);
  for (int i = 0; i < size; ++i)
    q[i] = level((values[i] - *least) * inverseStep + 0.5f, levels);
  d = floatToHalf(step);
  m = floatToHalf(*least);
}

void decodeSymmetric(half d, const uint8_t *q, int zero, float *values) {
  float scale = halfToFloat(d);
  for (int i = 0; i < size; ++i)
    values[i] = scale * float(q[i] - zero);
}

void decodeAffine(half d, half m, const uint8_t *q, float *values) {
  float scale = halfToFloat(d), minimum = halfToFloat(m);
  for (int i = 0; i < size; ++i)
    values[i] = scale * float(q[i]) + minimum;
}

template <typename Block> void unpack5(const Block &block, uint8_t *q) {
  unpackBits<4, 16>(block.qs, q);
  unpackBits<1, 1>(block.qh, q, 4);
}
template <typename Block> void pack5(const uint8_t *q, Block &block) {
  packBits<4, 16>(q, block.qs);
  packBits<1, 1>(q, block.qh, 4);
}

} // namespace

void decode(const BlockQ4_0 &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 16>(block.qs, q);
  decodeSymmetric(block.d, q, 8, values);
}

void encode(const float *values, BlockQ4_0 &block) {
  uint8_t q[size];
  block.d = encodeSymmetric(values, 16, q);
  packBits<4, 16>(q, block.qs);
}

void decode(const BlockQ4_1 &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 16>(block.qs, q);
  decodeAffine(block.d, block.m, q, values);
}

void encode(const float *values, BlockQ4_1 &block) {
  uint8_t q[size];
  encodeAffine(values, 16, q, block.d, block.m);
  packBits<4, 16>(q, block.qs);
}

void decode(const BlockQ5_0 &block, float *values) {
  uint8_t q[size];
  unpack5(block, q);
  decodeSymmetric(block.d, q, 16, values);
}

void encode(const float *values, BlockQ5_0 &block) {
  uint8_t q[size];
  block.d = encodeSymmetric(values, 32, q);
  pack5(q, block);
}

void decode(const BlockQ5_1 &block, float *values) {
  uint8_t q[size];
  unpack5(block, q);
  decodeAffine(block.d, block.m, q, values);
}

void encode(const float *values, BlockQ5_1 &block) {
  uint8_t q[size];
  encodeAffine(values, 32, q, block.d, block.m);
  pack5(q, block);
}

void decode(const BlockQ8_0 &block, float *values) {
  float d = halfToFloat(block.d);
  for (int i = 0; i < size; ++i)
    values[i] = d * float(block.qs[i]);
}

void encode(const float *values, BlockQ8_0 &block) {
  float d = std::fabs(extreme(values)) / 127, inverseD = inverse(d);
  for (int i = 0; i < size; ++i) { // halves away from zero
    float q = std::round(values[i] * inverseD);
    block.qs[i] = std::fabs(q) <= 127 ? int8_t(q) : 0; // NaN as in level()
  }
  block.d = floatToHalf(d);
}

} // namespace lmc
