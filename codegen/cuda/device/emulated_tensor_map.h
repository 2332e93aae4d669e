// The host's twin of a tensor map (CUtensorMap): what the driver encodes and a tile's copy reads. Shared
// by the emulation of kernels, by tests that launch them and by the emulated driver.
// Source: CUDA Driver API, cuTensorMapEncodeTiled.
#pragma once

#include <cstdint>

namespace lmc::emulation {

constexpr unsigned kMostTileRank = 5;

/// A tensor of bf16 and the box that one copy takes of it, in rows of 128 bytes that are swizzled;
/// zeros beyond its ends. Dimensions innermost first.
struct alignas(64) TensorMap {
  const char *start;
  uint64_t sizes[kMostTileRank];       ///< elements
  uint64_t strides[kMostTileRank - 1]; ///< bytes, from the second dimension on
  uint32_t box[kMostTileRank];         ///< elements
  uint32_t rank;
};
static_assert(sizeof(TensorMap) == 128);

/// Fills a map; false where the driver would refuse.
inline bool encode(TensorMap &map, uint32_t rank, const void *start, const uint64_t *sizes,
                   const uint64_t *strides, const uint32_t *box) {
  constexpr uint64_t kElementBytes = 2, kRowBytes = 128;
  if (rank < 1 || rank > kMostTileRank || reinterpret_cast<uintptr_t>(start) % 16)
    return false;
  map = {};
  map.start = static_cast<const char *>(start);
  map.rank = rank;
  for (uint32_t i = 0; i < rank; ++i) {
    map.sizes[i] = sizes[i];
    map.box[i] = box[i];
    if (sizes[i] < 1 || sizes[i] > uint64_t(1) << 32 || box[i] < 1 || box[i] > 256)
      return false;
    if (i == 0)
      continue;
    map.strides[i - 1] = strides[i - 1];
    if (strides[i - 1] % 16 || strides[i - 1] >= uint64_t(1) << 40)
      return false;
  }
  return box[0] * kElementBytes <= kRowBytes;
}

} // namespace lmc::emulation
