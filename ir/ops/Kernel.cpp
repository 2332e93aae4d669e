#include "ir/Dialect.h"
#include "ir/Evaluator.h"
#include "ir/Segments.h"

using namespace mlir;

namespace lmc::lm {

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  if (block.getArgumentTypes() != getInputs().getTypes())
    return emitOpError() << "block arguments differ from the inputs";
  auto yield = cast<YieldOp>(block.getTerminator());
  if (yield.getValues().getTypes() != getOutputs().getTypes())
    return emitOpError() << "yields other types than its results";
  if (DenseI64ArrayAttr attribute = getSegmentsAttr()) {
    Segments segments(attribute);
    if (attribute.size() % 4 != 0 || segments.numInputs() != int64_t(getInputs().size()) ||
        segments.numOutputs() != int64_t(getOutputs().size()))
      return emitOpError() << "has segments of " << segments.numInputs() << " inputs and "
                           << segments.numOutputs() << " outputs, but " << getInputs().size()
                           << " and " << getOutputs().size();
  }
  for (Operation &op : block.without_terminator())
    if (isa<KernelOp>(op) || !isa<TensorOp>(op))
      return emitOpError() << "holds '" << op.getName() << "', which no kernel can";
  return success();
}

LogicalResult KernelOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  return evaluateBlock(getBody().front(), operands, results);
}

LogicalResult KernelOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "differentiate before kernels are formed");
}

} // namespace lmc::lm
