#include "passes/MemoryPlan.h"

#include "ir/Segments.h"
#include "passes/Passes.h"

using namespace mlir;

namespace lmc {

/// Can the kernel write that result straight into the argument's buffer?
static bool mayTakeOver(OpResult result, BlockArgument argument) {
  auto kernel = cast<lm::KernelOp>(result.getOwner());
  Segments segments(kernel.getSegmentsAttr());
  auto ranges = kernel->getParentOfType<func::FuncOp>()->getAttrOfType<DictionaryAttr>("lm.ranges");
  for (Operation &op :
       llvm::make_range(std::next(kernel->getIterator()), kernel->getBlock()->end()))
    for (Value operand : op.getOperands())
      if (viewedValue(operand) == argument && !isView(&op))
        return false;
  for (auto [i, input] : llvm::enumerate(kernel.getInputs()))
    if (viewedValue(input) == argument &&
        (largestBytes(input.getType(), ranges) != largestBytes(argument.getType(), ranges) ||
         !readsInPlace(kernel.getBody().front(), i) ||
         segments.ofInput(i) != segments.ofOutput(result.getResultNumber())))
      return false; // a slice is read at other places than it is written
  return true;
}

/// A kernel before the terminator that copies a value.
static Value copyOf(OpBuilder &builder, Value value) {
  auto copy =
      builder.create<lm::KernelOp>(value.getLoc(), TypeRange(value.getType()), value, "map");
  Block &block = copy.getBody().emplaceBlock();
  Value inside = block.addArgument(value.getType(), value.getLoc());
  OpBuilder::atBlockEnd(&block).create<lm::YieldOp>(value.getLoc(), inside);
  return copy.getResult(0);
}

void makeResultsWritable(func::FuncOp function) {
  Operation *terminator = function.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  auto targetOf = [&](OpOperand &result) {
    auto updates = function.getResultAttrOfType<IntegerAttr>(result.getOperandNumber(), kUpdates);
    return updates ? function.getArgument(updates.getInt()) : BlockArgument();
  };
  llvm::DenseSet<Value> overwritten;
  for (OpOperand &result : terminator->getOpOperands())
    if (BlockArgument target = targetOf(result); target && result.get() != target)
      overwritten.insert(target);
  // Old contents that are returned are read before the copies below overwrite their buffers: into
  // an output at once, into another argument by way of a temporary.
  for (OpOperand &result : terminator->getOpOperands()) {
    BlockArgument target = targetOf(result);
    if (overwritten.contains(viewedValue(result.get())) && result.get() != target)
      result.set(copyOf(builder, result.get()));
  }
  llvm::DenseSet<Value> written;
  for (OpOperand &result : terminator->getOpOperands()) {
    Value value = result.get();
    auto kernel = viewedValue(value).getDefiningOp<lm::KernelOp>();
    BlockArgument target = targetOf(result);
    if (target && value == target)
      continue; // unchanged
    bool inPlace = kernel && value == viewedValue(value) && !wholeOf(value) &&
                   written.insert(value).second &&
                   (!target || mayTakeOver(cast<OpResult>(value), target));
    if (!inPlace)
      result.set(copyOf(builder, value));
  }
}

MemoryPlan::MemoryPlan(func::FuncOp function)
    : list((makeResultsWritable(function), function)), placement(list), total(placement.place()) {}

} // namespace lmc
