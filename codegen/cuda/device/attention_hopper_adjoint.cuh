// Attention's adjoints for sm_90a: the loops of attention.cuh with products of warpgroups. A block keeps 128 rows of
// its two outer operands, two warpgroups have 64 each; a third copies tiles of the two inner operands ahead of them
// through a ring in shared memory, and for dk and dv the statistics of their rows:
//
//               outer    inner     scores           sums
//   Dq          q, dout  k, v      q k^T, dout v^T  dS k
//   DkDv        k, v     q, dout   k q^T, v dout^T  P^T dout, dS^T q
//
// Weights are left operands in registers, where the scores end. Where registers allow it, the sums of a tile are
// computed beside the exponentials of the next one; else those of one warpgroup run beside the products of the other.
// No atomics: every sum has one order.
// Source: Shah et al. 2024, arXiv:2407.08608; Dao 2023, arXiv:2307.08691.

#ifdef LMC_HOPPER
namespace lmc {

/// Do the registers of a thread hold the weights of a tile beside the scores of the next one? Then the sums of the one
/// are computed beside the exponentials of the other.
template <typename Tile, int Sums> __device__ constexpr bool overlaps() {
  const int held = Sums * (4 * Tile::kDepthTiles + Tile::kInner / 4) + Tile::kInner;
  return held <= (Sums == 1 ? 192 : 160);
}

/// Where things lie in shared memory: outer operands, stages of the inner ones, of statistics, barriers.
template <typename Tile, bool Statistics> struct AdjointShared {
  static constexpr int kStages = Tile::kStages;
  static constexpr int kTileBytes = 2 * Tile::kQueryBytes + 2 * kStages * Tile::kInnerBytes;
  static constexpr int kStatisticBytes =
      Statistics ? 2 * kStages * Tile::kInner * static_cast<int>(sizeof(float)) : 0;
  static constexpr int kBytes =
      kTileBytes + kStatisticBytes + (1 + 2 * kStages) * static_cast<int>(sizeof(Barrier));
  /// Of a thread that copies, and of one that multiplies. Statistics go through registers.
  static constexpr bool kMoreToCopy = Statistics && Tile::kDepth < 128; ///< where sums leave some
  static constexpr int kCopyRegisters = kMoreToCopy ? 40 : Tile::kCopyRegisters,
                       kMultiplyRegisters = kMoreToCopy ? 232 : Tile::kMultiplyRegisters;
  /// At the barrier of a full stage: each operand's copy, and the lanes that bring the statistics.
  static constexpr int kArrivals = 2 + (Statistics ? kWarp : 0);

  unsigned char *const tiles = dynamicShared();

  __device__ __forceinline__ unsigned char *outer(int operand) const {
    return tiles + operand * Tile::kQueryBytes;
  }
  __device__ __forceinline__ unsigned char *inner(int operand, int stage) const {
    return tiles + 2 * Tile::kQueryBytes + (operand * kStages + stage) * Tile::kInnerBytes;
  }
  __device__ __forceinline__ float *statistic(int which, int stage) const {
    return reinterpret_cast<float *>(tiles + kTileBytes) + (which * kStages + stage) * Tile::kInner;
  }
  __device__ __forceinline__ Barrier *outerFull() const {
    return reinterpret_cast<Barrier *>(tiles + kTileBytes + kStatisticBytes);
  }
  __device__ __forceinline__ Barrier *full(int stage) const { return outerFull() + 1 + stage; }
  __device__ __forceinline__ Barrier *empty(int stage) const { return full(stage) + kStages; }
};

/// The four operands as copyHead() reads them, and where the block stands in them. Inner rows [begin, end) of each
/// of `heads` heads from innerHead on.
struct AdjointOperands {
  const TensorMap &outer0, &outer1, &inner0, &inner1;
  int outerHead, innerHead, batch, first, begin, end, heads;
};

/// Calls visit(head, row, stage, parity) for each inner tile, in the order of their use.
template <typename Tile, typename Visit>
__device__ __forceinline__ void forEachInnerTile(const AdjointOperands &of, Visit visit) {
  Ring<Tile::kStages> ring;
#pragma unroll 1
  for (int head = 0; head < of.heads; ++head)
#pragma unroll 1
    for (int row = of.begin; row < of.end; row += Tile::kInner) {
      visit(head, row, ring.stage, ring.parity);
      ring.advance();
    }
}

/// Begins a block of Tile::kThreads. The third warpgroup copies all tiles and is done: false.
template <typename Tile, bool Statistics, typename Lse, typename Delta, typename Index>
__device__ __forceinline__ bool beginAdjoint(const AdjointOperands &of, const Lse &lse,
                                             const Delta &delta, Index queries) {
  using Shared = AdjointShared<Tile, Statistics>;
  const Shared shared;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    initialise(shared.outerFull(), 2);
    for (int stage = 0; stage < Tile::kStages; ++stage) {
      initialise(shared.full(stage), Shared::kArrivals);
      initialise(shared.empty(stage), Tile::kConsumers / kWarp);
    }
    publishBarriers();
  }
  __syncthreads();
  if (thread < Tile::kConsumers) {
    takeRegisters<Shared::kMultiplyRegisters>();
    return true;
  }
  giveRegisters<Shared::kCopyRegisters>();
  if (thread == Tile::kConsumers) {
    copyHead<Tile, Tile::kOuter>(shared.outer(0), of.outer0, shared.outerFull(), of.outerHead,
                                 of.first, of.batch);
    copyHead<Tile, Tile::kOuter>(shared.outer(1), of.outer1, shared.outerFull(), of.outerHead,
                                 of.first, of.batch);
    forEachInnerTile<Tile>(of, [&](int head, int row, int stage, unsigned parity) {
      waitForPhase(shared.empty(stage), parity ^ 1);
      copyHead<Tile, Tile::kInner>(shared.inner(0, stage), of.inner0, shared.full(stage),
                                   of.innerHead + head, row, of.batch);
      copyHead<Tile, Tile::kInner>(shared.inner(1, stage), of.inner1, shared.full(stage),
                                   of.innerHead + head, row, of.batch);
    });
  }
  if constexpr (Statistics) {
    const int lane = thread - Tile::kConsumers - kWarp;
    if (lane >= 0 && lane < kWarp)
      forEachInnerTile<Tile>(of, [&](int head, int row, int stage, unsigned parity) {
        waitForPhase(shared.empty(stage), parity ^ 1);
#pragma unroll 1 // few registers are left to those who copy
        for (int i = lane; i < Tile::kInner; i += kWarp) {
          const bool inside = row + i < queries; // operands are zeros behind the last query
          shared.statistic(0, stage)[i] =
              inside ? converted<float>(*lse.ofHead(head).at(row + i)) : 0.0f;
          shared.statistic(1, stage)[i] =
              inside ? converted<float>(*delta.ofHead(head).at(row + i)) : 0.0f;
        }
        arrive(shared.full(stage));
      });
  }
  return false;
}

