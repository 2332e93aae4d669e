// Products with block-quantised weights, in panels of 32 columns (ir/BlockPanels.h): a lane of a warp
// has one column, and each plane of integers and each row of scales is one access of the whole warp to
// neighbouring memory. A plane, shifted and masked, is what __dp4a takes.

namespace lmc {

/// A format and its layout, as ir/BlockPanels.h names them; bytes where nothing else is said.
template <int Super, int Sub, int LowBits, int HighBits, int Offset, bool Minimums, bool Exponents,
          bool HasValues>
struct BlockFormat {
  static constexpr int kSuper = Super, kSub = Sub, kLowBits = LowBits, kHighBits = HighBits;
  static constexpr int kOffset = Offset;
  static constexpr bool kMinimums = Minimums, kExponents = Exponents, kHasValues = HasValues;
  static constexpr bool kHasSuperBlocks = Super != Sub;
  static constexpr int kScaleBytes = Exponents ? 1 : 2, kSubs = kHasSuperBlocks ? Super / Sub : 0;
  static constexpr int kSubScalesAt = kWarp * kScaleBytes * (Minimums ? 2 : 1);
  static constexpr int kSubMinimumsAt = kSubScalesAt + kWarp * kSubs;
  static constexpr int kHeadBytes = kWarp * (Minimums ? 2 : 1) * (kScaleBytes + kSubs);
  static constexpr int kPlanes = LowBits + HighBits;
};

/// The 16 values of formats whose integers count entries of a table, four bytes a word.
struct BlockValues {
  unsigned at[4];
};

/// Each byte, below 16, replaced by its entry.
__device__ __forceinline__ unsigned lookUp(const BlockValues &values, unsigned bytes) {
  const unsigned low = bytes & 0x07070707u;
  const unsigned selector = (low | low >> 4) & 0x00ff00ffu; // a digit an entry
  const unsigned digits = (selector | selector >> 8) & 0xffffu;
  const unsigned upper = (bytes >> 3 & 0x01010101u) * 0xffu; // entries from 8 on
  return (__byte_perm(values.at[0], values.at[1], digits) & ~upper) |
         (__byte_perm(values.at[2], values.at[3], digits) & upper);
}

template <int Bits> __device__ __forceinline__ unsigned fields(unsigned plane, int which) {
  return plane >> (Bits * which) & (0x01010101u * ((1u << Bits) - 1));
}

/// 32 integers of a column, rising k, four a word. `planes` [kPlanes][32 columns].
template <typename Format>
__device__ __forceinline__ void unpackBlock(const unsigned *planes, int lane,
                                            const BlockValues &values, unsigned (&words)[8]) {
#pragma unroll
  for (int p = 0; p < Format::kLowBits; ++p) {
    const unsigned plane = planes[p * kWarp + lane];
#pragma unroll
    for (int j = 0; j < 8 / Format::kLowBits; ++j)
      words[j * Format::kLowBits + p] = fields<Format::kLowBits>(plane, j);
  }
  if constexpr (Format::kHighBits > 0)
#pragma unroll
    for (int p = 0; p < Format::kHighBits; ++p) {
      const unsigned plane = planes[(Format::kLowBits + p) * kWarp + lane];
#pragma unroll
      for (int j = 0; j < 8 / Format::kHighBits; ++j)
        words[j * Format::kHighBits + p] |= fields<Format::kHighBits>(plane, j) << Format::kLowBits;
    }
  if constexpr (Format::kHasValues)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      words[i] = lookUp(values, words[i]);
}

/// Step and minimum of sub-blocks: a weight is step * (integer + offset) - minimum.
struct BlockScale {
  float step, minimum;
};

/// d or dmin of a column.
template <typename Format>
__device__ __forceinline__ float superScale(const unsigned char *scales, int lane) {
  if constexpr (Format::kExponents) { // 2^(e - 128); the two smallest are denormal
    const unsigned e = scales[lane];
    return __uint_as_float(e > 1 ? (e - 1) << 23 : 0x200000u << e);
  } else {
    return widenHalf(reinterpret_cast<const unsigned short *>(scales)[lane]);
  }
}

/// Of sub-block `sub` of the super-block whose scales lie at `head`.
template <typename Format>
__device__ __forceinline__ BlockScale blockScale(const unsigned char *head, int lane, int sub) {
  BlockScale result = {superScale<Format>(head, lane), 0};
  if constexpr (Format::kMinimums)
    result.minimum = superScale<Format>(head + kWarp * Format::kScaleBytes, lane);
  if constexpr (Format::kHasSuperBlocks) {
    const unsigned char scale = head[Format::kSubScalesAt + sub * kWarp + lane];
    if constexpr (Format::kMinimums) {
      result.step *= static_cast<float>(scale);
      result.minimum *= static_cast<float>(head[Format::kSubMinimumsAt + sub * kWarp + lane]);
    } else {
      result.step *= static_cast<float>(static_cast<signed char>(scale));
    }
  } else {
    result.minimum = -result.minimum; // m of formats without super-blocks is added
  }
  return result;
}

/// Rows as lm.quantize_rows gives them, from the block's first on: codes [size, depth], scales and
/// sums [size, depth / 32], halfSums [size, depth / 16].
struct QuantizedRows {
  const signed char *codes;
  const float *scales, *sums, *halfSums;
  int size;
};

/// Shared memory of multiplyBlocks.
template <int Rows, int Warps> __device__ constexpr int blocksBytes() {
  return (Warps + 1) * Rows * kWarp * static_cast<int>(sizeof(float));
}

/// Rows x [size, Depth] times one panel: (i, j) at i * 32 + j. The block's warps share out k, 32 steps
/// at a time, and their sums meet in the order of the warps. Integer sums are exact, so an element's
/// bits do not depend on the number of rows.
template <typename Format, int Rows, int Warps, int Depth>
__device__ __forceinline__ const float *multiplyBlocks(const QuantizedRows &x,
                                                       const unsigned char *panel, int codesAt,
                                                       const BlockValues &values) {
  // Fewer rows, fewer sums to keep.
  if constexpr (Rows > 1)
    if (x.size <= Rows / 2)
      return multiplyBlocks<Format, Rows / 2, Warps, Depth>(x, panel, codesAt, values);
  constexpr int kBlocks = Depth / 32, kHalves = 32 / Format::kSub;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  float sums[Rows] = {};
  for (int block = warp; block < kBlocks; block += Warps) {
    const unsigned char *head = panel + block * 32 / Format::kSuper * Format::kHeadBytes;
    BlockScale scales[kHalves];
#pragma unroll
    for (int h = 0; h < kHalves; ++h)
      scales[h] = blockScale<Format>(head, lane, block * 32 % Format::kSuper / Format::kSub + h);
    unsigned words[8];
    unpackBlock<Format>(reinterpret_cast<const unsigned *>(panel + codesAt) +
                            block * Format::kPlanes * kWarp,
                        lane, values, words);
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      const int row = minimum(i, x.size - 1);
      const auto *codes =
          reinterpret_cast<const Vector<int, 4> *>(x.codes + (row * kBlocks + block) * 32);
      const float scale = x.scales[row * kBlocks + block];
#pragma unroll
      for (int h = 0; h < kHalves; ++h) {
        int total = 0;
#pragma unroll
        for (int word = h * 8 / kHalves; word < (h + 1) * 8 / kHalves; ++word)
          total = __dp4a(codes[word / 4].at[word % 4], static_cast<int>(words[word]), total);
        float part = scale * static_cast<float>(total);
        if constexpr (Format::kOffset != 0 || Format::kMinimums) {
          const float all = kHalves == 1 ? x.sums[row * kBlocks + block]
                                         : x.halfSums[(row * kBlocks + block) * 2 + h];
          if constexpr (Format::kOffset != 0)
            part = fused(static_cast<float>(Format::kOffset), all, part);
          if constexpr (Format::kMinimums)
            sums[i] = fused(-scales[h].minimum, all, sums[i]);
        }
        sums[i] = fused(scales[h].step, part, sums[i]);
      }
    }
  }
  auto *result = reinterpret_cast<float *>(dynamicShared()); // [Rows][32]
  float *parts = result + Rows * kWarp;                      // [Warps][Rows][32]
#pragma unroll
  for (int i = 0; i < Rows; ++i)
    parts[(warp * Rows + i) * kWarp + lane] = sums[i];
  __syncthreads(); // all warps' sums
  for (int at = thread; at < Rows * kWarp; at += Warps * kWarp) {
    float sum = parts[at];
    for (int other = 1; other < Warps; ++other)
      sum += parts[other * Rows * kWarp + at];
    result[at] = sum;
  }
  __syncthreads(); // the result
  return result;
}

