// Sizes of attention's tiles. bf16: by head dimension, for the tensor cores of sm_80; the forward
// ones are those of flash-attention 3 for sm_80. sm_90a: two warpgroups with 64 queries each. f32 and f64: what registers and shared memory hold.
#include "codegen/cuda/Attention.h"

#include "mlir/IR/BuiltinTypes.h"

#include <algorithm>

namespace lmc::cuda {
namespace {

constexpr unsigned kShared = 163 << 10;     ///< of sm_80
constexpr unsigned kSharedOfTwo = 99 << 10; ///< there is more than one block, or sm_86
constexpr int kWarp = 32;

int roundUp(int n, int unit) { return (n + unit - 1) / unit * unit; }
int padded(int elements, int size) { return (elements * size / 16 | 1) * 16 / size; }

AttentionTile ofTensorCores(const AttentionSchedule &schedule, int headDim) {
  if (schedule.scores == 1)
    return headDim <= 64    ? AttentionTile{128, 112, 4, 1, 1, 1}
           : headDim <= 128 ? AttentionTile{128, 64, 4, 1, 1, 1}
                            : AttentionTile{128, 64, 8, 1, 1, 1};
  if (schedule.outerIsQueries)
    return headDim <= 64    ? AttentionTile{128, 64, 8}
           : headDim <= 96  ? AttentionTile{64, 64, 4}
           : headDim <= 128 ? AttentionTile{128, 64, 8}
                            : AttentionTile{64, 32, 4};
  return headDim <= 128 ? AttentionTile{128, 64, 8} : AttentionTile{64, 32, 4, 1, 2};
}

} // namespace

unsigned AttentionTile::sharedBytes(const AttentionSchedule &schedule, mlir::Type element,
                                    int headDim) const {
  bool tensorCores = element.isBF16();
  int size = static_cast<int>(element.getIntOrFloatBitWidth()) / 8, real = std::max(size, 4);
  int depth = roundUp(headDim, (tensorCores ? 16 : 8) * columnWarps);
  int warps = rowWarps * keyWarps * columnWarps;
  int rows = schedule.scores * outer + 2 * stages * inner;
  int statistics = schedule.statisticsOfColumns ? 2 * stages * inner : 0;
  int weights = tensorCores ? 0 : warps * (outer / rowWarps) * padded(inner / keyWarps, real);
  int tiles = rows * padded(depth, size) * size + (statistics + weights) * real;
  int combined = keyWarps > 1 ? warps * kWarp * (depth / columnWarps / 2 + 4) * real : 0;
  return std::max(tiles, combined);
}

WarpgroupTile::WarpgroupTile(int headDim) : inner(headDim <= 128 ? 128 : 64) {
  int lineBytes = roundUp(headDim, 64) * 2;
  sharedBytes = (kOuter + 2 * stages * inner) * lineBytes + (1 + 4 * stages) * 8;
}

WarpgroupAdjointTile::WarpgroupAdjointTile(const AttentionSchedule &schedule, int headDim)
    : inner(schedule.sums == 1 && headDim <= 64 ? 128 : 64) {
  int lineBytes = roundUp(headDim, 64) * 2;
  int statistics = schedule.statisticsOfColumns ? 2 * stages * inner * 4 : 0;
  sharedBytes =
      2 * (WarpgroupTile::kOuter + stages * inner) * lineBytes + statistics + (1 + 2 * stages) * 8;
}

AttentionTile attentionTile(const AttentionSchedule &schedule, mlir::Type element, int headDim,
                            int64_t decodeRows, int64_t chunk) {
  auto bytes = [&](const AttentionTile &tile) {
    return tile.sharedBytes(schedule, element, headDim);
  };
  bool forward = schedule.scores == 1, tensorCores = element.isBF16();
  int unit = tensorCores ? 16 : 8; // columns of a contraction's step
  if (decodeRows) {
    // Few blocks, each waiting for memory: as many keys on their way as fit.
    int columns = tensorCores ? unit : 2 * unit;
    AttentionTile tile{roundUp(static_cast<int>(decodeRows), 16), 8 * columns, 1, 8};
    if (bytes(tile) > kSharedOfTwo)
      tile.keyWarps = 4, tile.inner = 4 * columns;
    if (bytes(tile) > kSharedOfTwo)
      tile.stages = 1;
    while (bytes(tile) > kSharedOfTwo && tile.inner > unit * tile.keyWarps)
      tile.inner /= 2;
    while (bytes(tile) > kShared)
      tile.inner /= 2, tile.keyWarps /= 2;
    while (chunk % tile.inner) {
      if (tile.inner == unit * tile.keyWarps)
        tile.keyWarps /= 2;
      tile.inner /= 2;
    }
    return tile;
  }
  if (tensorCores)
    return ofTensorCores(schedule, headDim);

  AttentionTile tile{64, 32, 4, 1, 1, forward ? 1 : 2};
  // Sums in registers: four numbers of each 16 x 8 a lane.
  int words = element.isF64() ? 2 : 1;
  while (schedule.sums * words * roundUp(headDim, 8) / 2 / tile.columnWarps > 96)
    tile.columnWarps *= 2;
  while (bytes(tile) > kSharedOfTwo && (tile.inner > 16 || tile.rowWarps > 1)) {
    if (tile.inner > 16) {
      tile.inner /= 2;
    } else {
      tile.rowWarps /= 2;
      tile.outer /= 2;
    }
  }
  while (bytes(tile) > kShared)
    tile.inner /= 2;
  return tile;
}

} // namespace lmc::cuda
