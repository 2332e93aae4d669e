#include "runtime/FilePages.h"

#include "runtime/KernelAbi.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstdint>
#include <cstring>

namespace lmc {
namespace {

size_t pageSize() {
  static const auto size = size_t(::sysconf(_SC_PAGESIZE));
  return size;
}

/// The pages at `from`, mapped at `to` too.
bool mapAgain(uintptr_t from, uintptr_t to, size_t bytes) {
  // An old size of 0 keeps the mapping that is there (mremap(2)).
  return ::mremap(reinterpret_cast<void *>(from), 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                  reinterpret_cast<void *>(to)) != MAP_FAILED;
}

} // namespace

void forgetPages(std::span<const std::byte> part) {
  auto begin = reinterpret_cast<uintptr_t>(part.data()), end = begin + part.size();
  begin -= begin % pageSize(); // pages that are shared with a neighbour are read again
  if (end > begin)
    ::madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

size_t slackOfPages() { return 2 * pageSize(); }

void appendPages(DataSection &data, std::span<const std::byte> part) {
  auto begin = reinterpret_cast<uintptr_t>(part.data()), end = begin + part.size();
  size_t start = alignUp(data.size(), pageSize()) + begin % pageSize();
  assert(start + part.size() <= data.capacity() &&
         "a copy of the section would be a copy of the pages");
  data.resize(start + part.size());
  uintptr_t first = alignUp(begin, pageSize()), last = end - end % pageSize();
  auto copy = [&](uintptr_t from, uintptr_t to) {
    std::memcpy(data.data() + start + (from - begin), reinterpret_cast<const void *>(from),
                to - from);
  };
  auto place = reinterpret_cast<uintptr_t>(data.data() + start + (first - begin));
  if (first >= last || !mapAgain(first, place, last - first))
    return copy(begin, end); // small, or a file system that cannot: the same bytes
  copy(begin, first);
  copy(last, end);
}

} // namespace lmc
