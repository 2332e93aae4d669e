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

/// How the copies of tiles see one of a kernel's buffers: bf16, in rows of 128 swizzled bytes.
/// Dimensions innermost first; sizes and strides are products.
struct TensorMap {
  unsigned buffer = 0;                          ///< inputs first, then outputs
  int64_t offset = 0;                           ///< bytes of element 0, a multiple of 16
  std::vector<std::vector<GridFactor>> sizes;   ///< elements
  std::vector<std::vector<GridFactor>> strides; ///< bytes, from the second dimension on
  std::vector<unsigned> box;                    ///< elements that one copy takes
};

/// Parameters of the entry point, in order: a pointer for each input and each output of the region
/// (aligned to 16 bytes; an output may be the memory of an input that is read in place), or an array of
/// them; then one 64-bit integer for each of `symbols`: its extent, then the tensor maps.
struct Kernel {
  std::string name, family;
  std::string text; ///< without the device library
  std::vector<std::string> symbols;
  std::vector<TensorMap> maps;
  std::vector<GridFactor> grid; ///< blocks: the product
  unsigned block = 0;           ///< threads
  unsigned sharedBytes = 0;     ///< dynamic shared memory of a block
  unsigned addresses = 0;       ///< of that array; 0: a parameter each

  /// Blocks at given extents.
  int64_t blocks(const llvm::StringMap<int64_t> &extents) const;
};

/// The product at given extents.
int64_t productOf(llvm::ArrayRef<GridFactor> factors, const llvm::StringMap<int64_t> &extents);

/// For "sm_80", "sm_90a". Throws Error for element types that cannot be read and for what only the
/// CPU's kernels can do.
Kernel emitKernel(plan::KernelOp kernel, const Ranges &ranges, llvm::StringRef name,
                  llvm::StringRef architecture);

} // namespace lmc::cuda
