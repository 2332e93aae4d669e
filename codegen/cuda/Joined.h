// Joined kernels (ir/Segments.h) as CUDA C++.
#pragma once

#include "codegen/cuda/Kernel.h"

namespace lmc::cuda {

/// Each body as the emitter of its family prints it for symbolic extents. These come from tables, and so
/// does where each segment's blocks begin: a block finds its segment, and from there on is one of a launch
/// over that segment alone. All addresses are one parameter.
Kernel emitJoined(plan::KernelOp kernel, llvm::StringRef name, llvm::StringRef architecture);

} // namespace lmc::cuda
