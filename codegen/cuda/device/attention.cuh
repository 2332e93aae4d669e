// Attention and its adjoints: one loop, three schedules. A block keeps an outer tile (of queries, or
// of keys) and meets the tiles of the other side:
//
//               outer    inner     scores            weights         sums
//   Forward     q        k, v      q k^T             P               P v      (of all keys or a part)
//   Dq          q, dout  k, v      q k^T, dout v^T   P, dS           dS k
//   DkDv        k, v     q, dout   k q^T, v dout^T   P^T, dS^T       P^T dout, dS^T q
//
// Scores of DkDv are transposed, so that weights are left operands in all three. Exponents are in
// the log2 domain. No atomics: every sum has one order. What a query sees is one predicate with its
// loop bounds (Visible), what becomes of a score one chain (Scaled, SoftCapped).
// Source: Dao 2023, arXiv:2307.08691.

namespace lmc {

__device__ __forceinline__ double powerOfTwo(double x) { return exp2(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }
__device__ __forceinline__ float hyperbolicTangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolicTangent(double x) { return tanh(x); }
/// The larger number; either where the other is NaN, which the scores' own exponentials keep.
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return fmax(a, b); }
template <typename Real> __device__ __forceinline__ Real minusInfinity() {
  return static_cast<Real>(__uint_as_float(0xff800000u));
}

template <typename Real> __device__ __forceinline__ Real log2E() {
  return static_cast<Real>(1.4426950408889634);
}

/// Which keys a query sees: those before `keys`, and if Causal none behind its own position; of those
/// the last Window. 0: all.
template <bool Causal, typename Index, Index Window = 0> struct Visible {
  Index keys, past;
  static_assert(Causal || Window == 0, "a window ends at the query");

  __device__ __forceinline__ bool sees(Index query, Index key) const {
    return key < keys && (!Causal || key <= query + past) && isInWindow(query, key);
  }
  /// Do all queries [query, queryEnd) see all keys [key, end)?
  __device__ __forceinline__ bool all(Index query, Index queryEnd, Index key, Index end) const {
    return end <= keys && (!Causal || end <= query + past + 1) && isInWindow(queryEnd - 1, key);
  }
  /// The first key that the query sees, or one from there on.
  __device__ __forceinline__ Index keysFrom(Index query) const {
    return Window == 0 ? Index(0) : maximum(query + past + 1 - Window, Index(0));
  }
  /// Behind the last key that a query before `end` sees.
  __device__ __forceinline__ Index keysBefore(Index end) const {
    return Causal ? minimum(keys, end + past) : keys;
  }
  /// The first query that sees a key from `key` on.
  __device__ __forceinline__ Index queriesFrom(Index key) const {
    return Causal ? maximum(key - past, Index(0)) : Index(0);
  }
  /// Behind the last of `queries` that sees a key before `end`.
  __device__ __forceinline__ Index queriesBefore(Index end, Index queries) const {
    return Window == 0 ? queries : minimum(queries, end - 1 - past + Window);
  }

private:
  __device__ __forceinline__ bool isInWindow(Index query, Index key) const {
    return Window == 0 || key + Window > query + past;
  }
};

/// What becomes of a score q k: apply() comes first, before anything is masked, and the exponent is
/// log2Scale times that. Here it only gets the sign of `scale`.
template <typename Element> struct Scaled {
  using Real = typename SumOf<Element>::Type;
  Real scale, log2Scale; ///< log2Scale: the magnitude of scale log2(e)

  __device__ __forceinline__ Real apply(Real score) const { return scale < 0 ? -score : score; }
  /// Of the log-sum-exp's natural logarithm.
  __device__ __forceinline__ Real naturalScale() const { return scale < 0 ? -scale : scale; }
  static __device__ __forceinline__ Real times(Real cotangent, Real) { return cotangent; }
};

/// cap tanh(scale q k / cap); apply() gives the tanh. For bf16 of two approximate instructions: an error
/// of 1e-7 of the cap, far below a weight's rounding with the caps that models have (30, 50).
template <typename Element> struct SoftCapped {
  using Real = typename SumOf<Element>::Type;
  Real scale, log2Scale, cap, inner; ///< log2Scale: cap log2(e); inner: scale / cap

  __device__ __forceinline__ Real apply(Real score) const {
    if constexpr (isSame<Element, bfloat16>)
      return fused(-2.0f, reciprocal(1 + powerOfTwo(score * (2 * log2E<Real>() * inner))), 1.0f);
    else
      return hyperbolicTangent(score * inner);
  }
  __device__ __forceinline__ Real naturalScale() const { return cap; }
  /// Times d score / d (scale q k). The score may be masked: -infinity.
  static __device__ __forceinline__ Real times(Real cotangent, Real share) {
    return cotangent * larger(fused(-share, share, Real(1)), Real(0));
  }
};

/// Sum += weights[Weights] * inner operand Inner.
template <int Weights, int Inner> struct Product {
  static constexpr int kWeights = Weights, kInner = Inner;
};

/// Where this thread's warp and lane stand in the outer tile.
template <typename Tile> struct Place {
  int lane, row, part;

  __device__ __forceinline__ Place() {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    lane = static_cast<int>(threadIdx.x) % kWarp;
    row = warp % Tile::kRowWarps * 16 * Tile::kRowTiles; // the warp's first
    part = warp / Tile::kRowWarps;                       // of the inner tile or of the depth
  }
  __device__ __forceinline__ int rowOf(int tile, int half) const {
    return row + 16 * tile + 8 * half + lane / 4;
  }
  __device__ __forceinline__ int firstColumn() const {
    return Tile::kKeyWarps > 1 ? part * Tile::kInner / Tile::kKeyWarps : 0;
  }
  __device__ __forceinline__ int firstDepth() const {
    return Tile::kColumnWarps > 1 ? part * Tile::kDepth / Tile::kColumnWarps : 0;
  }
};

/// Running maxima and sums of the rows; what was summed before decays.
template <typename Tile> struct Forward {
  using Real = typename Tile::Real;
  static constexpr bool kOuterIsQueries = true, kStatisticsOfColumns = false;
  static constexpr int kScores = 1, kSums = 1;
  using First = Product<0, 1>;

  Real largest[Tile::kRowTiles][2], total[Tile::kRowTiles][2]; ///< total: of this lane's columns

  __device__ __forceinline__ Forward() {
#pragma unroll
    for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
      largest[r / 2][r % 2] = minusInfinity<Real>();
      total[r / 2][r % 2] = 0;
    }
  }

