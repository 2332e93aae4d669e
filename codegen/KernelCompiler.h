// The kernels of a plan to object code: from the cache, or compiled on several threads.
#pragma once

#include "codegen/Cache.pb.h"
#include "codegen/Compiler.h"
#include "codegen/KernelTarget.h"

#include <chrono>
#include <string>
#include <vector>

namespace lmc {

/// LLVM's version and the hash of the compiler's sources, as the build found them.
extern const char *const kCompilerVersion;

inline double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct CompiledKernel {
  std::string symbol; ///< in the object; the same for kernels with the same text
  codegen::CachedKernel code;
};

/// One entry for each kernel of the plan, in order. What compilers warn of is emitted as a warning at
/// the kernel's place; such a kernel is not kept in the cache. Throws Error where a kernel cannot be
/// lowered.
std::vector<CompiledKernel> compileKernels(mlir::ModuleOp plan, const Symbols &symbols,
                                           const KernelTarget &target,
                                           const CodegenOptions &options, CompileReport &report);

/// The most scratch bytes that a kernel of the plan needs for a worker, without compiling any.
int64_t largestScratch(mlir::ModuleOp plan, const Symbols &symbols, const KernelTarget &target,
                       const CodegenOptions &options);

} // namespace lmc
