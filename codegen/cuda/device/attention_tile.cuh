// Tiles of attention: operands in memory, their copies in shared memory, and the two contractions,
// which warps do alone. A warp's sums are tiles of 16 rows by 8 columns; of each, lane l has rows
// l / 4 (elements 0, 1) and l / 4 + 8 (2, 3), columns 2 (l % 4) and the next, as mma.sync has them.

namespace lmc {

template <typename A, typename B> constexpr bool isSame = false;
template <typename A> constexpr bool isSame<A, A> = true;

/// What sums of products of such elements are kept in.
template <typename Element> struct SumOf {
  using Type = Element;
};
template <> struct SumOf<bfloat16> {
  using Type = float;
};

template <typename To, typename From> __device__ __forceinline__ To converted(From x) {
  if constexpr (isSame<To, From>)
    return x;
  else if constexpr (isSame<From, bfloat16>)
    return static_cast<To>(widen(x));
  else if constexpr (isSame<To, bfloat16>)
    return narrow(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

/// Rows of an operand [tokens, heads, depth] where they lie, strides in elements. Row r is token
/// r / Heads of head r % Heads: 1, or the heads that share keys, packed into one tile. Pieces of
/// Chunk bytes are aligned and contiguous; 0: elements lie apart.
template <typename Storage_, int Heads, int Chunk_, typename Index> struct Rows {
  using Storage = Storage_;
  static constexpr int kChunk = Chunk_;
  Storage *first;
  Index token, head, depth;

  __device__ __forceinline__ Storage *at(Index row) const {
    return first + (row / Heads * token + row % Heads * head);
  }
  __device__ __forceinline__ Rows ofHead(Index number) const {
    return {first + number * head, token, head, depth};
  }
};

/// Keys or values of a paged cache: row r of a sequence is row r % PageTokens of page pages[r / PageTokens]
/// of a pool, pages `page` elements apart; the nearest page stands for one that is not in the pool. If
/// Aligned, copyRows() is asked for tiles that begin at a multiple of their rows.
template <typename Storage_, int Chunk_, int PageTokens, bool Aligned, typename Index>
struct PagedRows {
  using Storage = Storage_;
  static constexpr int kChunk = Chunk_;
  Storage *first;
  Index token, depth, page;
  const int *pages;
  Index nextPage, numPages; ///< between entries of the table; of the pool

  __device__ __forceinline__ Storage *at(Index row) const {
    const auto number = static_cast<Index>(pages[row / PageTokens * nextPage]);
    const Index inPool = maximum(minimum(number, numPages - 1), Index(0));
    return first + (inPool * page + row % PageTokens * token);
  }
  __device__ __forceinline__ PagedRows ofHead(Index) const { return *this; }
};

/// Rows of one tile, from `begin` on, that lie in one page.
template <typename Storage_, int Chunk_, typename Index> struct RowsOfPage {
  using Storage = Storage_;
  static constexpr int kChunk = Chunk_;
  Storage *first;
  Index token, depth, begin;

  __device__ __forceinline__ Storage *at(Index row) const { return first + (row - begin) * token; }
};

/// What a tile of Count rows from `begin` on is copied from; there are some.
template <int Count, typename From, typename Index>
__device__ __forceinline__ const From &rowsOfTile(const From &from, Index) {
  return from;
}
template <int Count, typename Storage, int Chunk, int PageTokens, bool Aligned, typename Index>
__device__ __forceinline__ auto
rowsOfTile(const PagedRows<Storage, Chunk, PageTokens, Aligned, Index> &from, Index begin) {
  if constexpr (Aligned && PageTokens % Count == 0)
    return RowsOfPage<Storage, Chunk, Index>{from.at(begin), from.token, from.depth, begin};
  else
    return from;
}

/// A block: `RowWarps` groups of warps share the outer tile's rows, the warps of a group either the
/// inner tile's columns (`KeyWarps`; their results are combined at the end) or the columns of the
/// weighted sums (`ColumnWarps`; each computes all scores of its rows). Stages of the inner tiles:
/// 2, or 1, where the second inner operand is copied during the scores and the first one during the
/// sums.
template <typename Element_, int HeadDim, int Outer, int Inner, int RowWarps, int KeyWarps,
          int ColumnWarps, int Stages>
struct AttentionTile {
  using Element = Element_;
  using Real = typename SumOf<Element>::Type;
  static constexpr bool kTensorCores = isSame<Element, bfloat16>;
  static constexpr int kHeadDim = HeadDim, kOuter = Outer, kInner = Inner, kRowWarps = RowWarps,
                       kKeyWarps = KeyWarps, kColumnWarps = ColumnWarps, kStages = Stages,
                       kThreads = kWarp * RowWarps * KeyWarps * ColumnWarps;
  static constexpr int kRowTiles = Outer / RowWarps / 16, kColumnTiles = Inner / KeyWarps / 8;
  /// The head dimension in shared memory, filled up with zeros.
  static constexpr int kDepthUnit = (kTensorCores ? 16 : 8) * ColumnWarps;
  static constexpr int kDepth = (HeadDim + kDepthUnit - 1) / kDepthUnit * kDepthUnit;
  static constexpr int kDepthTiles = kDepth / ColumnWarps / 8;
  /// Steps of a scores' loop that are written out: fewer where the accumulators need the registers.
  static constexpr int kUnrolled = kRowTiles * (kDepthTiles + kColumnTiles) < 48 ? kDepth / 16 : 2;
  /// Between rows in shared memory: an odd number of 16 bytes, so that eight rows lie in different
  /// banks.
  static __device__ constexpr int padded(int elements, int size) {
    return (elements * size / 16 | 1) * 16 / size;
  }
  static constexpr int kStride = padded(kDepth, sizeof(Element));
  /// Weights of a warp in shared memory; tensor cores take them from registers.
  static constexpr int kWeightStride = padded(Inner / KeyWarps, sizeof(Real));
  static constexpr int kWeights = kTensorCores ? 0 : 16 * kRowTiles * kWeightStride;
  static_assert(kRowTiles * RowWarps * 16 == Outer && kColumnTiles * KeyWarps * 8 == Inner, "");
  static_assert(!kTensorCores || kColumnTiles % 2 == 0, "a step of mma takes 16 columns");

  using Scores = Real[kRowTiles][kColumnTiles][4];
  using Sums = Real[kRowTiles][kDepthTiles][4];
};

/// Rows [begin, begin + Count) in shared memory, zeros from row `end` on. There after waitCopies()
/// and a barrier. Elements that are stored otherwise are converted on the way.
template <typename Tile, int Count, typename Operand, typename Index>
__device__ __forceinline__ void copyRows(typename Tile::Element *to, const Operand &operand,
                                         Index begin, Index end) {
  using Element = typename Tile::Element;
  const auto &from = rowsOfTile<Count>(operand, begin);
  constexpr int chunk = isSame<typename Operand::Storage, const Element> ? Operand::kChunk : 0;
  constexpr int elements = chunk ? chunk / static_cast<int>(sizeof(Element)) : 1;
  constexpr int pieces = Tile::kDepth / elements;
  const auto copy = [&](int row, int at) {
    const bool inside = begin + row < end && at < Tile::kHeadDim;
    Element *place = to + row * Tile::kStride + at;
    if constexpr (chunk != 0)
      copyAsync<chunk>(place, inside ? from.at(begin + row) + at : from.first, inside ? chunk : 0);
    else
      *place = inside ? converted<Element>(from.at(begin + row)[at * from.depth]) : Element{};
  };
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (pieces <= Tile::kThreads) {
    // A thread stays in its columns; some have none where the pieces do not divide the threads.
    constexpr int together = Tile::kThreads / pieces;
#pragma unroll 2
    for (int row = thread / pieces; row < Count; row += together)
      if (Tile::kThreads % pieces == 0 || thread < together * pieces)
        copy(row, thread % pieces * elements);
  } else {
#pragma unroll 1
    for (int i = thread; i < Count * pieces; i += Tile::kThreads)
      copy(i / pieces, i % pieces * elements);
  }
}

/// One number a row, zeros from row `end` on.
template <typename Tile, int Count, typename From, typename Index>
__device__ __forceinline__ void copyStatistic(typename Tile::Real *to, const From &from,
                                              Index begin, Index end) {
  using Real = typename Tile::Real;
  for (int row = static_cast<int>(threadIdx.x); row < Count; row += Tile::kThreads) {
    const bool inside = begin + row < end;
    if constexpr (isSame<typename From::Storage, const Real>)
      copyAsync<sizeof(Real)>(to + row, inside ? from.at(begin + row) : from.first,
                              inside ? static_cast<int>(sizeof(Real)) : 0);
    else
      to[row] = inside ? converted<Real>(*from.at(begin + row)) : Real(0);
  }
}

/// Contractions of a warp. scores: sums += left [16 kRowTiles, kDepth] * right [8 kColumnTiles,
/// kDepth]^T, both in shared memory. addWeighted: sums += weights * right [8 kColumnTiles, 8
/// kDepthTiles]; weights are rounded to the elements' type, `scratch` is the warp's own.
template <typename Tile> struct TensorCores {
  using Element = typename Tile::Element;
  using Scores = typename Tile::Scores;
  using Sums = typename Tile::Sums;

  static __device__ __forceinline__ void scores(Scores &sums, const Element *left,
                                                const Element *right) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    left += lane % 16 * Tile::kStride + lane / 16 * 8;
    right += (lane / 16 * 8 + lane % 8) * Tile::kStride + lane / 8 % 2 * 8;
#pragma unroll Tile::kUnrolled
    for (int k = 0; k < Tile::kDepth; k += 16) {
      Fragment<4> a[Tile::kRowTiles];
#pragma unroll
      for (int r = 0; r < Tile::kRowTiles; ++r)
        a[r] = loadMatrices<false>(left + 16 * r * Tile::kStride + k);
#pragma unroll
      for (int n = 0; n < Tile::kColumnTiles; n += 2) {
        const Fragment<4> b = loadMatrices<false>(right + 8 * n * Tile::kStride + k);
#pragma unroll
        for (int r = 0; r < Tile::kRowTiles; ++r) {
          multiplyAdd(sums[r][n], a[r], {b.at[0], b.at[1]});
          multiplyAdd(sums[r][n + 1], a[r], {b.at[2], b.at[3]});
        }
      }
    }
  }

  static __device__ __forceinline__ void addWeighted(Sums &sums, const Scores &weights,
                                                     const Element *right, typename Tile::Real *) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    right += lane % 16 * Tile::kStride + lane / 16 * 8;
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; n += 2) {
      // Two tiles of scores lie as the left operand of a step of 16.
      Fragment<4> a[Tile::kRowTiles];
#pragma unroll
      for (int r = 0; r < Tile::kRowTiles; ++r) {
        const auto &low = weights[r][n], &high = weights[r][n + 1];
        a[r] = {packed(low[0], low[1]), packed(low[2], low[3]), packed(high[0], high[1]),
                packed(high[2], high[3])};
      }
#pragma unroll
      for (int d = 0; d < Tile::kDepthTiles; d += 2) {
        const Fragment<4> b = loadMatrices<true>(right + 8 * n * Tile::kStride + 8 * d);
#pragma unroll
        for (int r = 0; r < Tile::kRowTiles; ++r) {
          multiplyAdd(sums[r][d], a[r], {b.at[0], b.at[1]});
          multiplyAdd(sums[r][d + 1], a[r], {b.at[2], b.at[3]});
        }
      }
    }
  }
};