  /// Scores of one row become its weights; what was summed before decays by the result.
  __device__ __forceinline__ Real weighRow(typename Tile::Scores &scores, int r, int half,
                                           Real scale) {
    Real most = largest[r][half];
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; ++n)
      most = larger(most, larger(scores[r][n][2 * half], scores[r][n][2 * half + 1]));
    most = larger(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = larger(most, __shfl_xor_sync(0xffffffffu, most, 2));
    // A row that has seen no key yet: infinity minus infinity would be NaN.
    const Real shift = most == minusInfinity<Real>() ? Real(0) : most * scale;
    const Real decay = powerOfTwo(fused(largest[r][half], scale, -shift));
    largest[r][half] = most;
    Real sum = total[r][half] * decay;
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[r][n][i] = powerOfTwo(fused(scores[r][n][i], scale, -shift));
        sum += scores[r][n][i];
      }
    total[r][half] = sum;
    return decay;
  }

  static __device__ __forceinline__ void decayRow(typename Tile::Sums &sums, int r, int half,
                                                  Real decay) {
#pragma unroll
    for (int d = 0; d < Tile::kDepthTiles; ++d) {
      sums[r][d][2 * half] *= decay;
      sums[r][d][2 * half + 1] *= decay;
    }
  }

  template <typename Chain>
  __device__ __forceinline__ void weigh(typename Tile::Scores (&scores)[1],
                                        typename Tile::Sums (&sums)[1], const Chain &chain,
                                        const Real *, const Real *) {
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        decayRow(sums[0], r, half, weighRow(scores[0], r, half, chain.log2Scale));
  }
};

