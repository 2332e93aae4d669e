// Products of bf16 for sm_90a: a block computes 128 x 128 of the result. A warp copies tiles of both
// operands into a ring of stages; two warpgroups with 64 rows each multiply from there. The sums end
// where multiplyTiles() leaves them, for the same epilogue. Two blocks fit into a multiprocessor, so
// that one stores while the other multiplies.

#ifdef LMC_HOPPER
namespace lmc {

/// AlongDepth of an operand as Operand's: its lines run along the depth, or across.
template <bool AlongDepthA, bool AlongDepthB, int Stages> struct WarpgroupTiles {
  static constexpr bool kAlongDepthA = AlongDepthA, kAlongDepthB = AlongDepthB;
  static constexpr int kRows = 128, kColumns = 128, kDepth = kTileLine, kStages = Stages;
  static constexpr int kConsumers = 2 * kWarpgroup, kThreads = kConsumers + kWarp;
  static constexpr int kPitch = kColumns + 8; ///< from a row of sums to the next
  static constexpr int kOperandBytes = kTileBytes<128>, kStageBytes = 2 * kOperandBytes;
  static constexpr int kBytes =
      Stages * kStageBytes + 2 * Stages * static_cast<int>(sizeof(Barrier));
  static_assert(kRows * kPitch * 4 <= Stages * kStageBytes, "sums take the place of tiles");
};

/// 128 across and 64 along the depth: one box, or two of 64 across. `at` has the batch's coordinates.
template <bool AlongDepth, int Rank>
__device__ __forceinline__ void copyOperand(unsigned char *to, const TensorMap &from,
                                            Barrier *barrier, Coordinates<Rank> at, int across,
                                            int depth) {
  at.at[AlongDepth ? 0 : 1] = depth;
#pragma unroll
  for (int box = 0; box < (AlongDepth ? 1 : 2); ++box) {
    at.at[AlongDepth ? 1 : 0] = across + box * kTileLine;
    copyTile(to + box * kTileBytes<kTileLine>, from, barrier, at);
  }
}

/// 64 across of an operand's tile (the second half: 64 further), from `depth` on.
template <bool AlongDepth>
__device__ __forceinline__ unsigned long long operandMatrix(const unsigned char *tile, int half,
                                                            int depth) {
  tile += half * kTileBytes<kTileLine>; // 64 lines, or a box
  return AlongDepth ? matrixAlongDepth<128>(tile, depth) : matrixAcross<kTileLine>(tile, depth);
}

/// a [.., k] * b [k, ..] at (row, column), at most a tile of it, as multiplyTiles(); for
/// Tiles::kThreads, of which only the first kConsumers go on to use it. atA and atB: where the batch
/// entry lies in the operands' maps.
template <typename Tiles, int RankA, int RankB>
__device__ __forceinline__ const float *
multiplyByWarpgroups(const TensorMap &a, const Coordinates<RankA> &atA, const TensorMap &b,
                     const Coordinates<RankB> &atB, int row, int column, int k) {
  unsigned char *const tiles = dynamicShared();
  auto *const full = reinterpret_cast<Barrier *>(tiles + Tiles::kStages * Tiles::kStageBytes);
  Barrier *const empty = full + Tiles::kStages;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  if (thread == 0) {
    for (int i = 0; i < Tiles::kStages; ++i) {
      initialise(full + i, 1);
      initialise(empty + i, Tiles::kConsumers / kWarp);
    }
    publishBarriers();
  }
  __syncthreads();

  Ring<Tiles::kStages> ring;
  float sums[Tiles::kColumns / 8][4] = {};
  if (thread >= Tiles::kConsumers) {
    if (lane == 0) {
#pragma unroll 1
      for (int d = 0; d < k; d += Tiles::kDepth) {
        unsigned char *const left = tiles + ring.stage * Tiles::kStageBytes;
        waitForPhase(empty + ring.stage, ring.parity ^ 1);
        arriveExpecting(full + ring.stage, Tiles::kStageBytes);
        copyOperand<Tiles::kAlongDepthA>(left, a, full + ring.stage, atA, row, d);
        copyOperand<Tiles::kAlongDepthB>(left + Tiles::kOperandBytes, b, full + ring.stage, atB,
                                         column, d);
        ring.advance();
      }
    }
    __syncwarp();
  } else {
    const auto release = [&](int stage) {
      if (lane == 0)
        arrive(empty + stage);
    };
#pragma unroll 1
    for (int d = 0; d < k; d += Tiles::kDepth) {
      const unsigned char *const left = tiles + ring.stage * Tiles::kStageBytes;
      const unsigned char *const right = left + Tiles::kOperandBytes;
      waitForPhase(full + ring.stage, ring.parity);
      fenceProducts();
#pragma unroll
      for (int s = 0; s < Tiles::kDepth; s += kTileStep)
        startProduct<Tiles::kColumns, !Tiles::kAlongDepthA, !Tiles::kAlongDepthB>(
            sums, operandMatrix<Tiles::kAlongDepthA>(left, thread / kWarpgroup, s),
            operandMatrix<Tiles::kAlongDepthB>(right, 0, s), true);
      commitProducts();
      // This stage's products run while the next one's tiles are waited for.
      waitProducts<1>();
      if (d > 0)
        release((ring.stage ? ring.stage : Tiles::kStages) - 1);
      ring.advance();
    }
    waitProducts<0>();
    keep(sums);
  }
  __syncthreads(); // sums come where tiles lay
  auto *const result = reinterpret_cast<float *>(tiles);
  if (thread < Tiles::kConsumers) {
    float *const to = result + (thread / kWarp * 16 + lane / 4) * Tiles::kPitch + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < Tiles::kColumns / 8; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Vector<float, 2> pair = {{sums[j][2 * half], sums[j][2 * half + 1]}};
        *reinterpret_cast<Vector<float, 2> *>(to + 8 * half * Tiles::kPitch + 8 * j) = pair;
      }
  }
  __syncthreads();
  return result;
}

} // namespace lmc
#endif
