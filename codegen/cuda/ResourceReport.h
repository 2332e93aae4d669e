// What each kernel of a program takes of a GPU, and the least time that its launches can take: for
// --explain=resources. Needs NVRTC, no GPU.
#pragma once

#include "codegen/cuda/Gpus.h"

namespace lmc::cuda {

struct KernelReport {
  std::string symbol, family;     ///< of the plan.kernel
  std::vector<std::string> paths; ///< model paths of its launches, each once
  unsigned launches = 0;          ///< of all programs together
  Resources resources;
  unsigned blocks = 0; ///< that a multiprocessor holds at once
  KernelWork work;     ///< of one launch
  Roofline roofline;   ///< of one launch
  std::vector<std::string> warnings;
};

/// Compiles each kernel of a planned module by itself, as executables have it, on `jobs` threads.
/// Throws Error where NVRTC is missing, and for architectures that gpuOf does not know.
std::vector<KernelReport> reportResources(mlir::ModuleOp plan, const std::string &architecture,
                                          int jobs);

} // namespace lmc::cuda