/// attentionLoop() of the first two warpgroups.
template <typename Tile, template <typename> class Schedule, typename Sums, typename Mask,
          typename Chain, typename Index>
__device__ __forceinline__ void adjointLoop(Schedule<Tile> &schedule, Sums &sums, const Mask &mask,
                                            const Chain &chain, Index first,
                                            const AdjointOperands &of) {
  using Plan = Schedule<Tile>;
  const AdjointShared<Tile, Plan::kStatisticsOfColumns> shared;
  const int thread = static_cast<int>(threadIdx.x);
  const int ownRows = thread / kWarpgroup * kTileBytes<64>;
  typename Tile::Scores scores[2];
  Weights<Tile> weights[Plan::kSums];
  const auto release = [&](int stage) {
    if (thread % kWarp == 0)
      arrive(shared.empty(stage));
  };
  const auto startBoth = [&](int stage) {
    startScores<Tile>(scores[0], shared.outer(0) + ownRows, shared.inner(0, stage));
    startScores<Tile>(scores[1], shared.outer(1) + ownRows, shared.inner(1, stage));
    commitProducts();
  };
  const auto startAll = [&](int stage) {
    startSums<Tile>(sums[0], weights[0], shared.inner(Plan::First::kInner, stage));
    if constexpr (Plan::kSums == 2)
      startSums<Tile>(sums[1], weights[1], shared.inner(Plan::Second::kInner, stage));
    commitProducts();
  };
  const auto keepSums = [&] {
    keep(sums[0][0]);
    if constexpr (Plan::kSums == 2)
      keep(sums[1][0]);
  };
  const auto weigh = [&](int row, int stage) {
    keep(scores[0][0]);
    keep(scores[1][0]);
    applyChain<Tile>(scores[0], chain);
    maskScores<Tile, Plan::kOuterIsQueries>(scores[0], mask, first, static_cast<Index>(row), 1);
    schedule.weigh(scores, sums, chain, shared.statistic(0, stage), shared.statistic(1, stage));
  };
  const auto pack = [&] {
    packWeights<Tile>(weights[0], scores[Plan::First::kWeights]);
    if constexpr (Plan::kSums == 2)
      packWeights<Tile>(weights[1], scores[Plan::Second::kWeights]);
  };

  keepSums(); // zeros, before the first fence
  waitForPhase(shared.outerFull(), 0);
  if constexpr (!overlaps<Tile, Plan::kSums>()) {
    forEachInnerTile<Tile>(of, [&](int, int row, int stage, unsigned parity) {
      waitForPhase(shared.full(stage), parity);
      fenceProducts();
      startBoth(stage);
      waitProducts<0>();
      weigh(row, stage);
      pack();
      fenceProducts();
      startAll(stage);
      waitProducts<0>();
      keepSums();
      release(stage);
    });
    return;
  }
  if (of.begin >= of.end)
    return;
  Ring<Tile::kStages> ring;
  int row = of.begin, left = of.heads;
  waitForPhase(shared.full(ring.stage), ring.parity);
  fenceProducts();
  startBoth(ring.stage);
  waitProducts<0>();
  weigh(row, ring.stage);
  pack();
#pragma unroll 1
  while (true) {
    const int last = ring.stage; // whose sums are next
    row += Tile::kInner;
    if (row >= of.end) {
      row = of.begin;
      if (--left == 0)
        break;
    }
    ring.advance();
    waitForPhase(shared.full(ring.stage), ring.parity);
    fenceProducts();
    startBoth(ring.stage);
    startAll(last);
    waitProducts<1>(); // both scores
    weigh(row, ring.stage);
    waitProducts<0>(); // the last tile's sums
    keepSums();
    release(last);
    pack();
  }
  fenceProducts();
  startAll(ring.stage);
  waitProducts<0>();
  keepSums();
}

