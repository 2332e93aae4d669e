// KV caches in q8_0: the keys, or values, of one token and one head are a row of bytes, blocks of 32
// numbers with one scale (BlockQ8_0 of runtime/BlockLayouts.h, so 34 bytes). The last block of a row
// has no more codes than numbers are left, and a row takes a whole number of f16: scales are aligned.
// A cache of rows is a tensor [B, S, G, cacheRowBytes(D)] of i8.
#pragma once

#include "ir/Tensor.h"

#include <cstdint>

namespace lmc::lm {

inline constexpr int64_t kCacheBlock = 32; ///< numbers of a block
inline constexpr int64_t kCacheBlockBytes = 34;
inline constexpr int64_t kCacheScaleBytes = 2; ///< f16, in front of the codes

/// Bytes of a row of `headDim` numbers.
int64_t cacheRowBytes(int64_t headDim);

/// A row of `headDim` numbers as bytes, each in [-128, 127]. The codes are those of the encoder of
/// files (frontend/checkpoint/blocks) where all numbers are finite; a block with one that is not is
/// NaN. All arithmetic is f32.
void encodeCacheRow(const double *values, int64_t headDim, double *bytes);

/// Rows [..., cacheRowBytes(headDim)] as numbers [..., headDim], which f32 holds exactly.
Tensor decodeCacheRows(const Tensor &rows, int64_t headDim);

} // namespace lmc::lm
