// Why:    a block-quantised weight is computed on as it is: memory traffic is a quarter or less of f32's,
//         and products of a block are integer dot products.
// Before: @decode(%w: tensor<172x64xf32> {lm.name = "w", lm.role = "parameter", lm.blocks = "q8_0"}) {
//           lm.matmul %x, %w {transpose_b} ... }
// After:  @decode(%w: tensor<11x2176xi8> {..., lm.plain = tensor<172x64xf32>, lm.plain_transposed}) {
//           %codes, %scales, %sums, %half_sums = lm.quantize_rows %x
//           lm.block_matmul %codes, %scales, %sums, %half_sums, %w {format = "q8_0", ...} ... }
//         A gather from such a weight becomes lm.block_gather.
// Needs:  primitives, programs that only read their parameters (inference), f32 products. Leaves:
//         primitives; lm.blocks only where the weight is stored so. Numerics: rows of activations are
//         rounded to 8 bits in blocks of 32.
// Order:  before lm-pack-weights, which takes the weights that stay, and before fusion. Layout:
//         ir/BlockPanels.h.
#include "passes/Passes.h"

#include "ir/BlockPanels.h"
#include "ir/ProgramAttributes.h"
#include "passes/StoredWeights.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// The stored form, or why there is none.
std::optional<lm::BlockPanels> panelsOf(const StoredWeight &weight, StringRef format, int64_t width,
                                        std::string &reason) {
  const lm::BlockFormat *found = lm::findBlockFormat(format.str());
  RankedTensorType type = weight.type();
  bool isMatrix = type.getRank() == 2 && type.hasStaticShape();
  // A gather takes rows of the table [columns, depth].
  bool transposed = weight.transposed().value_or(true);
  if (!found)
    reason = "kernels do not know this format";
  else if (width == 0)
    reason = "this target has no kernels for blocks";
  else if (!isMatrix || !type.getElementType().isF32())
    reason = "it is no f32 matrix here";
  else if (!weight.otherUse.empty())
    reason = weight.otherUse + " reads it";
  else if (!weight.products.empty() && !weight.transposed())
    reason = "products read it both ways round";
  else if (!weight.gathers.empty() && !transposed)
    reason = "a gather reads it across blocks";
  else if (type.getDimSize(transposed ? 1 : 0) % found->super)
    reason = "its depth is no multiple of a block";
  if (!reason.empty())
    return std::nullopt;
  return lm::BlockPanels{found, type.getDimSize(transposed ? 1 : 0),
                         type.getDimSize(transposed ? 0 : 1), width};
}

/// Attributes that say what a weight's panels hold.
struct Names {
  StringAttr format;
  IntegerAttr depth, columns, width;

  Names(MLIRContext *context, const lm::BlockPanels &panels) {
    Builder b(context);
    format = b.getStringAttr(StringRef(panels.format->name));
    depth = b.getI64IntegerAttr(panels.depth);
    columns = b.getI64IntegerAttr(panels.columns);
    width = b.getI64IntegerAttr(panels.width);
  }
};

class Rewriter {
public:
  void store(StoredWeight &weight, const lm::BlockPanels &panels) {
    MLIRContext *context = weight.type().getContext();
    weight.storeAs(
        RankedTensorType::get({panels.count(), panels.panelBytes()}, IntegerType::get(context, 8)),
        weight.transposed().value_or(true));
    Names names(context, panels);
    for (lm::GatherOp gather : weight.gathers) {
      OpBuilder at(gather);
      auto block =
          at.create<lm::BlockGatherOp>(gather.getLoc(), gather.getTable(), gather.getIds(),
                                       names.format, names.depth, names.columns, names.width);
      gather.replaceAllUsesWith(block.getY());
      gather.erase();
    }
    for (lm::MatmulOp product : weight.products)
      products.push_back({product, names});
  }

  /// After all weights: what gathers give is then what products read.
  void rewriteProducts() {
    for (auto &[product, names] : products) {
      OpBuilder at(product);
      lm::QuantizeRowsOp rows = quantized(product);
      auto block = at.create<lm::BlockMatmulOp>(product.getLoc(), rows.getCodes(), rows.getScales(),
                                                rows.getSums(), rows.getHalfSums(), product.getB(),
                                                names.format, names.columns, names.width);
      product.replaceAllUsesWith(block.getY());
      product.erase();
    }
  }

private:
  /// Products of the same rows share their codes.
  lm::QuantizeRowsOp quantized(lm::MatmulOp product) {
    Value x = product.getA();
    auto &known = rows[x];
    if (!known) {
      OpBuilder at(x.getContext());
      if (Operation *definition = x.getDefiningOp())
        at.setInsertionPointAfter(definition);
      else
        at.setInsertionPointToStart(cast<BlockArgument>(x).getOwner());
      known = at.create<lm::QuantizeRowsOp>(product.getLoc(), x);
    }
    return known;
  }

  SmallVector<std::pair<lm::MatmulOp, Names>> products;
  llvm::DenseMap<Value, lm::QuantizeRowsOp> rows;
};

struct QuantizeWeights : impl::QuantizeWeightsBase<QuantizeWeights> {
  using QuantizeWeightsBase::QuantizeWeightsBase;

  void runOnOperation() override {
    Rewriter rewriter;
    for (auto &[name, weight] : storedWeights(getOperation())) {
      auto blocksOf = [](BlockArgument argument) {
        auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
        return function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kBlocks);
      };
      StringAttr format = blocksOf(weight.arguments.front());
      if (!format)
        continue;
      std::string reason;
      if (std::optional<lm::BlockPanels> panels =
              panelsOf(weight, format.getValue(), width, reason)) {
        rewriter.store(weight, *panels);
        continue;
      }
      for (BlockArgument argument : weight.arguments)
        cast<func::FuncOp>(argument.getOwner()->getParentOp())
            .removeArgAttr(argument.getArgNumber(), kBlocks);
      emitWarning(weight.arguments.front().getLoc())
          << "'" << name.getValue() << "' is expanded from " << format.getValue()
          << " to f32: " << reason;
    }
    rewriter.rewriteProducts();
  }
};

} // namespace
} // namespace lmc