/// P and dS of one element, from the score and its cotangent.
template <typename Chain, typename Real>
__device__ __forceinline__ void weighAgain(Real &score, Real &cotangent, const Chain &chain,
                                           Real logSumExp2, Real delta) {
  const Real p = powerOfTwo(fused(score, chain.log2Scale, -logSumExp2));
  cotangent = chain.times(p * (cotangent - delta), score);
  score = p;
}

/// Statistics belong to rows.
template <typename Tile> struct Dq {
  using Real = typename Tile::Real;
  static constexpr bool kOuterIsQueries = true, kStatisticsOfColumns = false;
  static constexpr int kScores = 2, kSums = 1;
  using First = Product<1, 0>;

  Real logSumExp2[Tile::kRowTiles][2], delta[Tile::kRowTiles][2];

  template <typename Lse, typename Delta, typename Index>
  __device__ __forceinline__ Dq(const Lse &lses, const Delta &deltas, Index first, Index end) {
    const Place<Tile> place;
#pragma unroll
    for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
      const Index row = first + place.rowOf(r / 2, r % 2);
      logSumExp2[r / 2][r % 2] =
          row < end ? converted<Real>(*lses.at(row)) * log2E<Real>() : Real(0);
      delta[r / 2][r % 2] = row < end ? converted<Real>(*deltas.at(row)) : Real(0);
    }
  }

  template <typename Chain>
  __device__ __forceinline__ void weigh(typename Tile::Scores (&scores)[2],
                                        typename Tile::Sums (&)[1], const Chain &chain,
                                        const Real *, const Real *) {
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
      for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          weighAgain(scores[0][r][n][i], scores[1][r][n][i], chain, logSumExp2[r][i / 2],
                     delta[r][i / 2]);
  }
};

/// Statistics belong to columns and come with the inner tiles.
template <typename Tile> struct DkDv {
  using Real = typename Tile::Real;
  static constexpr bool kOuterIsQueries = false, kStatisticsOfColumns = true;
  static constexpr int kScores = 2, kSums = 2;
  using First = Product<0, 1>;
  using Second = Product<1, 0>;

  template <typename Chain>
  __device__ __forceinline__ void weigh(typename Tile::Scores (&scores)[2],
                                        typename Tile::Sums (&)[2], const Chain &chain,
                                        const Real *lse, const Real *delta) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int column = 8 * n + lane % 4 * 2 + c;
        const Real logSumExp2 = lse[column] * log2E<Real>(), mean = delta[column];
#pragma unroll
        for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
          for (int i = c; i < 4; i += 2)
            weighAgain(scores[0][r][n][i], scores[1][r][n][i], chain, logSumExp2, mean);
      }
  }
};

/// Shared memory: outer operands, inner operands by stage, statistics by stage, weights by warp.
/// What the warps of one row combine in the end takes the same place.
template <typename Tile, template <typename> class Schedule> struct AttentionShared {
  using Real = typename Tile::Real;
  static constexpr int kOuterTile = Tile::kOuter * Tile::kStride,
                       kInnerTile = Tile::kInner * Tile::kStride;
  static constexpr int kElements =
      Schedule<Tile>::kScores * kOuterTile + 2 * Tile::kStages * kInnerTile;
  static constexpr int kStatistics =
      Schedule<Tile>::kStatisticsOfColumns ? 2 * Tile::kStages * Tile::kInner : 0;
  static constexpr int kWarps = Tile::kThreads / kWarp;
  static constexpr int kTileBytes = kElements * sizeof(typename Tile::Element) +
                                    (kStatistics + kWarps * Tile::kWeights) * sizeof(Real);
  static constexpr int kPartial = 4 * Tile::kDepthTiles + 4; ///< numbers a lane
  static constexpr int kCombineBytes = Tile::kKeyWarps > 1
                                           ? kWarps *kWarp *kPartial *static_cast<int>(sizeof(Real))
                                           : 0;
  static constexpr int kBytes = kTileBytes > kCombineBytes ? kTileBytes : kCombineBytes;
};

