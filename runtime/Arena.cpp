#include "runtime/Arena.h"

#include "runtime/Error.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace lmc {

ArenaLayout::ArenaLayout(const executable::Executable &message, int workers, int numSlots) {
  if (numSlots < 1 || numSlots > 65536)
    fail("{} slots, must be 1 to 65536", numSlots);
  slotBytes = alignUp(message.slot_bytes());
  scratchBytes = alignUp(message.scratch_bytes());
  slots = alignUp(message.state_bytes());
  transient = slots + numSlots * slotBytes;
  scratch = transient + alignUp(message.transient_bytes());
  bytes = scratch + workers * scratchBytes;
}

Arena::Arena(uint64_t bytes) : bytes(bytes) {
  if (bytes == 0)
    return;
  // Large arenas start on a huge page and ask for them: fewer TLB misses in every kernel.
  constexpr uint64_t kHugePage = uint64_t(2) << 20;
  uint64_t alignment = bytes >= kHugePage ? kHugePage : kArenaAlignment;
  mappedBytes = bytes + alignment;
  mapped = ::mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    fail("cannot take an arena of {} bytes: {}", bytes, std::generic_category().message(errno));
  start = reinterpret_cast<std::byte *>(alignUp(reinterpret_cast<uintptr_t>(mapped), alignment));
  if (alignment == kHugePage)
    ::madvise(start, bytes, MADV_HUGEPAGE); // advice only: without huge pages it runs as well
}

Arena::~Arena() {
  if (start)
    ::munmap(mapped, mappedBytes);
}

} // namespace lmc
