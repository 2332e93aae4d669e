// What ThreadSanitizer and AddressSanitizer are told of an emulated launch; without them, nothing.
//
// Races: each CUDA thread is a thread to the sanitizer (its "fiber"), so is each copy of a tile, and
// changing places orders nothing. Only what orders memory on a GPU does: barriers of blocks and warps,
// phases of mbarriers, the wait for a copy, a launch's begin and end. Shuffles, votes and matrix
// instructions do not. So what two threads access without order is reported in whatever order they run.
// Blocks of one grid are not ordered either, but a barrier of one block hides what comes after it from
// those before. Asynchronous work reads and writes where it is started and where it is waited for: use a
// lazy order.
// Addresses: shared memory has its exact size, and the sanitizer knows the fibers' stacks.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LMC_SEES_RACES
#endif
#if __has_feature(address_sanitizer)
#define LMC_SEES_ADDRESSES
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define LMC_SEES_RACES
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LMC_SEES_ADDRESSES
#endif

#if defined(LMC_SEES_RACES)
#include <sanitizer/tsan_interface.h>
#include <thread>
extern "C" {
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
}
#elif defined(LMC_SEES_ADDRESSES)
#include <sanitizer/common_interface_defs.h>
#endif

namespace lmc::emulation {

/// While it lives, accesses of this fiber are the emulation's own. Memory that is taken or given back
/// meanwhile has no history.
struct Quiet {
#if defined(LMC_SEES_RACES)
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Quiet() {}
#endif
  Quiet(const Quiet &) = delete;
};

#if defined(LMC_SEES_RACES)
/// What came before a release comes before what follows an acquire of the same place.
inline void releaseAt(const void *place) { __tsan_release(const_cast<void *>(place)); }
inline void acquireAt(const void *place) { __tsan_acquire(const_cast<void *>(place)); }

/// Comes after what its creator did so far.
inline void *createFiber() { return __tsan_create_fiber(0); }
inline void destroyFiber(void *fiber) { __tsan_destroy_fiber(fiber); }

/// Calls work() as that fiber.
template <typename Work> void runAs(void *fiber, Work work) {
  void *self = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync);
  work();
  __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
}

/// Calls work() in a thread whose thread-local variables are new.
template <typename Work> void runApart(Work work) { std::thread(work).join(); }
#else
inline void releaseAt(const void *) {}
inline void acquireAt(const void *) {}
inline void *createFiber() { return nullptr; }
inline void destroyFiber(void *) {}
template <typename Work> void runAs(void *, Work work) { work(); }
template <typename Work> void runApart(Work work) { work(); }
#endif

/// A flow of control with a stack of its own, as the sanitizers know it.
struct Fiber {
  void *stackPointer = nullptr;
  const void *stack = nullptr; ///< its lowest address
  size_t stackBytes = 0;
  void *known = nullptr; ///< createFiber()'s
};

} // namespace lmc::emulation

/// Keeps the callee-saved registers on the stack, stores its top in *from and goes on at `to`.
extern "C" void lmc_emulation_switch(void **from, void *to);

namespace lmc::emulation {

/// `from` may have gone elsewhere when this returns.
inline void change(Fiber &from, Fiber &to) {
#if defined(LMC_SEES_RACES)
  __tsan_switch_to_fiber(to.known, __tsan_switch_to_fiber_no_sync);
#elif defined(LMC_SEES_ADDRESSES)
  void *fakeStack; // of locals, if there is one
  __sanitizer_start_switch_fiber(&fakeStack, to.stack, to.stackBytes);
#endif
  lmc_emulation_switch(&from.stackPointer, to.stackPointer);
#if defined(LMC_SEES_ADDRESSES)
  __sanitizer_finish_switch_fiber(fakeStack, nullptr, nullptr);
#endif
}

/// The first thing that a new fiber does: `from` is where it came from.
inline void arriveFrom(Fiber &from) {
#if defined(LMC_SEES_ADDRESSES)
  __sanitizer_finish_switch_fiber(nullptr, &from.stack, &from.stackBytes);
#endif
}

/// The fiber that runs this.
inline void *currentFiber() {
#if defined(LMC_SEES_RACES)
  return __tsan_get_current_fiber();
#else
  return nullptr;
#endif
}

} // namespace lmc::emulation
