#include "ir/Evaluator.h"

#include "ir/Dialect.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace lmc::lm {

LogicalResult evaluateBlock(Block &block, ArrayRef<const Tensor *> arguments,
                            SmallVectorImpl<Tensor> &results) {
  llvm::DenseMap<Value, const Tensor *> values;
  // Owns what was computed, freed after its last use.
  llvm::DenseMap<Operation *, std::unique_ptr<SmallVector<Tensor>>> computed;
  llvm::DenseMap<Operation *, Operation *> lastUse;
  for (auto [argument, tensor] : llvm::zip_equal(block.getArguments(), arguments))
    values[argument] = tensor;
  for (Operation &op : block)
    for (Value operand : op.getOperands())
      if (Operation *definition = operand.getDefiningOp())
        lastUse[definition] = &op;

  for (Operation &op : block) {
    SmallVector<const Tensor *> operands;
    for (Value operand : op.getOperands())
      operands.push_back(values.at(operand));
    if (op.hasTrait<OpTrait::IsTerminator>()) {
      for (const Tensor *operand : operands)
        results.push_back(*operand);
      return success();
    }
    auto rules = dyn_cast<TensorOp>(op);
    if (!rules)
      return op.emitError() << "'" << op.getName() << "' has no reference evaluation";
    auto out = std::make_unique<SmallVector<Tensor>>();
    if (failed(rules.evaluate(operands, *out)))
      return failure();
    for (auto [result, tensor] : llvm::zip_equal(op.getResults(), *out))
      values[result] = &tensor;
    computed[&op] = std::move(out);
    for (Value operand : op.getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && lastUse[definition] == &op)
        computed.erase(definition);
  }
  return failure();
}

FailureOr<SmallVector<Tensor>> evaluate(func::FuncOp function, ArrayRef<Tensor> arguments) {
  SmallVector<const Tensor *> pointers;
  for (const Tensor &argument : arguments)
    pointers.push_back(&argument);
  SmallVector<Tensor> results;
  if (failed(evaluateBlock(function.getBody().front(), pointers, results)))
    return failure();
  return results;
}

} // namespace lmc::lm