/// The same for f32 and f64, in their own arithmetic.
template <typename Tile> struct FusedMultiplyAdds {
  using Real = typename Tile::Real;
  using Scores = typename Tile::Scores;
  using Sums = typename Tile::Sums;
  static constexpr int kTogether = 16 / static_cast<int>(sizeof(Real));
  using Piece = Vector<Real, kTogether>;

  static __device__ __forceinline__ const Piece &piece(const Real *at) {
    return *reinterpret_cast<const Piece *>(at);
  }

  static __device__ __forceinline__ void scores(Scores &sums, const Real *left, const Real *right) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    left += lane / 4 * Tile::kStride;
    right += lane % 4 * 2 * Tile::kStride;
#pragma unroll 1
    for (int k = 0; k < Tile::kDepth; k += kTogether) {
      Piece a[Tile::kRowTiles][2];
#pragma unroll
      for (int r = 0; r < 2 * Tile::kRowTiles; ++r)
        a[r / 2][r % 2] = piece(left + 8 * r * Tile::kStride + k);
#pragma unroll
      for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const Piece b = piece(right + (8 * n + c) * Tile::kStride + k);
#pragma unroll
          for (int r = 0; r < 2 * Tile::kRowTiles; ++r)
#pragma unroll
            for (int i = 0; i < kTogether; ++i) {
              Real &sum = sums[r / 2][n][r % 2 * 2 + c];
              sum = fused(a[r / 2][r % 2].at[i], b.at[i], sum);
            }
        }
    }
  }

  static __device__ __forceinline__ void addWeighted(Sums &sums, const Scores &weights,
                                                     const Real *right, Real *scratch) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int row = lane / 4, column = lane % 4 * 2;
    __syncwarp(); // other lanes have read what was here
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
      for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          scratch[(16 * r + i / 2 * 8 + row) * Tile::kWeightStride + 8 * n + column + i % 2] =
              weights[r][n][i];
    __syncwarp();