template <typename Tile, typename Chain>
__device__ __forceinline__ void applyChain(typename Tile::Scores &scores, const Chain &chain) {
#pragma unroll
  for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        scores[r][n][i] = chain.apply(scores[r][n][i]);
}

/// Scores of the warp's rows of the outer tile at `first` and of inner rows from `firstInner` on become
/// -infinity where the mask hides them. Costs nothing where all are seen.
template <typename Tile, bool OuterIsQueries, typename Mask, typename Index>
__device__ __forceinline__ void maskScores(typename Tile::Scores &scores, const Mask &mask,
                                           Index first, Index firstInner, int packedHeads) {
  const Place<Tile> place;
  const Index firstOuter = first + place.row;
  const Index endOuter = firstOuter + 16 * Tile::kRowTiles,
              endInner = firstInner + 8 * Tile::kColumnTiles;
  const bool isInside = OuterIsQueries
                            ? mask.all(firstOuter / packedHeads, (endOuter - 1) / packedHeads + 1,
                                       firstInner, endInner)
                            : mask.all(firstInner, endInner, firstOuter, endOuter);
  if (isInside)
    return;
#pragma unroll
  for (int r = 0; r < Tile::kRowTiles; ++r)
#pragma unroll
    for (int n = 0; n < Tile::kColumnTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Index o = first + place.rowOf(r, i / 2);
        const Index c = firstInner + 8 * n + place.lane % 4 * 2 + i % 2;
        const bool sees = OuterIsQueries ? mask.sees(o / packedHeads, c) : mask.sees(c, o);
        if (!sees)
          scores[r][n][i] = minusInfinity<typename Tile::Real>();
      }
}

/// Inner rows [begin, end), of which there are some.
template <typename Index> struct EveryRow {
  static constexpr bool kMayBeNone = false;
  Index begin, end;
  template <typename Tile> __device__ __forceinline__ Index after(Index row) const {
    return row + Tile::kInner;
  }
};

/// Of the inner rows before `end` one part of `Parts`: every so many chunks of Chunk rows. `begin` is
/// where a chunk of the part begins.
template <int Parts, int Chunk, typename Index> struct RowsOfPart {
  static constexpr bool kMayBeNone = true;
  Index begin, end;

  /// The part's chunks of rows [from, end), the first one whole.
  __device__ __forceinline__ RowsOfPart(Index part, Index from, Index end) : end(end) {
    const Index chunk = from / Chunk, round = chunk / Parts * Parts;
    begin = (round + part + (round + part < chunk ? Parts : 0)) * Chunk;
  }
  template <typename Tile> __device__ __forceinline__ Index after(Index row) const {
    static_assert(Chunk % Tile::kInner == 0, "tiles divide a chunk");
    row += Tile::kInner;
    const bool isInside = Chunk != Tile::kInner && row % Chunk != 0;
    return isInside ? row : row + (Parts - 1) * Chunk;
  }
};

/// The loop of all schedules. Rows [first, outerEnd) of the outer operands, as many as a tile has;
/// inner rows `rows` of each of `innerHeads` heads.
template <typename Tile, template <typename> class Schedule, typename Sums, typename Mask,
          typename Chain, typename Outer0, typename Outer1, typename Inner0, typename Inner1,
          typename Lse, typename Delta, typename InnerRows, typename Index>
