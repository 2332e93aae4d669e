// Attention's forward pass for sm_90a. A block has 128 queries of one head: two warpgroups with 64 each
// multiply, a third copies tiles of keys and values ahead of them through two rings in shared memory.
// The scores of the next tile are computed while the weighted sums of the last one are: exponentials
// of one warpgroup run beside products of its own and of the other.
// Source: Shah et al. 2024, arXiv:2407.08608.

#ifdef LMC_HOPPER
namespace lmc {

/// As AttentionTile; Registers: of a thread that copies, and of one that multiplies.
template <int HeadDim, int Inner, int Stages> struct WarpgroupTile {
  using Element = bfloat16;
  using Real = float;
  static constexpr bool kTensorCores = true;
  static constexpr int kHeadDim = HeadDim, kOuter = 128, kInner = Inner, kRowWarps = 8,
                       kKeyWarps = 1, kColumnWarps = 1, kStages = Stages;
  static constexpr int kConsumers = 2 * kWarpgroup, kThreads = kConsumers + kWarpgroup;
  static constexpr int kCopyRegisters = 24, kMultiplyRegisters = 240;
  static constexpr int kRowTiles = 1, kColumnTiles = Inner / 8;
  /// Columns of the sums, as startProduct() has them; zeros behind HeadDim.
  static constexpr int kDepth = HeadDim <= 64    ? 64
                                : HeadDim <= 80  ? 80
                                : HeadDim <= 96  ? 96
                                : HeadDim <= 128 ? 128
                                                 : 256;
  static constexpr int kDepthTiles = kDepth / 8;
  static constexpr int kBoxes = (HeadDim + kTileLine - 1) / kTileLine; ///< of an operand's lines
  static constexpr int kQueryBytes = kBoxes * kTileBytes<kOuter>,
                       kInnerBytes = kBoxes * kTileBytes<kInner>;
  static constexpr int kBytes =
      kQueryBytes + 2 * Stages * kInnerBytes + (1 + 4 * Stages) * static_cast<int>(sizeof(Barrier));
  static_assert(HeadDim <= 256, "");

  using Scores = Real[kRowTiles][kColumnTiles][4];
  using Sums = Real[kRowTiles][kDepthTiles][4];
};

/// Where things lie in shared memory: queries, stages of keys, stages of values, barriers.
template <typename Tile> struct WarpgroupShared {
  unsigned char *const queries = dynamicShared();
  Barrier *const queriesFull = reinterpret_cast<Barrier *>(queries + Tile::kQueryBytes +
                                                           2 * Tile::kStages * Tile::kInnerBytes);

  /// Operand 0: keys, 1: values.
  __device__ __forceinline__ unsigned char *tile(int operand, int stage) const {
    return queries + Tile::kQueryBytes + (operand * Tile::kStages + stage) * Tile::kInnerBytes;
  }
  __device__ __forceinline__ Barrier *full(int operand, int stage) const {
    return queriesFull + 1 + operand * Tile::kStages + stage;
  }
  __device__ __forceinline__ Barrier *empty(int operand, int stage) const {
    return full(operand, stage) + 2 * Tile::kStages;
  }
};

/// Lines from `row` on of one head: boxes along the head dimension. The map's dimensions are head_dim,
/// heads, tokens, batch.
template <typename Tile, int Lines>
__device__ __forceinline__ void copyHead(unsigned char *to, const TensorMap &from, Barrier *barrier,
                                         int head, int row, int batch) {
  arriveExpecting(barrier, Tile::kBoxes * kTileBytes<Lines>);
#pragma unroll
  for (int box = 0; box < Tile::kBoxes; ++box)
    copyTile(to + box * kTileBytes<Lines>, from, barrier,
             Coordinates<4>{box * kTileLine, head, row, batch});
}

/// The copying thread: queries, then keys and values of `tiles` tiles from `firstKey` on, in the order of
/// their use.
template <typename Tile>
__device__ __forceinline__ void copyTiles(const TensorMap &q, const TensorMap &k,
                                          const TensorMap &v, int queryHead, int keyHead, int batch,
                                          int firstQuery, int firstKey, int tiles) {
  const WarpgroupShared<Tile> shared;
  Ring<Tile::kStages> rings[2];
  const auto copy = [&](int operand, int tile) {
    Ring<Tile::kStages> &ring = rings[operand];
    waitForPhase(shared.empty(operand, ring.stage), ring.parity ^ 1);
    copyHead<Tile, Tile::kInner>(shared.tile(operand, ring.stage), operand ? v : k,
                                 shared.full(operand, ring.stage), keyHead,
                                 firstKey + tile * Tile::kInner, batch);
    ring.advance();
  };
  copyHead<Tile, Tile::kOuter>(shared.queries, q, shared.queriesFull, queryHead, firstQuery, batch);
  copy(0, 0);
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles)
      copy(0, tile + 1);
    copy(1, tile);
  }
}

/// Starts the warpgroup's scores: its 64 queries times a tile of keys.
template <typename Tile>
__device__ __forceinline__ void startScores(typename Tile::Scores &scores,
                                            const unsigned char *queries,
                                            const unsigned char *keys) {
#pragma unroll
  for (int d = 0; d < Tile::kHeadDim; d += kTileStep)
    startProduct<Tile::kInner, false, false>(scores[0], matrixAlongDepth<Tile::kOuter>(queries, d),
                                             matrixAlongDepth<Tile::kInner>(keys, d), d > 0);
}

