// The instructions of a cubin that say what a kernel keeps busy, and whether it fell back to local
// memory. No driver and no disassembler are needed.
#pragma once

#include <span>
#include <string>

namespace lmc::cuda {

/// How many of a kind a kernel's code has (not how often they run). The names are those that
/// `cuobjdump -sass` prints.
struct InstructionCounts {
  unsigned all = 0;
  unsigned hmma = 0, hgmma = 0; ///< matrix units: a warp's mma.sync, a warpgroup's wgmma
  unsigned imma = 0;            ///< a warp's mma.sync of integers
  unsigned ldsm = 0;            ///< ldmatrix
  unsigned ldgsts = 0;          ///< cp.async
  unsigned utmaldg = 0;         ///< tensor memory accelerator, load
  unsigned ldl = 0, stl = 0;    ///< local memory: load, store
};

/// Of a cubin for sm_70 or later, whose instructions have 16 bytes. Throws Error where it has no such
/// kernel.
InstructionCounts instructionsOf(std::span<const char> cubin, const std::string &kernel);

} // namespace lmc::cuda
