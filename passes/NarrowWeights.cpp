// Why:    a weight whose values 16 bits hold, as its file does, is kept so: half the memory, half the
//         traffic of products that read it once.
// Before: @decode(%w: tensor<6x64x32xf32> {lm.name = "w", lm.role = "parameter", lm.stored = f16}) {
//           lm.matmul %x, %w {panel_columns = 172} ... }
// After:  @decode(%w: tensor<6x64x32xf16> {..., lm.stored = f16}) {
//           %wide = lm.convert %w : f16 -> f32        which the product does as it reads
//           lm.matmul %x, %wide {panel_columns = 172} ... }
// Rules:  a weight that anything but products, as their right side, and gathers read stays f32.
// Needs:  primitives, programs that only read their parameters (inference). Leaves: primitives.
//         Numerics: exact.
// Order:  after lm-quantize-weights and lm-pack-weights, which look for products that read parameters;
//         before fusion.
#include "passes/Passes.h"

#include "ir/ProgramAttributes.h"
#include "passes/Retype.h"
#include "passes/StoredWeights.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_NARROWWEIGHTS
#include "passes/Passes.h.inc"

namespace {

void narrow(BlockArgument argument, Type element) {
  Type wide = argument.getType();
  OpBuilder b = OpBuilder::atBlockBegin(argument.getOwner());
  argument.setType(withElement(wide, element));
  if (argument.use_empty())
    return;
  auto convert = b.create<lm::ConvertOp>(argument.getLoc(), wide, argument);
  argument.replaceAllUsesExcept(convert, convert);
}

struct NarrowWeights : impl::NarrowWeightsBase<NarrowWeights> {
  void runOnOperation() override {
    for (auto &[name, weight] : storedWeights(getOperation())) {
      TypeAttr stored = weight.storedElement();
      bool isRead =
          !weight.products.empty() || !weight.gathers.empty() || !weight.expertProducts.empty();
      if (!stored || !isRead || !weight.otherUse.empty() || !weight.type().getElementType().isF32())
        continue;
      for (BlockArgument argument : weight.arguments)
        narrow(argument, stored.getValue());
    }
    for (auto function : getOperation().getOps<func::FuncOp>())
      updateSignature(function);
  }
};

} // namespace
} // namespace lmc
