#include "codegen/cpu/Operand.h"

using namespace mlir;

namespace lmc::cpu {

OperandView operandView(Expression &x, Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    OperandView view;
    view.buffer = argument.getArgNumber();
    view.storage = view.element = lm::elementOf(value);
    view.strides = x.strides(lm::shapeOf(value));
    return view;
  }
  Operation *op = value.getDefiningOp();
  OperandView view = operandView(x, op->getOperand(0));
  if (isa<lm::ConvertOp>(op)) {
    view.element = lm::elementOf(value);
    return view;
  }
  view.whole = false;
  if (auto slice = dyn_cast<lm::SliceOp>(op)) {
    Extent step = view.strides[slice.getDim()];
    int64_t start = slice.getStart();
    if (start == 0)
      return view;
    assert(view.offset.is(0) && "slices of one operand are merged by canonicalisation");
    step.factor *= start;
    step.max *= start;
    view.offset = step;
    return view;
  }
  auto transpose = cast<lm::TransposeOp>(op);
  SmallVector<Extent, 4> strides;
  for (int64_t dim : transpose.getPermutation())
    strides.push_back(view.strides[dim]);
  view.strides = strides;
  return view;
}

} // namespace lmc::cpu
