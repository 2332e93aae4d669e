// What ptxas made of a kernel: registers, memory, instructions. Read from NVRTC's log and the cubin.
#pragma once

#include "codegen/cuda/Cubin.h"
#include "codegen/cuda/Kernel.h"

#include <span>
#include <string>
#include <vector>

namespace lmc::cuda {

/// Of one thread: registers (32 bits each), spilled bytes and bytes of local memory. Of a block:
/// threads and bytes of shared memory.
struct Resources {
  unsigned registers = 0;
  unsigned spillStoreBytes = 0, spillLoadBytes = 0;
  unsigned localBytes = 0; ///< stack, with what called functions take
  unsigned threads = 0;
  unsigned staticSharedBytes = 0, dynamicSharedBytes = 0;
  InstructionCounts instructions;

  unsigned sharedBytes() const { return staticSharedBytes + dynamicSharedBytes; }
};

/// `cubin` and `log` are Nvrtc::cubin's for a text that has the kernel, maybe among others. Throws
/// Error where they do not tell of it.
Resources resourcesOf(const Kernel &kernel, std::span<const char> cubin, const std::string &log);

/// Lines of NVRTC's log that warn. Those that ptxas numbers C75.. say that a kernel runs, but at a
/// fraction of its speed (C7514: wgmma is serialized; C7512: setmaxnreg is ignored); some of them it
/// calls "info".
std::vector<std::string> warningsOf(const std::string &log);

} // namespace lmc::cuda