__device__ __forceinline__ void
attentionLoop(Schedule<Tile> &schedule, Sums &sums, const Mask &mask, const Chain &chain,
              const Outer0 &outer0, const Outer1 &outer1, Index first, Index outerEnd,
              const Inner0 &inner0, const Inner1 &inner1, const Lse &lse, const Delta &delta,
              const InnerRows &rows, Index innerHeads, int packedHeads) {
  using Plan = Schedule<Tile>;
  using Shared = AttentionShared<Tile, Schedule>;
  using Element = typename Tile::Element;
  using Real = typename Tile::Real;
  using Contraction = typename ContractionOf<Tile>::Type;
  auto *const outer = reinterpret_cast<Element *>(dynamicShared());
  Element *const inner = outer + Plan::kScores * Shared::kOuterTile;
  auto *const statistics = reinterpret_cast<Real *>(outer + Shared::kElements);
  const Place<Tile> place;
  Real *const scratch =
      statistics + Shared::kStatistics + static_cast<int>(threadIdx.x) / kWarp * Tile::kWeights;

  const auto tileOf = [&](int operand, int stage) {
    return inner + (operand * Tile::kStages + stage) * Shared::kInnerTile;
  };
  const auto statisticOf = [&](int which, int stage) {
    return statistics + (which * Tile::kStages + stage) * Tile::kInner;
  };
  const auto copyFirst = [&](Index head, Index row, int stage) {
    copyRows<Tile, Tile::kInner>(tileOf(0, stage), inner0.ofHead(head), row, rows.end);
  };
  const auto copySecond = [&](Index head, Index row, int stage) {
    copyRows<Tile, Tile::kInner>(tileOf(1, stage), inner1.ofHead(head), row, rows.end);
    if constexpr (Plan::kStatisticsOfColumns) {
      copyStatistic<Tile, Tile::kInner>(statisticOf(0, stage), lse.ofHead(head), row, rows.end);
      copyStatistic<Tile, Tile::kInner>(statisticOf(1, stage), delta.ofHead(head), row, rows.end);
    }
  };

  Index head = rows.begin < rows.end ? Index(0) : innerHeads, row = rows.begin;
  if (head == innerHeads)
    return;
  copyRows<Tile, Tile::kOuter>(outer, outer0, first, outerEnd);
  if constexpr (Plan::kScores == 2)
    copyRows<Tile, Tile::kOuter>(outer + Shared::kOuterTile, outer1, first, outerEnd);
  int stage = 0;
  copyFirst(head, row, stage);
  if constexpr (Tile::kStages == 2)
    copySecond(head, row, stage);
  commitCopies();
#pragma unroll 1
  while (head < innerHeads) {
    Index nextHead = head, nextRow = rows.template after<Tile>(row);
    if (nextRow >= rows.end) {
      nextRow = rows.begin;
      ++nextHead;
    }
    const bool more = nextHead < innerHeads;
    const int nextStage = Tile::kStages == 2 ? 1 - stage : 0;
    // This tile is there, and all warps are done with the one before it.
    waitCopies<0>();
    __syncthreads();
    if constexpr (Tile::kStages == 1) {
      copySecond(head, row, stage);
    } else if (more) {
      copyFirst(nextHead, nextRow, nextStage);
      copySecond(nextHead, nextRow, nextStage);
    }
    commitCopies();

    typename Tile::Scores scores[Plan::kScores] = {};
    const int column = place.firstColumn();
    Contraction::scores(scores[0], outer + place.row * Tile::kStride,
                        tileOf(0, stage) + column * Tile::kStride);
    if constexpr (Plan::kScores == 2)
      Contraction::scores(scores[1], outer + Shared::kOuterTile + place.row * Tile::kStride,
                          tileOf(1, stage) + column * Tile::kStride);
    applyChain<Tile>(scores[0], chain);
    maskScores<Tile, Plan::kOuterIsQueries>(scores[0], mask, first, row + column, packedHeads);
    schedule.weigh(scores, sums, chain, statisticOf(0, stage) + column,
                   statisticOf(1, stage) + column);

    if constexpr (Tile::kStages == 1) {
      waitCopies<0>();
      __syncthreads();
      if (more)
        copyFirst(nextHead, nextRow, nextStage);
      commitCopies();
    }
    const int right = column * Tile::kStride + place.firstDepth();
    using First = typename Plan::First;
    Contraction::addWeighted(sums[0], scores[First::kWeights], tileOf(First::kInner, stage) + right,
                             scratch);
    if constexpr (Plan::kSums == 2) {
      using Second = typename Plan::Second;
      Contraction::addWeighted(sums[1], scores[Second::kWeights],
                               tileOf(Second::kInner, stage) + right, scratch);
    }
    head = nextHead;
    row = nextRow;
    stage = nextStage;
  }
}

