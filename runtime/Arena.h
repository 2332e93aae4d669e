// Where a session's memory lies: computed from the executable alone, so that what is printed before
// a run is what the run takes.
#pragma once

#include "runtime/Executable.pb.h"
#include "runtime/KernelAbi.h"

#include <cstddef>
#include <cstdint>

namespace lmc {

/// state region | slots x slot region | transient region | workers x scratch, each rounded up to
/// kArenaAlignment. Offsets in bytes from the arena's start, which is the state region's.
struct ArenaLayout {
  /// Throws Error unless there are 1 to 65536 slots.
  ArenaLayout(const executable::Executable &message, int workers, int slots);

  uint64_t slotBytes, scratchBytes; ///< of one slot, of one worker
  uint64_t slots, transient, scratch;
  uint64_t bytes; ///< of the whole arena
};

/// Zeroed memory, taken once. Throws Error if the system refuses it.
class Arena {
public:
  explicit Arena(uint64_t bytes);
  ~Arena();
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;

  std::byte *data() const { return start; }
  uint64_t size() const { return bytes; }

private:
  uint64_t bytes;
  std::byte *start = nullptr;
  void *mapped = nullptr; // with what alignment needs
  size_t mappedBytes = 0;
};

} // namespace lmc
