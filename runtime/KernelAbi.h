// What generated CPU code and the runtime agree on: how a kernel is called and how memory is
// aligned. Included by code generators too; needs nothing but the language.
#pragma once

#include <cstdint>

namespace lmc {

/// A kernel of an executable's code object: `extern "C"`, found by Kernel.symbol.
///
///   buffers  operands in the order of Launch.buffers: inputs, then outputs. Every one starts at a
///            multiple of kArenaAlignment, but for weights that are read where their file has them: at
///            a multiple of their element's size. Outputs do not overlap inputs unless the plan says so.
///   dims     one extent per Executable.dims, of this run
///   begin,   the work items to compute, 0 <= begin < end <= Launch.items. Items are independent:
///   end      a result must not depend on how they were split or on who runs them.
///   scratch  Executable.scratch_bytes of this worker's own memory, aligned likewise; holds
///            anything left by earlier kernels. May be null where the executable needs none.
///
/// It does not throw, allocate, lock or call the system, and keeps no state of its own.
using KernelFunction = void (*)(void *const *buffers, const int64_t *dims, int64_t begin,
                                int64_t end, void *scratch);

/// Every tensor, transient buffer, scratch area and stored tensor (unless it is its file's pages) starts at a
/// multiple of it, and every region of the arena is rounded up to it: one cache line, one AVX-512 vector.
inline constexpr uint64_t kArenaAlignment = 64;

/// What cuBLASLt asks of its workspace, which lies in a GPU's scratch area: Kernel.scratch_bytes has
/// room for it.
inline constexpr uint64_t kLibraryAlignment = 256;

constexpr uint64_t alignUp(uint64_t bytes, uint64_t alignment = kArenaAlignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

} // namespace lmc
