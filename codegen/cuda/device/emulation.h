// Runs the text of CUDA kernels on the host, so that tests without a GPU execute what a GPU would.
// Compiled in front of the device library by the host's C++ compiler (C++17, ELF).
//
// Each CUDA thread is a fiber; the threads of a block run one at a time and change places at
// barriers and shuffles, in an order that a seed chooses. Blocks run one after the other. Shared
// memory lies in a section of its own, filled with NaN before each block. Found: wrong results,
// reads of shared memory that nobody wrote, missing barriers (in one of several orders), barriers
// and shuffles that not all threads reach. Not covered: timing, caches, approximate functions.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("lmc_shared"), used))

// The linker's names for the ends of the section; absent where no kernel has shared memory.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_lmc_shared[];
extern "C" __attribute__((weak, visibility("hidden"))) char __stop_lmc_shared[];

namespace lmc::emulation {

struct Dim3 {
  unsigned x = 0, y = 0, z = 0;
};

enum class State { Ready, AtBlockBarrier, AtWarpBarrier, Done };

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  Dim3 index;
  State state = State::Ready;
  uint64_t exchanged = 0; ///< what the thread shows to its warp
  int partnerRule = 0;    ///< of the shuffle it is in; the same in all lanes
};

constexpr unsigned kWarpSize = 32;
constexpr size_t kStackBytes = 64 << 10;

/// The one launch that runs.
struct Launch {
  std::vector<Thread> threads;
  ucontext_t scheduler;
  void (*body)(void *) = nullptr;
  void *kernel = nullptr;
  Thread *running = nullptr;
  Dim3 blockIndex, blockDim, gridDim;
  uint64_t random = 0;
  std::string_view fault;
};
inline Launch launch;

inline unsigned linear() { return static_cast<unsigned>(launch.running - launch.threads.data()); }

/// Back to the scheduler until the state is Ready again.
inline void wait(State state) {
  Thread *self = launch.running;
  self->state = state;
  swapcontext(&self->context, &launch.scheduler);
}

/// Opens the barriers that all of their threads have reached. A block's barrier does not wait for
/// threads that have returned, a warp's needs all 32.
inline bool release() {
  unsigned waiting = 0, live = 0;
  for (const Thread &thread : launch.threads) {
    live += thread.state != State::Done;
    waiting += thread.state == State::AtBlockBarrier;
  }
  bool opened = false;
  auto open = [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i)
      if (launch.threads[i].state != State::Done)
        launch.threads[i].state = State::Ready;
    opened = true;
  };
  if (live && waiting == live)
    open(0, launch.threads.size());
  for (size_t first = 0; first + kWarpSize <= launch.threads.size(); first += kWarpSize) {
    bool all = true;
    for (size_t i = first; i < first + kWarpSize; ++i)
      all &= launch.threads[i].state == State::AtWarpBarrier &&
             launch.threads[i].partnerRule == launch.threads[first].partnerRule;
    if (all)
      open(first, first + kWarpSize);
  }
  return opened;
}

/// Seed 0: the first thread that can run, to its next barrier; 1: the last; else any.
inline Thread *choose(unsigned seed) {
  std::vector<Thread *> ready;
  for (Thread &thread : launch.threads)
    if (thread.state == State::Ready)
      ready.push_back(&thread);
  if (ready.empty())
    return nullptr;
  if (seed <= 1)
    return seed ? ready.back() : ready.front();
  launch.random = launch.random * 6364136223846793005ull + 1442695040888963407ull;
  return ready[(launch.random >> 33) % ready.size()];
}

inline void enter() {
  launch.body(launch.kernel);
  launch.running->state = State::Done;
}