/// attentionDq() of a block of Tile::kThreads.
template <typename Tile, typename Mask, typename Chain, typename Lse, typename Delta, typename Out,
          typename Index>
__device__ __forceinline__ void
attentionDqTiles(const Mask &mask, const Chain &chain, Index first, Index end, const TensorMap &q,
                 const TensorMap &dout, const TensorMap &k, const TensorMap &v, int queryHead,
                 int keyHead, int batch, const Lse &lse, const Delta &delta, const Out &dq) {
  const Index last = mask.keysBefore(minimum(first + Tile::kOuter, end));
  const int row = static_cast<int>(first), from = static_cast<int>(mask.keysFrom(first)),
            to = static_cast<int>(last);
  const AdjointOperands of = {q, dout, k, v, queryHead, keyHead, batch, row, from, to, 1};
  if (!beginAdjoint<Tile, false>(of, lse, delta, end))
    return;
  Dq<Tile> schedule(lse, delta, first, end);
  typename Tile::Sums sums[1] = {};
  adjointLoop<Tile, Dq>(schedule, sums, mask, chain, first, of);
  float factors[Tile::kRowTiles][2];
  fill<Tile>(factors, chain.scale);
  storeRows<Tile>(dq, first, end, sums[0], factors);
}

/// attentionDkDv() of a block of Tile::kThreads, for the `heads` query heads from queryHead on.
template <typename Tile, typename Mask, typename Chain, typename Lse, typename Delta, typename Dk,
          typename Dv, typename Index>
__device__ __forceinline__ void
attentionDkDvTiles(const Mask &mask, const Chain &chain, Index first, Index queries, Index heads,
                   const TensorMap &k, const TensorMap &v, const TensorMap &q,
                   const TensorMap &dout, int queryHead, int keyHead, int batch, const Lse &lse,
                   const Delta &delta, const Dk &dk, const Dv &dv) {
  const Index last = mask.queriesBefore(minimum(first + Tile::kOuter, mask.keys), queries);
  const int row = static_cast<int>(first), from = static_cast<int>(mask.queriesFrom(first)),
            to = static_cast<int>(last), count = static_cast<int>(heads);
  const AdjointOperands of = {k, v, q, dout, keyHead, queryHead, batch, row, from, to, count};
  if (!beginAdjoint<Tile, true>(of, lse, delta, queries))
    return;
  DkDv<Tile> schedule;
  typename Tile::Sums sums[2] = {};
  adjointLoop<Tile, DkDv>(schedule, sums, mask, chain, first, of);
  float factors[Tile::kRowTiles][2];
  fill<Tile>(factors, 1);
  storeRows<Tile>(dv, first, mask.keys, sums[0], factors);
  fill<Tile>(factors, chain.scale);
  storeRows<Tile>(dk, first, mask.keys, sums[1], factors);
}

} // namespace lmc
#endif
