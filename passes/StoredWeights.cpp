#include "passes/StoredWeights.h"

#include "ir/ProgramAttributes.h"
#include "passes/Retype.h"

using namespace mlir;

namespace lmc {

std::optional<bool> StoredWeight::transposed() const {
  llvm::SmallVector<bool> all;
  for (lm::MatmulOp product : products)
    all.push_back(product.getTransposeB());
  for (lm::ExpertMatmulOp product : expertProducts)
    all.push_back(product.getTransposeB());
  return all.empty() || !llvm::all_equal(all) ? std::nullopt : std::optional(all.front());
}

TypeAttr StoredWeight::storedElement() const {
  BlockArgument argument = arguments.front();
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function.getArgAttrOfType<TypeAttr>(argument.getArgNumber(), kStored);
}

void StoredWeight::storeAs(RankedTensorType stored, bool transposed) {
  RankedTensorType plain = type();
  Builder b(plain.getContext());
  for (BlockArgument argument : arguments) {
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    unsigned i = argument.getArgNumber();
    argument.setType(stored);
    function.setArgAttr(i, kPlain, TypeAttr::get(plain));
    if (transposed)
      function.setArgAttr(i, kPlainTransposed, b.getUnitAttr());
    updateSignature(function);
  }
}

static void addUses(StoredWeight &weight, BlockArgument argument) {
  weight.arguments.push_back(argument);
  for (OpOperand &use : argument.getUses()) {
    auto product = dyn_cast<lm::MatmulOp>(use.getOwner());
    auto gather = dyn_cast<lm::GatherOp>(use.getOwner());
    auto experts = dyn_cast<lm::ExpertMatmulOp>(use.getOwner());
    if (product && use.getOperandNumber() == 1)
      weight.products.push_back(product);
    else if (gather && use.getOperandNumber() == 0)
      weight.gathers.push_back(gather);
    else if (experts && use.getOperandNumber() == 1)
      weight.expertProducts.push_back(experts);
    else
      weight.otherUse = use.getOwner()->getName().getStringRef();
  }
}

llvm::MapVector<StringAttr, StoredWeight> storedWeights(ModuleOp module) {
  llvm::MapVector<StringAttr, StoredWeight> weights;
  for (auto function : module.getOps<func::FuncOp>())
    for (BlockArgument argument : function.getArguments())
      if (hasRole(function, argument.getArgNumber(), "parameter"))
        addUses(weights[function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kName)],
                argument);
  return weights;
}

} // namespace lmc
