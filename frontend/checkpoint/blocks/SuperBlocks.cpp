// Super-blocks of 256 to f32. The products and differences are formed in the order that makes the
// results equal to the bit with other implementations.
#include "frontend/checkpoint/blocks/Blocks.h"
#include "runtime/BitRuns.h"
#include "runtime/Half.h"
#include "runtime/PackedScales.h"

namespace lmc {
namespace {

constexpr int size = 256;

template <typename Block> void decodeAffine(const Block &block, const uint8_t *q, float *values) {
  float d = halfToFloat(block.d), dmin = halfToFloat(block.dmin);
  for (int sub = 0; sub < 8; ++sub) {
    auto [scale, minimum] = scaleOf(block.scales, sub);
    float step = d * float(scale), offset = dmin * float(minimum);
    for (int i = 32 * sub; i < 32 * (sub + 1); ++i)
      values[i] = step * float(q[i]) - offset;
  }
}

} // namespace

void decode(const BlockQ2_K &block, float *values) {
  uint8_t q[size];
  unpackBits<2, 32>(block.qs, q);
  float d = halfToFloat(block.d), dmin = halfToFloat(block.dmin);
  for (int sub = 0; sub < 16; ++sub) {
    float step = d * float(block.scales[sub] & 15), offset = dmin * float(block.scales[sub] >> 4);
    for (int i = 16 * sub; i < 16 * (sub + 1); ++i)
      values[i] = step * float(q[i]) - offset;
  }
}

void decode(const BlockQ3_K &block, float *values) {
  uint8_t q[size], scales[16];
  unpackBits<2, 32>(block.qs, q);
  unpackBits<1, 32>(block.hmask, q, 2);
  unpackBits<4, 8>(block.scalesLow, scales);
  unpackBits<2, 4>(block.scalesHigh, scales, 4);
  float d = halfToFloat(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    float step = d * float(scales[sub] - 32);
    for (int i = 16 * sub; i < 16 * (sub + 1); ++i)
      values[i] = step * float(q[i] - 4);
  }
}

void decode(const BlockQ4_K &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 32>(block.qs, q);
  decodeAffine(block, q, values);
}

void decode(const BlockQ5_K &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 32>(block.qs, q);
  unpackBits<1, 32>(block.qh, q, 4);
  decodeAffine(block, q, values);
}

void decode(const BlockQ6_K &block, float *values) {
  uint8_t q[size];
  unpackBits<4, 64>(block.ql, q);
  unpackBits<2, 32>(block.qh, q, 4);
  float d = halfToFloat(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    float step = d * float(block.scales[sub]);
    for (int i = 16 * sub; i < 16 * (sub + 1); ++i)
      values[i] = step * float(q[i] - 32);
  }
}

} // namespace lmc
