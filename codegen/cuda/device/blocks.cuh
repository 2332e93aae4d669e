// Products with block-quantised weights, in panels of 32 columns (ir/BlockPanels.h). With few rows a lane
// of a warp has one column, and each plane of integers and each row of scales is one access of the whole
// warp to neighbouring memory: a plane, shifted and masked, is what __dp4a takes. With more rows the
// same words are the right side of the integer tensor cores. Both give the same bits.

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

/// Word `quad` of those that unpackBlock gives, of any column.
template <typename Format>
__device__ __forceinline__ unsigned blockWord(const unsigned *planes, int column, int quad,
                                              const BlockValues &values) {
  auto fieldsOf = [&](int bits, int first) {
    return planes[(first + quad % bits) * kWarp + column] >> (bits * (quad / bits)) &
           (0x01010101u * ((1u << bits) - 1));
  };
  unsigned word = fieldsOf(Format::kLowBits, 0);
  if constexpr (Format::kHighBits > 0)
    word |= fieldsOf(Format::kHighBits, Format::kLowBits) << Format::kLowBits;
  if constexpr (Format::kHasValues)
    word = lookUp(values, word);
  return word;
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

/// sum + one sub-block of a row times a column: `total` of their integers, with the row's scale and its
/// sum (or that of half a block).
template <typename Format>
__device__ __forceinline__ float addSubBlock(float sum, int total, const BlockScale &weights,
                                             float scale, float all) {
  float part = scale * static_cast<float>(total);
  if constexpr (Format::kOffset != 0)
    part = fused(static_cast<float>(Format::kOffset), all, part);
  if constexpr (Format::kMinimums)
    sum = fused(-weights.minimum, all, sum);
  return fused(weights.step, part, sum);
}

/// Scale of a row's 32 integers, and their sum or those of both halves.
template <typename Format> struct RowScale {
  static constexpr int kHalves = 32 / Format::kSub;
  float scale, all[kHalves];
};
template <typename Format>
__device__ __forceinline__ RowScale<Format> rowScale(const QuantizedRows &x, int block) {
  RowScale<Format> result = {x.scales[block], {}};
  if constexpr (Format::kOffset != 0 || Format::kMinimums)
#pragma unroll
    for (int h = 0; h < result.kHalves; ++h)
      result.all[h] = result.kHalves == 1 ? x.sums[block] : x.halfSums[block * 2 + h];
  return result;
}

/// Steps and minimums of a lane's column, of the sub-blocks of 32 k.
template <typename Format> struct ColumnScale {
  BlockScale of[32 / Format::kSub];
};
template <typename Format>
__device__ __forceinline__ ColumnScale<Format> columnScale(const unsigned char *panel, int lane,
                                                           int block) {
  const unsigned char *head = panel + block * 32 / Format::kSuper * Format::kHeadBytes;
  ColumnScale<Format> result;
#pragma unroll
  for (int h = 0; h < 32 / Format::kSub; ++h)
    result.of[h] = blockScale<Format>(head, lane, block * 32 % Format::kSuper / Format::kSub + h);
  return result;
}

/// A warp's sums of up to Rows rows, a column a lane: every Warps-th 32 k from its own number on.
template <typename Format, int Rows, int Warps, int Depth>
__device__ __forceinline__ void multiplyByDots(const QuantizedRows &x, const unsigned char *panel,
                                               int codesAt, const BlockValues &values, int warp,
                                               int lane, float *parts) {
  constexpr int kBlocks = Depth / 32, kHalves = 32 / Format::kSub;
  float sums[Rows] = {};
  for (int block = warp; block < kBlocks; block += Warps) {
    const ColumnScale<Format> scales = columnScale<Format>(panel, lane, block);
    unsigned words[8];
    unpackBlock<Format>(reinterpret_cast<const unsigned *>(panel + codesAt) +
                            block * Format::kPlanes * kWarp,
                        lane, values, words);
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      const int row = minimum(i, x.size - 1);
      const auto *codes =
          reinterpret_cast<const Vector<int, 4> *>(x.codes + (row * kBlocks + block) * 32);
      const RowScale<Format> own = rowScale<Format>(x, row * kBlocks + block);
#pragma unroll
      for (int h = 0; h < kHalves; ++h) {
        int total = 0;
#pragma unroll
        for (int word = h * 8 / kHalves; word < (h + 1) * 8 / kHalves; ++word)
          total = __dp4a(codes[word / 4].at[word % 4], static_cast<int>(words[word]), total);
        sums[i] = addSubBlock<Format>(sums[i], total, scales.of[h], own.scale, own.all[h]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < Rows; ++i)
    parts[i * kWarp + lane] = sums[i];
}

/// The same by tensor cores, Rows a multiple of 16: tiles of 16 rows and 8 columns.
template <typename Format, int Rows, int Warps, int Depth>
__device__ __forceinline__ void multiplyByTiles(const QuantizedRows &x, const unsigned char *panel,
                                                int codesAt, const BlockValues &values, int warp,
                                                int lane, float *parts) {
  constexpr int kBlocks = Depth / 32, kHalves = 32 / Format::kSub, kTiles = Rows / 16;
  const int group = lane / 4, inGroup = lane % 4; // as the tiles' fragments have them
  float sums[kTiles][4][4] = {};
  for (int block = warp; block < kBlocks; block += Warps) {
    const ColumnScale<Format> scales = columnScale<Format>(panel, lane, block);
    const auto *planes =
        reinterpret_cast<const unsigned *>(panel + codesAt) + block * Format::kPlanes * kWarp;
    Fragment<4> rows[kTiles];
    RowScale<Format> own[kTiles][2];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
#pragma unroll
      for (int high = 0; high < 2; ++high) {
        const int row = minimum(m * 16 + high * 8 + group, x.size - 1);
        const auto *codes =
            reinterpret_cast<const unsigned *>(x.codes + (row * kBlocks + block) * 32) + inGroup;
        rows[m].at[high] = codes[0];
        rows[m].at[2 + high] = codes[4];
        own[m][high] = rowScale<Format>(x, row * kBlocks + block);
      }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const Fragment<2> words = {{blockWord<Format>(planes, n * 8 + group, inGroup, values),
                                  blockWord<Format>(planes, n * 8 + group, inGroup + 4, values)}};
      ColumnScale<Format> columns[2]; // of lanes that have these columns
#pragma unroll
      for (int e = 0; e < 2; ++e)
#pragma unroll
        for (int h = 0; h < kHalves; ++h) {
          const int from = n * 8 + inGroup * 2 + e;
          columns[e].of[h].step = __shfl_sync(0xffffffffu, scales.of[h].step, from);
          if constexpr (Format::kMinimums)
            columns[e].of[h].minimum = __shfl_sync(0xffffffffu, scales.of[h].minimum, from);
        }
#pragma unroll
      for (int m = 0; m < kTiles; ++m)
#pragma unroll
        for (int h = 0; h < kHalves; ++h) {
          int totals[4] = {};
          if constexpr (kHalves == 1)
            multiplyAdd(totals, rows[m], words);
          else
            multiplyAdd(totals, Fragment<2>{{rows[m].at[2 * h], rows[m].at[2 * h + 1]}},
                        Fragment<1>{{words.at[h]}});
#pragma unroll
          for (int i = 0; i < 4; ++i)
            sums[m][n][i] = addSubBlock<Format>(sums[m][n][i], totals[i], columns[i % 2].of[h],
                                                own[m][i / 2].scale, own[m][i / 2].all[h]);
        }
    }
  }
#pragma unroll
  for (int m = 0; m < kTiles; ++m)
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        parts[(m * 16 + i / 2 * 8 + group) * kWarp + n * 8 + inGroup * 2 + i % 2] = sums[m][n][i];
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
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  auto *result = reinterpret_cast<float *>(dynamicShared()); // [Rows][32]
  float *parts = result + Rows * kWarp;                      // [Warps][Rows][32]
  float *mine = parts + warp * Rows * kWarp;
  if constexpr (Rows % 16 == 0)
    multiplyByTiles<Format, Rows, Warps, Depth>(x, panel, codesAt, values, warp, lane, mine);
  else
    multiplyByDots<Format, Rows, Warps, Depth>(x, panel, codesAt, values, warp, lane, mine);
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
      reinterpret_cast<const unsigned *>(panel + codesAt) + k / 32 * Format::kPlanes * kWarp;
  const unsigned word = blockWord<Format>(planes, lane, k % 32 / 4, values);
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