/// Rows before `end`, each times its factor [kRowTiles][2]. Warps that share a row's keys store
/// their part of the depth.
template <typename Tile, typename To, typename Index>
__device__ __forceinline__ void
storeRows(const To &to, Index first, Index end, const typename Tile::Sums &sums,
          const typename Tile::Real (&factors)[Tile::kRowTiles][2]) {
  using Storage = typename To::Storage;
  const Place<Tile> place;
#pragma unroll
  for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
    const Index row = first + place.rowOf(r / 2, r % 2);
    if (row >= end)
      continue;
    Storage *const at = to.at(row);
    const auto factor = factors[r / 2][r % 2];
#pragma unroll
    for (int d = 0; d < Tile::kDepthTiles; ++d) {
      if (Tile::kKeyWarps > 1 && d % Tile::kKeyWarps != place.part)
        continue;
      const auto low = sums[r / 2][d][r % 2 * 2] * factor;
      const auto high = sums[r / 2][d][r % 2 * 2 + 1] * factor;
      const int column = place.firstDepth() + 8 * d + place.lane % 4 * 2;
      if constexpr (isSame<Storage, bfloat16> && To::kChunk >= 4) {
        if (column < Tile::kHeadDim)
          *reinterpret_cast<unsigned *>(at + column) = packed(low, high);
      } else {
        if (column < Tile::kHeadDim)
          at[column * to.depth] = converted<Storage>(low);
        if (column + 1 < Tile::kHeadDim)
          at[(column + 1) * to.depth] = converted<Storage>(high);
      }
    }
  }
}

/// Adds up what the warps of one row found in their keys, in the order of the warps.
template <typename Tile>
__device__ __forceinline__ void combineParts(Forward<Tile> &schedule, typename Tile::Sums &sums,
                                             typename Tile::Real scale) {
  using Real = typename Tile::Real;
  constexpr int depth = 4 * Tile::kDepthTiles;
  constexpr int numbers = AttentionShared<Tile, Forward>::kPartial;
  auto *const parts = reinterpret_cast<Real *>(dynamicShared());
  const Place<Tile> place;
  const auto of = [&](int part, int number) -> Real & {
    const int warp =
        part * Tile::kRowWarps + static_cast<int>(threadIdx.x) / kWarp % Tile::kRowWarps;
    return parts[(warp * numbers + number) * kWarp + place.lane];
  };
#pragma unroll
  for (int r = 0; r < Tile::kRowTiles; ++r) {
    __syncthreads(); // the tiles, or the parts of the rows before, have been read
#pragma unroll
    for (int i = 0; i < depth; ++i)
      of(place.part, i) = sums[r][i / 4][i % 4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      of(place.part, depth + half) = schedule.largest[r][half];
      of(place.part, depth + 2 + half) = schedule.total[r][half];
    }
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Real most = minusInfinity<Real>(), total = 0, weights[Tile::kKeyWarps];
#pragma unroll
      for (int part = 0; part < Tile::kKeyWarps; ++part)
        most = larger(most, of(part, depth + half));
      const Real shift = most == minusInfinity<Real>() ? Real(0) : most * scale;
#pragma unroll
      for (int part = 0; part < Tile::kKeyWarps; ++part) {
        weights[part] = powerOfTwo(fused(of(part, depth + half), scale, -shift));
        total += of(part, depth + 2 + half) * weights[part];
      }
      schedule.largest[r][half] = most;
      schedule.total[r][half] = total;
#pragma unroll
      for (int d = 0; d < Tile::kDepthTiles; ++d) {
        if (d % Tile::kKeyWarps != place.part)
          continue;
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          Real sum = 0;
#pragma unroll
          for (int part = 0; part < Tile::kKeyWarps; ++part)
            sum += of(part, 4 * d + i) * weights[part];
          sums[r][d][i] = sum;
        }
      }
    }
  }
}