inline bool runBlock(unsigned seed) {
  if (__start_lmc_shared)
    std::memset(__start_lmc_shared, 0xff, __stop_lmc_shared - __start_lmc_shared);
  for (unsigned i = 0; i < launch.threads.size(); ++i) {
    Thread &thread = launch.threads[i];
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = &launch.scheduler;
    thread.index = {i, 0, 0};
    thread.state = State::Ready;
    makecontext(&thread.context, enter, 0);
  }
  while (true) {
    Thread *next = choose(seed);
    if (!next) {
      if (release())
        continue;
      for (const Thread &thread : launch.threads)
        if (thread.state != State::Done) {
          launch.fault = "a barrier or shuffle that not all of its threads reach";
          return false;
        }
      return true;
    }
    launch.running = next;
    swapcontext(&launch.scheduler, &next->context);
    if (!launch.fault.empty())
      return false;
  }
}

/// What a launch of the kernel does; `parameters` as for cuLaunchKernel. Returns null, or what went
/// wrong.
template <typename... Args, size_t... I>
const char *run(void (*kernel)(Args...), unsigned grid, unsigned block, unsigned seed,
                void **parameters, std::index_sequence<I...>) {
  auto call = [&] { kernel(*static_cast<std::decay_t<Args> *>(parameters[I])...); };
  launch.threads.clear();
  launch.threads.resize(block);
  for (Thread &thread : launch.threads)
    thread.stack.reset(new char[kStackBytes]);
  launch.kernel = &call;
  launch.body = [](void *function) { (*static_cast<decltype(call) *>(function))(); };
  launch.blockDim = {block, 1, 1};
  launch.gridDim = {grid, 1, 1};
  launch.random = seed;
  launch.fault = {};
  for (unsigned i = 0; i < grid; ++i) {
    launch.blockIndex = {i, 0, 0};
    if (!runBlock(seed))
      return launch.fault.data();
  }
  launch.threads.clear();
  return nullptr;
}

template <typename... Args>
const char *run(void (*kernel)(Args...), unsigned grid, unsigned block, unsigned seed,
                void **parameters) {
  return run(kernel, grid, block, seed, parameters, std::index_sequence_for<Args...>());
}

/// The value that lane `from` of the caller's warp shows.
template <typename T> T exchange(unsigned mask, T value, unsigned from, int rule) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  if (mask != 0xffffffffu)
    launch.fault = "a shuffle of a part of a warp";
  Thread &self = *launch.running;
  std::memcpy(&self.exchanged, &value, sizeof(T));
  self.partnerRule = rule;
  wait(State::AtWarpBarrier);
  unsigned first = linear() / kWarpSize * kWarpSize;
  T result;
  std::memcpy(&result, &launch.threads[first + from % kWarpSize].exchanged, sizeof(T));
  wait(State::AtWarpBarrier); // nobody shows the next value before all have read this one
  return result;
}

} // namespace lmc::emulation

#define threadIdx (lmc::emulation::launch.running->index)
#define blockIdx (lmc::emulation::launch.blockIndex)
#define blockDim (lmc::emulation::launch.blockDim)
#define gridDim (lmc::emulation::launch.gridDim)

inline void __syncthreads() { lmc::emulation::wait(lmc::emulation::State::AtBlockBarrier); }

inline void __syncwarp() {
  lmc::emulation::launch.running->partnerRule = -1;
  lmc::emulation::wait(lmc::emulation::State::AtWarpBarrier);
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return lmc::emulation::exchange(mask, value, lmc::emulation::linear() ^ lanes, lanes);
}

template <typename To, typename From> To lmcBitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}
inline unsigned __float_as_uint(float x) { return lmcBitCast<unsigned>(x); }
inline float __uint_as_float(unsigned bits) { return lmcBitCast<float>(bits); }
inline double __longlong_as_double(long long bits) { return lmcBitCast<double>(bits); }

/// NAME_emulated(grid, block, seed, parameters), for a kernel of the text above it.
#define LMC_EMULATE(NAME)                                                                          \
  extern "C" const char *NAME##_emulated(unsigned grid, unsigned block, unsigned seed,             \
                                         void **parameters) {                                      \
    return lmc::emulation::run(NAME, grid, block, seed, parameters);                               \
  }
