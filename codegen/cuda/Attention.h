// The attention family: schedules and tiles. One loop (device/attention.cuh) computes forward, decode
// and both adjoints; a schedule says what a block keeps and what passes by, a tile how large the
// pieces are and how the block's warps share them.
//
// Decode keeps the query heads of a key head as rows of one tile, and its warps share the keys, so
// that one launch of batch x key heads blocks reads the cache once. With fewer such blocks than the
// machine has multiprocessors that leaves some idle (Llama-1B, one sequence: 8 of 132 work). A second
// launch could combine what several blocks find in parts of one cache; the plan has one launch a
// kernel today. On sm_90 a cluster of blocks could do so within one.
#pragma once

#include "mlir/IR/Types.h"

#include <cstdint>

namespace lmc::cuda {

struct AttentionSchedule {
  llvm::StringRef function; ///< of the device library
  bool outerIsQueries = true;
  int scores = 1; ///< score matrices of a tile; as many outer operands
  int sums = 1;   ///< weighted sums of rows
  bool statisticsOfColumns = false;
};

inline const AttentionSchedule kAttentionForward = {"attentionForward"};
inline const AttentionSchedule kAttentionDq = {"attentionDq", true, 2};
inline const AttentionSchedule kAttentionDkDv = {"attentionDkDv", false, 2, 2, true};

/// Template arguments of lmc::AttentionTile.
struct AttentionTile {
  int outer = 0, inner = 0;
  int rowWarps = 1, keyWarps = 1, columnWarps = 1;
  int stages = 2;

  unsigned threads() const { return 32 * rowWarps * keyWarps * columnWarps; }
  /// Dynamic shared memory; the printed kernel asserts that it takes as much.
  unsigned sharedBytes(const AttentionSchedule &schedule, mlir::Type element, int headDim) const;
};

/// Template arguments of lmc::WarpgroupTile, the forward pass of sm_90a.
struct WarpgroupTile {
  static constexpr int kOuter = 128;
  static constexpr unsigned kThreads = 384;
  int inner = 0, stages = 2;
  unsigned sharedBytes = 0; ///< the printed kernel asserts it

  explicit WarpgroupTile(int headDim);
};

constexpr int kLargestHeadDim = 256;
/// Below, more than half of a tile of sm_90a would be zeros: those keep the tiles of sm_80.
constexpr int kSmallestWarpgroupHeadDim = 40;
/// Rows of a tile in which decode packs the queries of all heads of a key head.
constexpr int64_t kLargestDecodeTile = 32;

/// `decodeRows`: rows of that tile, or 0.
AttentionTile attentionTile(const AttentionSchedule &schedule, mlir::Type element, int headDim,
                            int64_t decodeRows);

} // namespace lmc::cuda