/// Each row's sums of the lanes that share it.
template <typename Tile> __device__ __forceinline__ void combineLanes(Forward<Tile> &schedule) {
#pragma unroll
  for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
    auto &total = schedule.total[r / 2][r % 2];
    total += __shfl_xor_sync(0xffffffffu, total, 1);
    total += __shfl_xor_sync(0xffffffffu, total, 2);
  }
}

/// Stores what the rows before `end` found: weighted sums over totals, and the log-sum-exp. Of a row
/// that saw no key, which MayBeNone allows: 0 and -infinity.
template <typename Tile, bool MayBeNone = false, typename Chain, typename Out, typename Lse,
          typename Index>
__device__ __forceinline__ void
storeForward(const Forward<Tile> &schedule, const typename Tile::Sums &sums, const Chain &chain,
             Index first, Index end, const Out &out, const Lse &lse) {
  using Real = typename Tile::Real;
  const Place<Tile> place;
  Real factors[Tile::kRowTiles][2];
#pragma unroll
  for (int r = 0; r < 2 * Tile::kRowTiles; ++r) {
    const Real total = schedule.total[r / 2][r % 2];
    factors[r / 2][r % 2] = total == 0 ? Real(0) : 1 / total;
    const Index row = first + place.rowOf(r / 2, r % 2);
    if (place.part == 0 && place.lane % 4 == 0 && row < end)
      *lse.at(row) = converted<typename Lse::Storage>(
          MayBeNone && total == 0
              ? minusInfinity<Real>()
              : fused(schedule.largest[r / 2][r % 2], chain.naturalScale(), logarithm(total)));
  }
  storeRows<Tile>(out, first, end, sums, factors);
}

/// Of the keys `rows`: out = softmax(scores) v and the log-sum-exp, for rows [first, end) of q.
template <typename Tile, int PackedHeads, typename Mask, typename Chain, typename InnerRows,
          typename Q, typename K, typename V, typename Out, typename Lse, typename Index>
__device__ __forceinline__ void
attentionOver(const Mask &mask, const Chain &chain, Index first, Index end, const InnerRows &rows,
              const Q &q, const K &k, const V &v, const Out &out, const Lse &lse) {
  Forward<Tile> schedule;
  typename Tile::Sums sums[1] = {};
  attentionLoop<Tile, Forward>(schedule, sums, mask, chain, q, q, first, end, k, v, lse, lse, rows,
                               Index(1), PackedHeads);
  combineLanes<Tile>(schedule);
  if constexpr (Tile::kKeyWarps > 1) {
    if (!InnerRows::kMayBeNone || rows.begin < rows.end) // nothing is not waited for
      combineParts<Tile>(schedule, sums[0], chain.log2Scale);
  }
  storeForward<Tile, InnerRows::kMayBeNone>(schedule, sums[0], chain, first, end, out, lse);
}

/// out = softmax(scores) v and the log-sum-exp, for rows [first, end) of q.
template <typename Tile, int PackedHeads, typename Mask, typename Chain, typename Q, typename K,
          typename V, typename Out, typename Lse, typename Index>
