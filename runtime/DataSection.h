// Bytes on pages of their own, so that an executable can take them over as they lie and make them
// read-only.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace lmc {

/// Allocates whole pages, zeroed by the system. Elements are left as they are found: whoever makes room
/// for billions of weights writes them all.
template <typename T> struct PageAllocator {
  using value_type = T;

  PageAllocator() = default;
  template <typename U> PageAllocator(const PageAllocator<U> &) {}

  T *allocate(size_t count) { return static_cast<T *>(allocatePages(count * sizeof(T))); }
  void deallocate(T *address, size_t count) { freePages(address, count * sizeof(T)); }
  template <typename U> void construct(U *) {}
  template <typename U, typename First> void construct(U *place, const First &value) {
    ::new (static_cast<void *>(place)) U(value);
  }
  bool operator==(const PageAllocator &) const = default;

private:
  static void *allocatePages(size_t bytes); ///< throws std::bad_alloc
  static void freePages(void *address, size_t bytes);
};

using DataSection = std::vector<std::byte, PageAllocator<std::byte>>;

} // namespace lmc
