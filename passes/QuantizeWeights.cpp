// Why:    a block-quantised weight is computed on as it is: memory traffic is a quarter or less of f32's,
//         and products of a block are integer dot products.
// Before: @decode(%w: tensor<172x64xf32> {lm.name = "w", lm.role = "parameter", lm.blocks = "q8_0"}) {
//           lm.matmul %x, %w {transpose_b} ... }
// After:  @decode(%w: tensor<11x2176xi8> {..., lm.plain = tensor<172x64xf32>, lm.plain_transposed}) {
//           %codes, %scales, %sums, %half_sums = lm.quantize_rows %x
//           lm.block_matmul %codes, %scales, %sums, %half_sums, %w {format = "q8_0", ...} ... }
//         A gather from such a weight becomes lm.block_gather (of a table that no product reads: with its rows as
//         the file has them, tensor<172x68xi8>), lm.expert_matmul lm.expert_block_matmul with
//         panels of each expert: tensor<8x11x2176xi8>.
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
                                        bool fileTables, std::string &reason) {
  const lm::BlockFormat *found = lm::findBlockFormat(format.str());
  RankedTensorType type = weight.type();
  // A matrix, or one for each expert.
  const int64_t rank = weight.expertProducts.empty() ? 2 : 3;
  bool isMatrix = type.getRank() == rank && type.hasStaticShape() &&
                  (rank == 2 || (weight.products.empty() && weight.gathers.empty()));
  // A gather takes rows of the table [columns, depth].
  bool transposed = weight.transposed().value_or(true);
  int64_t depth = isMatrix ? type.getDimSize(rank - (transposed ? 1 : 2)) : 0;
  if (!found)
    reason = "kernels do not know this format";
  else if (width == 0)
    reason = "this target has no kernels for blocks";
  else if (!isMatrix || !type.getElementType().isF32())
    reason = "it is no f32 matrix here";
  else if (!weight.otherUse.empty())
    reason = weight.otherUse + " reads it";
  else if (!weight.transposed() && !(weight.products.empty() && weight.expertProducts.empty()))
    reason = "products read it both ways round";
  else if (!weight.gathers.empty() && !transposed)
    reason = "a gather reads it across blocks";
  else if (depth % found->super)
    reason = "its depth is no multiple of a block";
  if (!reason.empty())
    return std::nullopt;
  // What no product reads may stay as the file has it: then it is read from there, row by row.
  bool isTable = weight.products.empty() && weight.expertProducts.empty();
  if (isTable && fileTables && found->hasFileOrder())
    width = 1;
  return lm::BlockPanels{found, depth, type.getDimSize(rank - (transposed ? 2 : 1)), width};
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
    SmallVector<int64_t> shape = {panels.count(), panels.panelBytes()};
    if (!weight.expertProducts.empty())
      shape.insert(shape.begin(), weight.type().getDimSize(0));
    weight.storeAs(RankedTensorType::get(shape, IntegerType::get(context, 8)),
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
    for (lm::ExpertMatmulOp product : weight.expertProducts)
      expertProducts.push_back({product, names});
  }

  /// After all weights: what gathers give is then what products read.
  void rewriteProducts() {
    for (auto &[product, names] : products) {
      OpBuilder at(product);
      lm::QuantizeRowsOp rows = quantized(product, product.getA());
      auto block = at.create<lm::BlockMatmulOp>(product.getLoc(), rows.getCodes(), rows.getScales(),
                                                rows.getSums(), rows.getHalfSums(), product.getB(),
                                                names.format, names.columns, names.width);
      product.replaceAllUsesWith(block.getY());
      product.erase();
    }
    for (auto &[product, names] : expertProducts) {
      OpBuilder at(product);
      lm::QuantizeRowsOp rows = quantized(product, product.getX());
      auto block = at.create<lm::ExpertBlockMatmulOp>(
          product.getLoc(), rows.getCodes(), rows.getScales(), rows.getSums(), rows.getHalfSums(),
          product.getW(), product.getOrder(), product.getStarts(), names.format, names.columns,
          names.width);
      product.replaceAllUsesWith(block.getY());
      product.erase();
    }
  }

private:
  /// The rows x of a product; products of the same rows share their codes.
  lm::QuantizeRowsOp quantized(Operation *product, Value x) {
    auto &known = rows[x];
    if (!known) {
      OpBuilder at(x.getContext());
      if (Operation *definition = x.getDefiningOp())
        at.setInsertionPointAfter(definition);
      else
        at.setInsertionPointToStart(cast<BlockArgument>(x).getOwner());
      known = at.create<lm::QuantizeRowsOp>(product->getLoc(), x);
    }
    return known;
  }

  SmallVector<std::pair<lm::MatmulOp, Names>> products;
  SmallVector<std::pair<lm::ExpertMatmulOp, Names>> expertProducts;
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
              panelsOf(weight, format.getValue(), width, fileTables, reason)) {
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
