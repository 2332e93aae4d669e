#include "codegen/KernelBody.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace lmc {

bool isFlat(Block &body, const lm::Shape &space) {
  auto flat = [&](Type type) {
    lm::Shape shape = lm::shapeOf(type);
    return shape == space || shape.empty();
  };
  if (space.empty())
    return false;
  for (BlockArgument argument : body.getArguments())
    if (!flat(argument.getType()))
      return false;
  for (Operation &op : body.without_terminator()) {
    if (auto constant = dyn_cast<lm::ConstantOp>(op); constant && !constant.getValue().isSplat())
      return false;
    bool inPlace = isa<lm::PointwiseOp, lm::ConstantOp>(op) ||
                   (isa<lm::BroadcastOp>(op) && lm::shapeOf(op.getOperand(0)).empty());
    if (!inPlace || !flat(op.getResult(0).getType()))
      return false;
  }
  return true;
}

TracedOperand traceOperand(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    TracedOperand traced{argument, lm::elementOf(value), {}, {}};
    lm::Shape shape = lm::shapeOf(value);
    for (size_t i = 0; i < shape.size(); ++i)
      traced.steps.emplace_back(ArrayRef<lm::Dim>(shape).drop_front(i + 1));
    return traced;
  }
  Operation *op = value.getDefiningOp();
  TracedOperand traced = traceOperand(op->getOperand(0));
  if (isa<lm::ConvertOp>(op)) {
    traced.element = lm::elementOf(value);
    return traced;
  }
  traced.whole = false;
  if (auto slice = dyn_cast<lm::SliceOp>(op)) {
    if (slice.getStart() != 0)
      traced.starts.emplace_back(slice.getStart(), traced.steps[slice.getDim()]);
    return traced;
  }
  SmallVector<lm::Shape, 4> steps;
  for (int64_t dim : cast<lm::TransposeOp>(op).getPermutation())
    steps.push_back(traced.steps[dim]);
  traced.steps = steps;
  return traced;
}

SmallVector<SmallVector<lm::ReduceOp>> reductionLevels(Block &body) {
  SmallVector<SmallVector<lm::ReduceOp>> levels;
  llvm::DenseMap<Value, unsigned> depth;
  for (Operation &op : body.without_terminator()) {
    unsigned deepest = 0;
    for (Value operand : op.getOperands())
      deepest = std::max(deepest, depth.lookup(operand));
    if (auto reduce = dyn_cast<lm::ReduceOp>(op)) {
      if (levels.size() <= deepest)
        levels.resize(deepest + 1);
      levels[deepest].push_back(reduce);
      ++deepest;
    }
    for (Value result : op.getResults())
      depth[result] = deepest;
  }
  return levels;
}

} // namespace lmc
