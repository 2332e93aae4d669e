#include "passes/LaunchCost.h"

#include "passes/KernelWork.h"

using namespace mlir;

namespace lmc {
namespace {

/// What a core computes while memory gives it a byte: about 50 GFLOP/s against 10 GB/s.
constexpr double kFlopsPerByte = 5;

} // namespace

LaunchCost::LaunchCost(const LaunchList &list, const LaunchList::Launch &launch) {
  for (const LaunchList::Input &input : launch.inputs)
    bytes += static_cast<double>(list.buffers[input.buffer].bytes);
  for (const LaunchList::Output &output : launch.outputs)
    bytes += static_cast<double>(list.buffers[output.buffer].bytes);
  lm::KernelOp kernel = launch.kernel;
  auto ranges = kernel->getParentOfType<func::FuncOp>()->getAttrOfType<DictionaryAttr>("lm.ranges");
  KernelWork work(kernel.getBody().front(),
                  [&](StringRef symbol) { return ranges.getAs<DenseI64ArrayAttr>(symbol)[1]; });
  flops = work.flops();
}

double LaunchCost::total() const { return flops + kFlopsPerByte * bytes; }

} // namespace lmc