/// Four neighbouring values of a column of a panel, from k on, as f32.
template <typename Format>
__device__ __forceinline__ Vector<float, 4> readBlocks(const unsigned char *panel, int codesAt,
                                                       const BlockValues &values, int lane, int k) {
  const unsigned char *head = panel + k / Format::kSuper * Format::kHeadBytes;
  const BlockScale scale = blockScale<Format>(head, lane, k % Format::kSuper / Format::kSub);
  const auto *planes =
      reinterpret_cast<const unsigned *>(panel + codesAt) + k / 32 * Format::kPlanes * kWarp + lane;
  const int quad = k % 32 / 4;
  auto fieldsOf = [&](int bits, int first) {
    return planes[(first + quad % bits) * kWarp] >> (bits * (quad / bits)) &
           (0x01010101u * ((1u << bits) - 1));
  };
  unsigned word = fieldsOf(Format::kLowBits, 0);
  if constexpr (Format::kHighBits > 0)
    word |= fieldsOf(Format::kHighBits, Format::kLowBits) << Format::kLowBits;
  if constexpr (Format::kHasValues)
    word = lookUp(values, word);
  Vector<float, 4> result;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const unsigned byte = word >> (8 * i) & 0xffu;
    // Of the tables and of 8 bits, the integers are signed; others stay below 64.
    const int integer = static_cast<signed char>(byte) + Format::kOffset;
    result.at[i] = scale.step * static_cast<float>(integer) - scale.minimum;
  }
  return result;
}

/// lm.quantize_rows of 32 numbers, one a lane; lane 0 has the scale and the sum, lanes 0 and 16 the sums
/// of their halves.
struct QuantizedNumber {
  signed char code;
  float scale, sum, halfSum;
};
__device__ __forceinline__ QuantizedNumber quantize(float x) {
  const float largest = warpReduce<Max>(fabsf(x));
  const bool usable = largest > 0 && largest < __uint_as_float(0x7f800000u);
  const float inverse = usable ? 127.0f / largest : 0, scale = usable ? largest / 127.0f : largest;
  const int code = usable ? static_cast<int>(rintf(x * inverse)) : 0;
  int half = code;
#pragma unroll
  for (int offset = 8; offset > 0; offset /= 2)
    half += __shfl_xor_sync(0xffffffffu, half, offset);
  const int whole = half + __shfl_xor_sync(0xffffffffu, half, 16);
  return {static_cast<signed char>(code), scale, scale * static_cast<float>(whole),
          scale * static_cast<float>(half)};
}

} // namespace lmc