__device__ __forceinline__ void attentionForward(const Mask &mask, const Chain &chain, Index first,
                                                 Index end, const Q &q, const K &k, const V &v,
                                                 const Out &out, const Lse &lse) {
  const Index last = minimum(first + Tile::kOuter, end) - 1;
  const EveryRow<Index> keys = {mask.keysFrom(first / PackedHeads),
                                mask.keysBefore(last / PackedHeads + 1)};
  attentionOver<Tile, PackedHeads>(mask, chain, first, end, keys, q, k, v, out, lse);
}

/// The same of one part of the keys. Where the rows see none of it, 0 and -infinity.
template <typename Tile, int PackedHeads, int Parts, int Chunk, typename Mask, typename Chain,
          typename Q, typename K, typename V, typename Out, typename Lse, typename Index>
__device__ __forceinline__ void attentionPart(const Mask &mask, const Chain &chain, Index first,
                                              Index end, Index part, const Q &q, const K &k,
                                              const V &v, const Out &out, const Lse &lse) {
  const Index last = minimum(first + Tile::kOuter, end) - 1;
  const RowsOfPart<Parts, Chunk, Index> keys(part, mask.keysFrom(first / PackedHeads),
                                             mask.keysBefore(last / PackedHeads + 1));
  attentionOver<Tile, PackedHeads>(mask, chain, first, end, keys, q, k, v, out, lse);
}

template <typename Tile>
__device__ __forceinline__ void fill(typename Tile::Real (&factors)[Tile::kRowTiles][2],
                                     typename Tile::Real value) {
#pragma unroll
  for (int r = 0; r < 2 * Tile::kRowTiles; ++r)
    factors[r / 2][r % 2] = value;
}

/// dq for queries [first, end).
template <typename Tile, typename Mask, typename Chain, typename Q, typename Dout, typename K,
          typename V, typename Lse, typename Delta, typename Out, typename Index>
__device__ __forceinline__ void attentionDq(const Mask &mask, const Chain &chain, Index first,
                                            Index end, const Q &q, const Dout &dout, const K &k,
                                            const V &v, const Lse &lse, const Delta &delta,
                                            const Out &dq) {
  Dq<Tile> schedule(lse, delta, first, end);
  typename Tile::Sums sums[1] = {};
  const EveryRow<Index> keys = {mask.keysFrom(first),
                                mask.keysBefore(minimum(first + Tile::kOuter, end))};
  attentionLoop<Tile, Dq>(schedule, sums, mask, chain, q, dout, first, end, k, v, lse, delta, keys,
                          Index(1), 1);
  typename Tile::Real factors[Tile::kRowTiles][2];
  fill<Tile>(factors, chain.scale);
  storeRows<Tile>(dq, first, end, sums[0], factors);
}

/// dk and dv for keys [first, mask.keys), summed over the `heads` query heads that read them.
template <typename Tile, typename Mask, typename Chain, typename Q, typename Dout, typename K,
          typename V, typename Lse, typename Delta, typename Dk, typename Dv, typename Index>
__device__ __forceinline__ void attentionDkDv(const Mask &mask, const Chain &chain, Index first,
                                              Index queries, Index heads, const K &k, const V &v,
                                              const Q &q, const Dout &dout, const Lse &lse,
                                              const Delta &delta, const Dk &dk, const Dv &dv) {
  DkDv<Tile> schedule;
  typename Tile::Sums sums[2] = {};
  const EveryRow<Index> rows = {
      mask.queriesFrom(first),
      mask.queriesBefore(minimum(first + Tile::kOuter, mask.keys), queries)};
  attentionLoop<Tile, DkDv>(schedule, sums, mask, chain, k, v, first, mask.keys, q, dout, lse,
                            delta, rows, heads, 1);
  typename Tile::Real factors[Tile::kRowTiles][2];
  fill<Tile>(factors, 1);
  storeRows<Tile>(dv, first, mask.keys, sums[0], factors);
  fill<Tile>(factors, chain.scale);
  storeRows<Tile>(dk, first, mask.keys, sums[1], factors);
}

} // namespace lmc