#pragma unroll 1
    for (int k = 0; k < 8 * Tile::kColumnTiles; k += kTogether) {
      Piece a[Tile::kRowTiles][2];
#pragma unroll
      for (int r = 0; r < 2 * Tile::kRowTiles; ++r)
        a[r / 2][r % 2] = piece(scratch + (8 * r + row) * Tile::kWeightStride + k);
#pragma unroll
      for (int i = 0; i < kTogether; ++i)
#pragma unroll
        for (int d = 0; d < Tile::kDepthTiles; ++d) {
          const auto &b = *reinterpret_cast<const Vector<Real, 2> *>(
              right + (k + i) * Tile::kStride + 8 * d + column);
#pragma unroll
          for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
            Real *sum = &sums[r / 2][d][r % 2 * 2];
            sum[0] = fused(a[r / 2][r % 2].at[i], b.at[0], sum[0]);
            sum[1] = fused(a[r / 2][r % 2].at[i], b.at[1], sum[1]);
          }
        }
    }
  }
};

template <typename Tile, bool TensorCores_ = Tile::kTensorCores> struct ContractionOf {
  using Type = TensorCores<Tile>;
};
template <typename Tile> struct ContractionOf<Tile, false> {
  using Type = FusedMultiplyAdds<Tile>;
};

} // namespace lmc