/// A row's weights of a tile of keys as the left operand of products.
template <typename Tile> using Weights = Fragment<4>[Tile::kInner / kTileStep];

template <typename Tile>
__device__ __forceinline__ void packWeights(Weights<Tile> &weights,
                                            const typename Tile::Scores &scores) {
#pragma unroll
  for (int n = 0; n < Tile::kColumnTiles; n += 2) {
    const auto &low = scores[0][n], &high = scores[0][n + 1];
    weights[n / 2] = {packed(low[0], low[1]), packed(low[2], low[3]), packed(high[0], high[1]),
                      packed(high[2], high[3])};
  }
}

/// Starts sums += weights times a tile of values.
template <typename Tile>
__device__ __forceinline__ void startSums(typename Tile::Sums &sums, const Weights<Tile> &weights,
                                          const unsigned char *values) {
#pragma unroll
  for (int n = 0; n < Tile::kInner; n += kTileStep)
    startProduct<Tile::kDepth, true>(sums[0], weights[n / kTileStep],
                                     matrixAcross<Tile::kInner>(values, n), true);
}

/// attentionForward() of a block of Tile::kThreads; q, k and v as copyHead() reads them.
template <typename Tile, typename Mask, typename Chain, typename Out, typename Lse, typename Index>
__device__ __forceinline__ void
attentionForwardTiles(const Mask &mask, const Chain &chain, Index first, Index end,
                      const TensorMap &q, const TensorMap &k, const TensorMap &v, int queryHead,
                      int keyHead, int batch, const Out &out, const Lse &lse) {
  const WarpgroupShared<Tile> shared;
  const int thread = static_cast<int>(threadIdx.x);
  const Index keysBegin = mask.keysFrom(first);
  const Index keysEnd = mask.keysBefore(minimum(first + Tile::kOuter, end));
  if (thread == 0) {
    initialise(shared.queriesFull, 1);
    for (int i = 0; i < 2 * Tile::kStages; ++i) {
      initialise(shared.full(0, i), 1); // of values behind those of keys
      initialise(shared.empty(0, i), Tile::kConsumers / kWarp);
    }
    publishBarriers();
  }
  __syncthreads();

  if (thread >= Tile::kConsumers) {
    giveRegisters<Tile::kCopyRegisters>();
    if (thread == Tile::kConsumers)
      copyTiles<Tile>(q, k, v, queryHead, keyHead, batch, static_cast<int>(first),
                      static_cast<int>(keysBegin),
                      static_cast<int>((keysEnd - keysBegin + Tile::kInner - 1) / Tile::kInner));
    return;
  }
  takeRegisters<Tile::kMultiplyRegisters>();
  const unsigned char *const queries = shared.queries + thread / kWarpgroup * kTileBytes<64>;
  const auto release = [&](int operand, Ring<Tile::kStages> &ring) {
    if (thread % kWarp == 0)
      arrive(shared.empty(operand, ring.stage));
    ring.advance();
  };
  Forward<Tile> schedule;
  typename Tile::Scores scores;
  typename Tile::Sums sums = {};
  Weights<Tile> weights;
  Ring<Tile::kStages> keys, values;
  const auto weigh = [&](Index row, float(&decays)[2]) {
    applyChain<Tile>(scores, chain);
    maskScores<Tile, true>(scores, mask, first, row, 1);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      decays[half] = schedule.weighRow(scores, 0, half, chain.log2Scale);
  };

  float decays[2];
  waitForPhase(shared.queriesFull, 0);
  waitForPhase(shared.full(0, keys.stage), keys.parity);
  fenceProducts();
  startScores<Tile>(scores, queries, shared.tile(0, keys.stage));
  commitProducts();
  waitProducts<0>();
  keep(scores[0]);
  release(0, keys);
  weigh(keysBegin, decays); // there is nothing yet that could decay
  packWeights<Tile>(weights, scores);
#pragma unroll 1
  for (Index row = keysBegin + Tile::kInner; row < keysEnd; row += Tile::kInner) {
    waitForPhase(shared.full(0, keys.stage), keys.parity);
    fenceProducts();
    startScores<Tile>(scores, queries, shared.tile(0, keys.stage));
    commitProducts();
    waitForPhase(shared.full(1, values.stage), values.parity);
    fenceProducts(); // the sums have decayed
    startSums<Tile>(sums, weights, shared.tile(1, values.stage));
    commitProducts();
    waitProducts<1>(); // the scores
    keep(scores[0]);
    release(0, keys);
    weigh(row, decays);
    waitProducts<0>(); // the sums
    keep(sums[0]);
    release(1, values);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      schedule.decayRow(sums, 0, half, decays[half]);
    packWeights<Tile>(weights, scores);
  }
  waitForPhase(shared.full(1, values.stage), values.parity);
  fenceProducts();
  startSums<Tile>(sums, weights, shared.tile(1, values.stage));
  commitProducts();
  waitProducts<0>();
  keep(sums[0]);
  combineLanes<Tile>(schedule);
  storeForward<Tile>(schedule, sums, chain, first, end, out, lse);
}

} // namespace lmc
#endif
