// Attention on sm_90a: which operands its tiles fit, and the calls that take tensor maps.
#include "codegen/cuda/AttentionEmitter.h"

using namespace mlir;

namespace lmc::cuda {

StringRef AttentionEmitter::whyNotWarpgroups(ArrayRef<Value> operands) {
  if (!x.hasWarpgroups)
    return "the target has no products of warpgroups";
  if (!element.isBF16())
    return "they multiply bf16";
  if (past)
    return "what lies behind the past is not zeros";
  if (q[3].size < kSmallestWarpgroupHeadDim)
    return "most of a tile would be zeros";
  for (Value operand : operands) {
    View view = input(operand);
    if (!view.storage.isBF16())
      return "tiles are not converted on the way";
    if (chunkOf(view) != 16)
      return "tensor maps take strides of 16 bytes";
    for (const Extent &offset : view.offsets)
      if (!offset.symbols.empty())
        return "a tensor map begins at a fixed place";
  }
  return "";
}

StringRef AttentionEmitter::whyNotAdjointOfWarpgroups(ArrayRef<Value> operands) {
  if (q[3].size > kLargestWarpgroupAdjoint)
    return "sums of wide heads leave no registers for scores";
  return whyNotWarpgroups(operands);
}

Launch AttentionEmitter::forwardOfWarpgroups(lm::AttentionOp op) {
  int headDim = static_cast<int>(q[3].size);
  WarpgroupTile sizes(headDim);
  x.line(fmt::format("using Tile = lmc::WarpgroupTile<{}, {}, {}>;", headDim, sizes.inner,
                     sizes.stages));
  x.line(fmt::format("static_assert(Tile::kBytes == {} && Tile::kThreads == {}, \"\");",
                     sizes.sharedBytes, WarpgroupTile::kThreads));
  enterBlock(/*outerIsQueries=*/true, WarpgroupTile::kOuter);
  declare("out", output(0), queryHead);
  declare("lse", output(1), queryHead);
  std::string copied =
      maps(op.getQ(), WarpgroupTile::kOuter) + maps({op.getK(), op.getV()}, sizes.inner);
  x.line(fmt::format("lmc::attentionForwardTiles<Tile>(mask, chain, {}, index_t({}), {}int({}), "
                     "int({}), int({}), out, lse);",
                     first, x.text(x.product(q[1])), copied, queryHead, keyHead, batch));
  return {grid, WarpgroupTile::kThreads,
          "a block has a tile of queries, two warpgroups multiply, a third copies",
          sizes.sharedBytes};
}

Launch AttentionEmitter::dqOfWarpgroups(lm::AttentionDqOp op) {
  WarpgroupAdjointTile sizes = beginWarpgroups(kAttentionDq);
  declareStatistics(op.getLse(), op.getDelta());
  declare("dq", output(0), queryHead);
  callTiles(kAttentionDq, {x.text(x.product(q[1]))},
            maps({op.getQ(), op.getDout()}, WarpgroupTile::kOuter) +
                maps({op.getK(), op.getV()}, sizes.inner),
            "dq");
  return {grid, WarpgroupTile::kThreads,
          "a block has a tile of queries, two warpgroups multiply, a third copies",
          sizes.sharedBytes, 1};
}

Launch AttentionEmitter::dkdvOfWarpgroups(lm::AttentionDkDvOp op) {
  WarpgroupAdjointTile sizes = beginWarpgroups(kAttentionDkDv);
  declareStatistics(op.getLse(), op.getDelta());
  declare("dk", output(0), keyHead);
  declare("dv", output(1), keyHead);
  callTiles(kAttentionDkDv, {x.text(x.product(q[1])), std::to_string(heads / keyHeads)},
            maps({op.getK(), op.getV()}, WarpgroupTile::kOuter) +
                maps({op.getQ(), op.getDout()}, sizes.inner),
            "dk, dv");
  return {grid, WarpgroupTile::kThreads,
          "a block has a tile of keys, two warpgroups multiply, a third copies", sizes.sharedBytes,
          1};
}

// One block a multiprocessor is said aloud (1 in their launches): else the compiler may begin with a number of
// registers that the warpgroups cannot exchange.
WarpgroupAdjointTile AttentionEmitter::beginWarpgroups(const AttentionSchedule &which) {
  int headDim = static_cast<int>(q[3].size);
  WarpgroupAdjointTile sizes(which, headDim);
  x.line(fmt::format("using Tile = lmc::WarpgroupTile<{}, {}, {}>;", headDim, sizes.inner,
                     sizes.stages));
  x.line(fmt::format("static_assert(lmc::AdjointShared<Tile, {}>::kBytes == {} && "
                     "Tile::kThreads == {}, \"\");",
                     which.statisticsOfColumns, sizes.sharedBytes, WarpgroupTile::kThreads));
  enterBlock(which.outerIsQueries, WarpgroupTile::kOuter);
  return sizes;
}

std::string AttentionEmitter::maps(ArrayRef<Value> operands, int lines) {
  std::string names;
  for (Value operand : operands)
    names += x.tensorMap(mapOf(operand, lines)) + ", ";
  return names;
}

void AttentionEmitter::callTiles(const AttentionSchedule &which, ArrayRef<std::string> extents,
                                 const std::string &maps, StringRef results) {
  std::string text = fmt::format("lmc::{}Tiles<Tile>(mask, chain, {}", which.function.str(), first);
  for (const std::string &extent : extents)
    text += fmt::format(", index_t({})", extent);
  x.line(fmt::format("{}, {}int({}), int({}), int({}), lse, delta, {});", text, maps, queryHead,
                     keyHead, batch, results.str()));
}

} // namespace lmc::cuda
