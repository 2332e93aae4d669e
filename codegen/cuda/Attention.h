// The attention family: schedules and tiles. One loop (device/attention.cuh) computes forward, decode
// and both adjoints; a schedule says what a block keeps and what passes by, a tile how large the
// pieces are and how the block's warps share them.
//
// Decode keeps the query heads of a key head as rows of one tile, and its warps share the keys, so
// that one launch of batch x key heads blocks reads the cache once. Where those are few and the cache
// is long, lm-split-attention shares the keys among several blocks with the same tile
// (lm.attention_parts), and a row kernel combines what they find.
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
inline const AttentionSchedule kAttentionParts = {"attentionPart"};
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

/// The same for an adjoint: lmc::AdjointShared asserts the bytes.
struct WarpgroupAdjointTile {
  int inner = 0, stages = 3;
  unsigned sharedBytes = 0;

  WarpgroupAdjointTile(const AttentionSchedule &schedule, int headDim);
};

constexpr int kLargestHeadDim = 256;
/// Of adjoints by warpgroups: sums of wider heads leave no registers for scores.
constexpr int kLargestWarpgroupAdjoint = 128;
/// Below, more than half of a tile of sm_90a would be zeros: those keep the tiles of sm_80.
constexpr int kSmallestWarpgroupHeadDim = 40;
/// Rows of a tile in which decode packs the queries of all heads of a key head.
constexpr int64_t kLargestDecodeTile = 32;

/// `decodeRows`: rows of that tile, or 0. Its inner tiles divide `chunk`, a multiple of 16; 0: any do.
AttentionTile attentionTile(const AttentionSchedule &schedule, mlir::Type element, int headDim,
                            int64_t decodeRows, int64_t chunk = 0);

} // namespace lmc::cuda
