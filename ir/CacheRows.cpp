#include "ir/CacheRows.h"

#include "runtime/BlockLayouts.h"
#include "runtime/Half.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace lmc::lm {

static_assert(kCacheBlock == BlockQ8_0::size && kCacheBlockBytes == sizeof(BlockQ8_0) &&
              kCacheScaleBytes == offsetof(BlockQ8_0, qs));

int64_t cacheRowBytes(int64_t headDim) {
  int64_t blocks = (headDim + kCacheBlock - 1) / kCacheBlock;
  int64_t bytes = headDim + blocks * kCacheScaleBytes;
  return bytes + bytes % 2;
}

static void encodeBlock(const double *values, int64_t count, double *bytes) {
  auto at = [&](int64_t i) { return static_cast<float>(values[i]); };
  float largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::isnan(at(i)) || std::isnan(largest) ? NAN : std::max(largest, std::fabs(at(i)));
  float scale = largest / 127, inverse = scale == 0 ? 0 : 1 / scale;
  uint16_t half = floatToHalf(scale);
  bytes[0] = static_cast<int8_t>(half & 0xff);
  bytes[1] = static_cast<int8_t>(half >> 8);
  for (int64_t i = 0; i < count; ++i) { // halves away from zero
    float code = std::round(at(i) * inverse);
    bytes[kCacheScaleBytes + i] = std::fabs(code) <= 127 ? code : 0;
  }
}

void encodeCacheRow(const double *values, int64_t headDim, double *bytes) {
  std::fill_n(bytes, cacheRowBytes(headDim), 0);
  for (int64_t i = 0; i < headDim; i += kCacheBlock)
    encodeBlock(values + i, std::min(kCacheBlock, headDim - i),
                bytes + i / kCacheBlock * kCacheBlockBytes);
}

Tensor decodeCacheRows(const Tensor &rows, int64_t headDim) {
  auto shape = rows.shape;
  shape.back() = headDim;
  Tensor values(shape);
  for (int64_t i = 0; i < values.size(); ++i) {
    int64_t row = i / headDim, d = i % headDim;
    const double *block =
        rows.data.data() + row * rows.lastDim() + d / kCacheBlock * kCacheBlockBytes;
    auto byte = [&](int64_t at) { return static_cast<uint8_t>(static_cast<int8_t>(block[at])); };
    float scale = halfToFloat(static_cast<uint16_t>(byte(0) | byte(1) << 8));
    values.data[i] = scale * block[kCacheScaleBytes + d % kCacheBlock];
  }
  return values;
}

} // namespace lmc::lm
