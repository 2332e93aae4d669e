// CUDA C++ of a planned module, for --emit=cuda, for NVRTC and for the emulation on the host.
#pragma once

#include "codegen/cuda/Kernel.h"

namespace lmc::cuda {

/// What every translation unit starts with: elements, vectors, reductions. Needs no header.
const std::string &deviceLibrary();

/// Device library and kernels as one translation unit.
std::string translationUnit(llvm::ArrayRef<Kernel> kernels);

/// Every kernel of a planned module that this target generates, with how it is launched; the others
/// are named in comments. Needs no toolkit. Throws Error.
std::string printCuda(mlir::ModuleOp plan);

/// Throws Error that names the first kernels of a planned module that this target does not
/// generate.
void requireGenerated(mlir::ModuleOp plan);

} // namespace lmc::cuda
