// Products of quantised rows and block-quantised weights, and the fused pointwise ops that finish them.
//
// Mapping: a block has one panel, 32 columns, and up to 32 rows; its eight warps share out k. Up to 8 rows
// a lane has a column and adds dot products of four bytes, more rows are tiles of the integer tensor cores
// (device/blocks.cuh). An element's bits depend neither on the number of rows nor on the block that
// computes it. Shared memory: every warp's sums, 36 KiB. Limit: reading the weights once with few rows;
// scaling the integer sums of every sub-block in f32 with many.
#include "codegen/cuda/Blocks.h"
#include "codegen/cuda/ProductFrame.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int64_t kMostRows = 32;

class BlockProductEmitter : ProductFrame {
public:
  BlockProductEmitter(Expression &x, lm::BlockMatmulOp op, const ResultShape &shape)
      : ProductFrame(x, shape), op(op),
        panels{lm::findBlockFormat(op.getFormat().str()), lm::shapeOf(op.getCodes()).back().size,
               static_cast<int64_t>(op.getColumns()), static_cast<int64_t>(op.getWidth())},
        text(panels, op) {
    blocking.fewRows = static_cast<int>(llvm::PowerOf2Ceil(std::min(shape.m.max, kMostRows)));
    blocking.fewColumns = kBlockWidth;
    blocking.threads = kWarps * 32;
  }

  Launch emit() {
    enterBlock();
    int64_t blocks = panels.depth / 32;
    auto rowsOf = [&](Value operand, int64_t width) {
      return fmt::format("{} + {}", x.input(cast<BlockArgument>(operand).getArgNumber()),
                         x.mul(row0, std::to_string(width)));
    };
    x.line(fmt::format("const lmc::QuantizedRows left = {{{}, {}, {}, {}, rows}};",
                       rowsOf(op.getCodes(), panels.depth), rowsOf(op.getScales(), blocks),
                       rowsOf(op.getSums(), blocks), rowsOf(op.getHalfSums(), 2 * blocks)));
    x.line(fmt::format(
        "const auto *panel = reinterpret_cast<const unsigned char *>({}) + {};",
        x.input(cast<BlockArgument>(op.getWeights()).getArgNumber()),
        x.mul(x.div(column0, std::to_string(kBlockWidth)), std::to_string(panels.panelBytes()))));
    x.line(fmt::format(
        "const float *sums = lmc::multiplyBlocks<{}, {}, {}, {}>(left, panel, {}, {});",
        text.format, blocking.fewRows, kWarps, panels.depth, panels.codesAt(), text.values));
    unsigned shared = (kWarps + 1) * blocking.fewRows * kBlockWidth * 4;
    x.line(fmt::format("static_assert(lmc::blocksBytes<{}, {}>() <= {}, \"\");", blocking.fewRows,
                       kWarps, shared));
    storeOutputs();
    return {grid, blocking.threads,
            fmt::format("a panel of {} columns and {} rows a block, k shared by {} warps",
                        kBlockWidth, blocking.fewRows, kWarps),
            shared, blocking.fewRows >= kFewRows ? 2u : 0u};
  }

private:
  lm::BlockMatmulOp op;
  const lm::BlockPanels panels;
  BlockText text;
};

} // namespace

Launch emitBlockProduct(Expression &x) {
  lm::BlockMatmulOp op;
  for (Operation &inner : x.body)
    if (auto found = dyn_cast<lm::BlockMatmulOp>(inner))
      op = found;
  ResultShape shape;
  shape.describe(x, op.getY(), 0);
  return BlockProductEmitter(x, op, shape).emit();
}

} // namespace lmc::cuda
