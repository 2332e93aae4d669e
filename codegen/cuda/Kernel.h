// From a planned kernel to CUDA C++: what is printed and what a launch of it needs.
#pragma once

#include "ir/plan/Plan.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace lmc::cuda {

/// Largest extents of the symbolic dimensions.
using Ranges = llvm::StringMap<int64_t>;
/// Of all programs of a planned module.
Ranges rangesOf(mlir::ModuleOp plan);

/// ceil(mul * extent / div); `symbol` empty: extent 1.
struct GridFactor {
  std::string symbol;
  int64_t mul = 1, div = 1;
};

/// Parameters of the entry point, in order: a pointer for each input and each output of the region
/// (aligned to 16 bytes; an output may be the memory of an input that is read in place), then one
/// 64-bit integer for each of `symbols`: its extent.
struct Kernel {
  std::string name, family;
  std::string text; ///< without the device library
  std::vector<std::string> symbols;
  std::vector<GridFactor> grid; ///< blocks: the product
  unsigned block = 0;           ///< threads
  unsigned sharedBytes = 0;     ///< dynamic shared memory of a block

  /// Blocks at given extents.
  int64_t blocks(const llvm::StringMap<int64_t> &extents) const;
};

/// Throws Error for element types that cannot be read and for what only the CPU's kernels can do.
Kernel emitKernel(plan::KernelOp kernel, const Ranges &ranges, llvm::StringRef name);

} // namespace lmc::cuda
