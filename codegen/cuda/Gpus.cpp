#include "codegen/cuda/Gpus.h"

#include "runtime/Error.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace lmc::cuda {
namespace {

constexpr unsigned kKiB = 1024;

/// Limits: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". The clock
/// is the one at which the matrix units' peak holds: 108 x 2048, 132 x 4096, 148 x 8192 flops a cycle.
constexpr Gpu kGpus[] = {
    {"sm_80", "A100 SXM 80GB", "NVIDIA A100 Tensor Core GPU data sheet", 65536, 2048, 32,
     164 * kKiB, 163 * kKiB, 2.039e12, 312e12, 19.5e12, 9.7e12, 108, 1.41e9},
    {"sm_90", "H100 SXM 80GB", "NVIDIA H100 Tensor Core GPU data sheet", 65536, 2048, 32,
     228 * kKiB, 227 * kKiB, 3.35e12, 989.4e12, 66.9e12, 33.5e12, 132, 1.83e9},
    {"sm_100", "B200 SXM", "NVIDIA Blackwell Architecture Technical Brief", 65536, 2048, 32,
     228 * kKiB, 227 * kKiB, 8e12, 2250e12, 80e12, 40e12, 148, 1.856e9},
};

// Programming guide, "Throughput of Native Arithmetic Instructions": results a cycle and
// multiprocessor of exp2, log2, reciprocal, ..., the same for the three architectures.
constexpr unsigned kExponentialsPerCycle = 16;

// cuda_occupancy.h of the toolkit: how a multiprocessor gives out what it has.
constexpr unsigned kWarp = 32;
constexpr unsigned kPartitions = 4; ///< of the registers; a warp lies in one
constexpr unsigned kRegistersOfWarpUnit = 256;
constexpr unsigned kSharedUnit = 128;
constexpr unsigned kSharedReservedBytes = 1 * kKiB; ///< for the system, in each block

} // namespace

double Gpu::exponentialsPerSecond() const {
  return kExponentialsPerCycle * multiprocessors * hertz;
}

/// "sm_90" of "sm_90a".
static std::string baseOf(const std::string &architecture) {
  return architecture.substr(0, architecture.find_last_of("0123456789") + 1);
}

const Gpu &gpuOf(const std::string &architecture) {
  std::string base = baseOf(architecture);
  std::string known;
  for (const Gpu &gpu : kGpus) {
    if (base == gpu.architecture)
      return gpu;
    known += (known.empty() ? "" : ", ") + std::string(gpu.architecture);
  }
  fail("limits and peaks of '{}' are not known; use one of {}", architecture, known);
}

unsigned multiprocessorsOf(const std::string &architecture) {
  const Gpu *found = std::ranges::find(
      kGpus, baseOf(architecture), [](const Gpu &gpu) { return std::string(gpu.architecture); });
  return found != std::end(kGpus)
             ? found->multiprocessors
             : std::ranges::min(kGpus, {}, &Gpu::multiprocessors).multiprocessors;
}

unsigned blocksPerMultiprocessor(const Gpu &gpu, const Resources &kernel) {
  unsigned warps = llvm::divideCeil(kernel.threads, kWarp);
  unsigned shared = llvm::alignTo(kernel.sharedBytes() + kSharedReservedBytes, kSharedUnit);
  unsigned warpRegisters = llvm::alignTo(kernel.registers * kWarp, kRegistersOfWarpUnit);
  if (kernel.sharedBytes() > gpu.largestBlockSharedBytes)
    return 0;
  unsigned warpsByRegisters = gpu.registers / kPartitions / warpRegisters * kPartitions;
  return std::min({gpu.blocks, gpu.threads / kWarp / warps, warpsByRegisters / warps,
                   gpu.sharedBytes / shared});
}

Roofline rooflineOf(const Gpu &gpu, const KernelWork &work) {
  double arithmetic = work.isDouble ? gpu.doubleFlops : gpu.floatFlops;
  Roofline limits[] = {
      {(work.bytesRead + work.bytesWritten) / gpu.bytesPerSecond, "memory"},
      {work.matrixFlops / gpu.matrixFlops, "matrix units"},
      {(work.productFlops + work.pointwiseFlops) / arithmetic, "arithmetic units"},
      {work.exponentials / gpu.exponentialsPerSecond(), "special function units"},
  };
  return *std::ranges::max_element(limits, {}, &Roofline::seconds);
}

} // namespace lmc::cuda
