#include "passes/LaunchCost.h"

using namespace mlir;

namespace lmc {
namespace {

/// What a core computes while memory gives it a byte: about 50 GFLOP/s against 10 GB/s.
constexpr double kFlopsPerByte = 5;

/// At the largest extents of symbols.
double extentOf(const lm::Dim &dim, DictionaryAttr ranges) {
  return static_cast<double>(dim.isStatic() ? dim.size
                                            : ranges.getAs<DenseI64ArrayAttr>(dim.symbol)[1]);
}

double elementsOf(Value value, DictionaryAttr ranges) {
  double count = 1;
  for (const lm::Dim &dim : lm::shapeOf(value))
    count *= extentOf(dim, ranges);
  return count;
}

} // namespace

LaunchCost::LaunchCost(const LaunchList &list, const LaunchList::Launch &launch) {
  for (const LaunchList::Input &input : launch.inputs)
    bytes += static_cast<double>(list.buffers[input.buffer].bytes);
  for (const LaunchList::Output &output : launch.outputs)
    bytes += static_cast<double>(list.buffers[output.buffer].bytes);
  lm::KernelOp kernel = launch.kernel;
  auto ranges = kernel->getParentOfType<func::FuncOp>()->getAttrOfType<DictionaryAttr>("lm.ranges");
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (auto matmul = dyn_cast<lm::MatmulOp>(op)) {
      lm::Shape a = lm::shapeOf(matmul.getA());
      double k = extentOf(matmul.getTransposeA() ? a[a.size() - 2] : a.back(), ranges);
      flops += 2 * elementsOf(matmul.getY(), ranges) * k;
    } else if (auto attention = dyn_cast<lm::AttentionOp>(op)) {
      double keys = extentOf(lm::shapeOf(attention.getK())[1], ranges);
      flops += (attention.getCausal() ? 2 : 4) * elementsOf(attention.getOut(), ranges) * keys;
    } else if (isa<lm::PointwiseOp>(op)) {
      flops += elementsOf(op.getResult(0), ranges);
    } else if (isa<lm::ReduceOp>(op)) {
      flops += elementsOf(op.getOperand(0), ranges);
    }
  }
}

double LaunchCost::total() const { return flops + kFlopsPerByte * bytes; }

} // namespace lmc
