// CUDA C++ of a planned module, for --emit=cuda, for NVRTC and for the emulation on the host.
#pragma once

#include "codegen/cuda/Kernel.h"

namespace lmc::cuda {

/// What every translation unit starts with: elements, vectors, reductions. Needs no header.
const std::string &deviceLibrary();

/// Device library and kernels as one translation unit.
std::string translationUnit(llvm::ArrayRef<Kernel> kernels);

/// Every kernel of a planned module for a target, "cuda" (sm_90a) or "cuda:sm_80", with how it is
/// launched. Needs no toolkit. Throws Error.
std::string printCuda(mlir::ModuleOp plan, const std::string &target);

/// The same kernels as PTX. Throws Error where NVRTC is not found.
std::string printPtx(mlir::ModuleOp plan, const std::string &target);

/// "sm_90a" of "cuda" or "cuda:sm_90a". Throws Error for other targets.
std::string architectureOf(const std::string &target);

} // namespace lmc::cuda
