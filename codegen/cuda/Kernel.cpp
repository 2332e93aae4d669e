#include "codegen/cuda/Kernel.h"

#include "codegen/cuda/Expression.h"
#include "codegen/cuda/Joined.h"
#include "runtime/Error.h"

#include "llvm/ADT/StringSwitch.h"

#include <algorithm>

using namespace mlir;

namespace lmc::cuda {
namespace {

using Emitter = Launch (*)(Expression &);

/// Which products: their weights decide.
Launch emitAnyProduct(Expression &x) {
  bool blocks = llvm::any_of(x.body, [](Operation &op) { return isa<lm::BlockMatmulOp>(op); });
  return blocks ? emitBlockProduct(x) : emitProduct(x);
}

Emitter emitterOf(StringRef family) {
  return llvm::StringSwitch<Emitter>(family)
      .Cases("map", "gather", emitMap)
      .Case("row", emitRow)
      .Case("column", emitColumn)
      .Case("scatter", emitScatter)
      .Case("cache", emitCacheAppend)
      .Case("matmul", emitAnyProduct)
      .Case("quantize", emitQuantizeRows)
      .Case("block_gather", emitBlockGather)
      .Case("attention", emitAttention)
      .Case("sample", emitSample)
      .Default(nullptr);
}

/// Throws Error for what has kernels on the CPU alone.
void refuseOthers(plan::KernelOp kernel, StringRef path, StringRef architecture) {
  for (Operation &op : kernel.getBody().front()) {
    bool hasBytes = llvm::any_of(op.getOperands(),
                                 [](Value operand) { return lm::elementOf(operand).isInteger(8); });
    if (hasBytes && isa<lm::AttentionOp, lm::CacheAppendOp>(op))
      fail("no kernel for '{}' ({}) on {}: caches in q8_0 are for the CPU alone; compile for "
           "--target cpu, or without --kv-cache q8_0",
           path.str(), op.getName().getStringRef().str(), architecture.str());
    if (isa<lm::TopKOp, lm::GroupRowsOp, lm::ExpertMatmulOp, lm::ExpertOuterOp,
            lm::ExpertBlockMatmulOp>(op))
      fail("no kernel for '{}' ({}) on {}: mixtures of experts run on the CPU alone; compile for "
           "--target cpu",
           path.str(), op.getName().getStringRef().str(), architecture.str());
  }
}

} // namespace

std::vector<GridFactor> gridOf(const Extent &extent, int64_t block) {
  if (extent.symbols.empty())
    return {{"", extent.factor, block}};
  // Blocks divide the first symbolic factor; the rest multiplies.
  std::vector<GridFactor> factors = {{extent.symbols.front(), extent.factor, block}};
  for (const std::string &symbol : llvm::drop_begin(extent.symbols))
    factors.push_back({symbol, 1, 1});
  return factors;
}

int64_t productOf(ArrayRef<GridFactor> factors, const llvm::StringMap<int64_t> &extents) {
  int64_t product = 1;
  for (const GridFactor &factor : factors) {
    int64_t extent = factor.symbol.empty() ? 1 : extents.at(factor.symbol);
    product *= (factor.mul * extent + factor.div - 1) / factor.div;
  }
  return product;
}

int64_t Kernel::blocks(const llvm::StringMap<int64_t> &extents) const {
  return productOf(grid, extents);
}

Ranges rangesOf(ModuleOp plan) {
  Ranges ranges;
  for (auto program : plan.getOps<plan::ProgramOp>())
    for (NamedAttribute named : program.getRanges()) {
      int64_t largest = cast<DenseI64ArrayAttr>(named.getValue())[1];
      int64_t &known = ranges[named.getName().getValue()];
      known = std::max(known, largest);
    }
  return ranges;
}

Kernel emitKernel(plan::KernelOp kernel, const Ranges &ranges, StringRef name,
                  StringRef architecture) {
  std::string path = lm::modelPath(kernel.getLoc());
  refuseOthers(kernel, path, architecture);
  if (kernel.getSegments())
    return emitJoined(kernel, name, architecture);
  Emitter emitter = emitterOf(kernel.getFamily());
  assert(emitter && "fusion made a family that no emitter knows");
  Expression x(kernel.getBody().front(), ranges, name, architecture);
  Launch launch = emitter(x);
  Kernel result = x.finish(path + " (" + kernel.getFamily().str() + "): " + launch.mapping,
                           launch.grid, launch.block, launch.minBlocks);
  result.family = kernel.getFamily().str();
  result.sharedBytes = launch.sharedBytes;
  return result;
}

} // namespace lmc::cuda
