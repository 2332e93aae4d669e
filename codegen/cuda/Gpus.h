// The GPUs that kernels are held against on paper: what a multiprocessor holds, and the peaks of one
// device of each architecture. Of these only the number of multiprocessors decides what code is made.
#pragma once

#include "codegen/cuda/Resources.h"
#include "passes/KernelWork.h"

#include <string>

namespace lmc::cuda {

/// Of what a multiprocessor holds and of its special function units.
inline constexpr const char *kLimitsSource = "CUDA C++ Programming Guide";

struct Gpu {
  const char *architecture; ///< "sm_90", also of sm_90a
  const char *name;         ///< of a device with it
  const char *source;       ///< of the peaks

  // A multiprocessor. Registers are of 32 bits; shared memory in bytes.
  unsigned registers, threads, blocks;
  unsigned sharedBytes, largestBlockSharedBytes;

  // The device: dense peaks a second.
  double bytesPerSecond;
  double matrixFlops;             ///< bf16, f32 sums
  double floatFlops, doubleFlops; ///< outside the matrix units
  unsigned multiprocessors;
  double hertz; ///< at which the matrix units reach their peak

  double exponentialsPerSecond() const;
};

/// Of "sm_80", "sm_90a", "sm_100" and their variants. Throws Error for others.
const Gpu &gpuOf(const std::string &architecture);

/// Of one device of an architecture, whatever device there is: results must not depend on that. Of
/// architectures that are not known here the least.
unsigned multiprocessorsOf(const std::string &architecture);

/// Blocks of a kernel that a multiprocessor holds at once; 0: it cannot run there.
unsigned blocksPerMultiprocessor(const Gpu &gpu, const Resources &kernel);

/// The least time that a launch can take on the device, and the unit that takes that long.
struct Roofline {
  double seconds;
  const char *bound; ///< memory | matrix units | arithmetic units | special function units
};
Roofline rooflineOf(const Gpu &gpu, const KernelWork &work);

} // namespace lmc::cuda
