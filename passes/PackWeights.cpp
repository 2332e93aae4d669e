// Why:    a weight that does not change is laid out once as the register tile of the product reads it,
//         so that no run packs it and few rows read it as one stream.
// Before: @decode(%w: tensor<172x64xf32> {lm.name = "w", lm.role = "parameter"}) {
//           lm.matmul %x, %w {transpose_b} ... }
// After:  @decode(%w: tensor<6x64x32xf32> {..., lm.plain = tensor<172x64xf32>, lm.plain_transposed}) {
//           lm.matmul %x, %w {panel_columns = 172} ... }
// Needs:  primitives, programs that only read their parameters (inference). Leaves: primitives.
//         Numerics: exact; the kernel that reads panels adds over k in rising order.
// Order:  before fusion, which forms kernels of the types that buffers have. All programs together,
//         because they share parameters by name. Layout: ir/Panels.h; packing: codegen/Placement.h.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "ir/Panels.h"
#include "passes/StoredWeights.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "passes/Passes.h.inc"

namespace {

std::optional<lm::Panels> panelsOf(const StoredWeight &weight, int64_t width, std::string &reason) {
  RankedTensorType type = weight.type();
  if (weight.products.empty() || !weight.expertProducts.empty() || type.getRank() != 2 ||
      !type.hasStaticShape()) {
    reason = "it is no matrix that products read";
    return std::nullopt;
  }
  // A tied table is gathered row by row, which panels would scatter; one copy of it is enough.
  if (!weight.otherUse.empty() || !weight.gathers.empty()) {
    reason = (weight.otherUse.empty() ? "lm.gather" : weight.otherUse) + " reads it too";
    return std::nullopt;
  }
  std::optional<bool> transposed = weight.transposed();
  if (!transposed) {
    reason = "products read it both ways round";
    return std::nullopt;
  }
  lm::Panels panels{type.getDimSize(*transposed ? 1 : 0), type.getDimSize(*transposed ? 0 : 1),
                    width};
  // Padding is memory that every run reads.
  if (panels.size() * 4 > panels.depth * panels.columns * 5) {
    reason = "more than a fifth of the panels would be padding";
    return std::nullopt;
  }
  return panels;
}

void pack(StoredWeight &weight, const lm::Panels &panels) {
  Type element = weight.type().getElementType();
  weight.storeAs(
      RankedTensorType::get({panels.count(), panels.paddedDepth(), panels.width}, element),
      *weight.transposed());
  for (lm::MatmulOp product : weight.products) {
    product.setTransposeB(false);
    product.setPanelColumns(panels.columns);
  }
}

struct PackWeights : impl::PackWeightsBase<PackWeights> {
  using PackWeightsBase::PackWeightsBase;

  void runOnOperation() override {
    if (width == 0)
      return;
    for (auto &[name, weight] : storedWeights(getOperation())) {
      std::string reason;
      if (std::optional<lm::Panels> panels = panelsOf(weight, width, reason))
        pack(weight, *panels);
      else if (explain && !weight.products.empty())
        emitRemark(weight.arguments.front().getLoc())
            << "'" << name.getValue() << "' is not packed: " << reason;
    }
  }
};

} // namespace
} // namespace lmc
