// Runs the text of CUDA kernels on the host, so that tests without a GPU execute what a GPU would.
// Compiled in front of the device library by the host's C++ compiler (C++17, ELF).
//
// Each CUDA thread is a fiber; the threads of a block run one at a time and change places at
// barriers, shuffles and matrix instructions, in an order that a seed chooses. Blocks run one after
// the other. Shared memory is filled with NaN before each block. Asynchronous copies land at once or,
// in lazy orders, as late as is legal, with NaN in their place until then. Found: wrong results,
// reads of shared memory that nobody wrote or that is on its way, missing barriers and waits (in one
// of several orders), barriers and warp instructions that not all threads reach. Built with a
// sanitizer it finds races and accesses beyond buffers as well (emulation_sanitizers.h). Not covered:
// timing, caches, bank conflicts, approximate functions, the PTX of the wrappers (ptx.cuh) itself.
#pragma once

#include "emulation_sanitizers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#define LMC_EMULATED
#define __global__
#define __device__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
// In one section, to be poisoned. AddressSanitizer guards what is in none; for races, each block has
// variables of its own.
#if defined(LMC_SEES_RACES)
#define __shared__ static thread_local
#elif defined(LMC_SEES_ADDRESSES)
#define __shared__ static
#else
#define __shared__ static __attribute__((section("lmc_shared"), used))
#endif

// The linker's names for the ends of the section; absent where no kernel has shared memory.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_lmc_shared[];
extern "C" __attribute__((weak, visibility("hidden"))) char __stop_lmc_shared[];

namespace lmc::emulation {

struct Dim3 {
  unsigned x = 0, y = 0, z = 0;
};

enum class State { Ready, AtBlockBarrier, AtWarpBarrier, AtPhase, Done };

/// An asynchronous copy on its way.
struct Copy {
  void *to;
  const void *from;
  unsigned bytes, taken; ///< of the destination; of the source, zeros after them
  bool committed;

  void land() const {
    std::memcpy(to, from, taken);
    std::memset(static_cast<char *>(to) + taken, 0, bytes - taken);
  }
};

/// What a lane shows to its warp in one instruction.
struct Shown {
  uint64_t words[8];
};

struct Thread {
  Fiber fiber;
  std::unique_ptr<char[]> stack;
  Dim3 index;
  State state = State::Ready;
  Shown shown;
  int rule = 0; ///< which warp instruction it is in; the same in all lanes
  std::vector<Copy> copies;
  std::vector<size_t> groups; ///< copies that were committed before each commit, oldest first
  unsigned blockBarriers = 0, warpBarriers = 0; ///< that it has come to
};

constexpr unsigned kWarpSize = 32;
#if defined(LMC_SEES_RACES) || defined(LMC_SEES_ADDRESSES)
constexpr size_t kStackBytes = 256 << 10; // guards around variables
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr std::align_val_t kSharedAlignment{1024};

struct FreeShared {
  void operator()(char *bytes) const { ::operator delete(bytes, kSharedAlignment); }
};

/// The one launch that runs.
struct Launch {
  std::vector<Thread> threads;
  Fiber scheduler;
  std::unique_ptr<char, FreeShared> dynamicShared;
  /// Places at which a block's threads release and acquire: two for its barrier, two for each warp's.
  /// Barriers take turns, as threads may come to the next one before all have left the last.
  std::unique_ptr<char[]> meetings;
  char begin, end; ///< of the launch: places as well
  void (*body)(void *) = nullptr;
  void *kernel = nullptr;
  Thread *running = nullptr;
  std::vector<Thread *> ready; ///< in the order in which they run, last first
  Dim3 blockIndex, blockDim, gridDim;
  unsigned seed = 0;
  uint64_t random = 0;
  bool lazy = false; ///< asynchronous copies land when they are waited for
  std::string_view fault;
};
inline Launch launch;

} // namespace lmc::emulation

#if defined(__x86_64__)
asm(R"(
  .text
  .weak lmc_emulation_switch
  .hidden lmc_emulation_switch
  .type lmc_emulation_switch, @function
lmc_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
#else
#error "the emulation's context switch is written for x86-64"
#endif

namespace lmc::emulation {

inline unsigned linear() { return static_cast<unsigned>(launch.running - launch.threads.data()); }

/// Back to the scheduler until the state is Ready again.
inline void wait(State state) {
  Thread *self = launch.running;
  self->state = state;
  change(self->fiber, launch.scheduler);
}

/// A barrier that orders memory among the threads that wait there.
inline void meet(State state, const char *place) {
  releaseAt(place);
  wait(state);
  acquireAt(place);
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
             launch.threads[i].rule == launch.threads[first].rule;
    if (all)
      open(first, first + kWarpSize);
  }
  return opened;
}

/// Opens the barrier of a warp at once where all of its lanes are there: they run next.
inline void goOn(const Thread &arrived) {
  size_t first = (&arrived - launch.threads.data()) / kWarpSize * kWarpSize;
  if (first + kWarpSize > launch.threads.size())
    return;
  for (size_t i = first + kWarpSize; i-- > first;)
    if (launch.threads[i].state != State::AtWarpBarrier ||
        launch.threads[i].rule != launch.threads[first].rule)
      return;
  for (size_t i = first + kWarpSize; i-- > first;) {
    launch.threads[i].state = State::Ready;
    launch.ready.push_back(&launch.threads[i]);
  }
}

/// Where the caller's warp meets next.
inline const char *placeOfWarp() {
  unsigned turn = launch.running->warpBarriers++ % 2;
  return &launch.meetings[2 + 2 * (linear() / kWarpSize) + turn];
}

inline size_t randomBelow(size_t count) {
  launch.random = launch.random * 6364136223846793005ull + 1442695040888963407ull;
  return (launch.random >> 33) % count;
}

/// Seed 0: the first thread that can run, to its next barrier; 1: the last; 4, 5: the same, but a warp
/// runs as far as it can before the next one starts; else any. Barriers open when nobody can run.
inline Thread *choose(unsigned seed) {
  std::vector<Thread *> &ready = launch.ready;
  if (ready.empty()) {
    for (Thread &thread : launch.threads)
      if (thread.state == State::Ready)
        ready.push_back(&thread);
    if (seed == 0 || seed == 4)
      std::reverse(ready.begin(), ready.end());
  }
  if (ready.empty())
    return nullptr;
  if (seed == 2 || seed == 3 || seed > 5)
    std::swap(ready[randomBelow(ready.size())], ready.back());
  Thread *next = ready.back();
  ready.pop_back();
  return next;
}

/// A thread: one of each block.
[[noreturn]] inline void enter() {
  arriveFrom(launch.scheduler);
  while (true) {
    acquireAt(&launch.begin);
    launch.body(launch.kernel);
    releaseAt(&launch.end);
    wait(State::Done);
  }
}

/// A stack on which lmc_emulation_switch finds six registers and the way to enter().
inline void *freshStack(char *stack) {
  auto top = reinterpret_cast<uintptr_t>(stack + kStackBytes) & ~uintptr_t(15);
  auto *words = reinterpret_cast<void **>(top) - 8; // enter() sees the alignment after a call
  std::memset(words, 0, 8 * sizeof(void *));
  words[6] = reinterpret_cast<void *>(&enter);
  return words;
}

// What sm_90 does besides its threads (emulation_hopper.h): nothing is on its way; lets threads go on
// when nobody can run; faults where something is left.
inline void startAsync();
inline bool releaseAsync();
inline void endAsync();

inline void startBlock(unsigned shared) {
  Quiet quiet;
  if (__start_lmc_shared)
    std::memset(__start_lmc_shared, 0xff, __stop_lmc_shared - __start_lmc_shared);
  launch.dynamicShared.reset(static_cast<char *>(::operator new(shared, kSharedAlignment)));
  std::memset(launch.dynamicShared.get(), 0xff, shared);
  launch.meetings.reset(new char[2 + 2 * (launch.threads.size() / kWarpSize + 1)]);
  // A fiber comes after its own part of the last block, so it shall not have the same index now.
  unsigned count = launch.blockDim.x;
  std::vector<Thread> threads(count);
  for (unsigned i = 0; i < count; ++i) {
    Thread &last = launch.threads[(i + 1) % count];
    threads[i].fiber = last.fiber;
    threads[i].stack = std::move(last.stack);
    threads[i].index = {i, 0, 0};
  }
  launch.threads = std::move(threads);
  launch.ready.clear();
  launch.scheduler.known = currentFiber();
  startAsync();
}

inline bool runBlock(unsigned seed, unsigned shared) {
  startBlock(shared);
  releaseAt(&launch.begin);
  Quiet quiet;
  while (true) {
    Thread *next = choose(seed);
    if (!next) {
      if (release() || releaseAsync()) {
        if (launch.fault.empty())
          continue;
        return false;
      }
      for (const Thread &thread : launch.threads)
        if (thread.state == State::AtPhase)
          launch.fault = "a wait for a phase of an mbarrier that never ends";
        else if (thread.state != State::Done && launch.fault.empty())
          launch.fault = "a barrier or warp instruction that not all of its threads reach";
      endAsync();
      return launch.fault.empty();
    }
    launch.running = next;
    change(launch.scheduler, next->fiber);
    if ((seed == 4 || seed == 5) && next->state == State::AtWarpBarrier)
      goOn(*next);
    if (!launch.fault.empty())
      return false;
  }
}

/// What a launch of the kernel does; `parameters` as for cuLaunchKernel. Returns null, or what went
/// wrong.
template <typename... Args, size_t... I>
const char *run(void (*kernel)(Args...), unsigned grid, unsigned block, unsigned shared,
                unsigned seed, void **parameters, std::index_sequence<I...>) {
  Quiet quiet;
  auto call = [&] { kernel(*static_cast<std::decay_t<Args> *>(parameters[I])...); };
  launch.threads.clear();
  launch.threads.resize(block);
  for (Thread &thread : launch.threads) {
    thread.stack.reset(new char[kStackBytes]);
    thread.fiber = {freshStack(thread.stack.get()), thread.stack.get(), kStackBytes, createFiber()};
  }
  launch.kernel = &call;
  launch.body = [](void *function) { (*static_cast<decltype(call) *>(function))(); };
  launch.blockDim = {block, 1, 1};
  launch.gridDim = {grid, 1, 1};
  launch.seed = seed;
  launch.random = seed;
  launch.lazy = seed % 2 == 1;
  launch.fault = {};
  bool done = true;
  for (unsigned i = 0; i < grid && done; ++i) {
    launch.blockIndex = {i, 0, 0};
    runApart([&] { done = runBlock(seed, shared); });
  }
  acquireAt(&launch.end);
  for (Thread &thread : launch.threads)
    destroyFiber(thread.fiber.known);
  // Nothing of the launch is left.
  launch.threads = std::vector<Thread>();
  launch.dynamicShared.reset();
  launch.meetings.reset();
  startAsync();
  return done ? nullptr : launch.fault.data();
}

template <typename... Args>
const char *run(void (*kernel)(Args...), unsigned grid, unsigned block, unsigned shared,
                unsigned seed, void **parameters) {
  return run(kernel, grid, block, shared, seed, parameters, std::index_sequence_for<Args...>());
}

/// Shows `mine` to the warp, and once all lanes have shown theirs calls read(lane -> Shown). `rule`
/// names the instruction.
template <typename Read> auto together(int rule, const Shown &mine, Read read) {
  Thread &self = *launch.running;
  {
    Quiet quiet;
    self.shown = mine;
    self.rule = rule;
  }
  wait(State::AtWarpBarrier);
  const Thread *warp = &launch.threads[linear() / kWarpSize * kWarpSize];
  auto result = read([&](unsigned lane) -> const Shown & { return warp[lane % kWarpSize].shown; });
  wait(State::AtWarpBarrier); // nobody shows the next value before all have read this one
  return result;
}

/// The value that lane `from` of the caller's warp shows.
template <typename T> T exchange(unsigned mask, T value, unsigned from, int rule) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  if (mask != 0xffffffffu)
    launch.fault = "a shuffle of a part of a warp";
  Shown mine = {};
  std::memcpy(mine.words, &value, sizeof(T));
  return together(rule, mine, [&](auto shownBy) {
    T result;
    std::memcpy(&result, shownBy(from).words, sizeof(T));
    return result;
  });
}

} // namespace lmc::emulation

#define threadIdx (lmc::emulation::launch.running->index)
#define blockIdx (lmc::emulation::launch.blockIndex)
#define blockDim (lmc::emulation::launch.blockDim)
#define gridDim (lmc::emulation::launch.gridDim)

inline void __syncthreads() {
  using namespace lmc::emulation;
  meet(State::AtBlockBarrier, &launch.meetings[launch.running->blockBarriers++ % 2]);
}

inline void __syncwarp() {
  using namespace lmc::emulation;
  launch.running->rule = -1;
  meet(State::AtWarpBarrier, placeOfWarp());
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return lmc::emulation::exchange(mask, value, lmc::emulation::linear() ^ lanes, lanes);
}

template <typename T> T __shfl_sync(unsigned mask, T value, int lane) {
  unsigned first = lmc::emulation::linear() / lmc::emulation::kWarpSize * lmc::emulation::kWarpSize;
  unsigned from = static_cast<unsigned>(lane) % lmc::emulation::kWarpSize;
  return lmc::emulation::exchange(mask, value, first + from, 1004);
}

inline unsigned __ballot_sync(unsigned mask, bool vote) {
  if (mask != 0xffffffffu)
    lmc::emulation::launch.fault = "a vote of a part of a warp";
  lmc::emulation::Shown mine = {{vote}};
  return lmc::emulation::together(1003, mine, [&](auto shownBy) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < lmc::emulation::kWarpSize; ++lane)
      votes |= static_cast<unsigned>(shownBy(lane).words[0]) << lane;
    return votes;
  });
}
inline int __ffs(int bits) { return __builtin_ffs(bits); }

template <typename To, typename From> To lmcBitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}
inline unsigned __float_as_uint(float x) { return lmcBitCast<unsigned>(x); }
inline float __uint_as_float(unsigned bits) { return lmcBitCast<float>(bits); }
inline double __longlong_as_double(long long bits) { return lmcBitCast<double>(bits); }

/// sum + the products of four signed bytes of each.
inline int __dp4a(int a, int b, int sum) {
  for (int shift = 0; shift < 32; shift += 8)
    sum += static_cast<signed char>(a >> shift) * static_cast<signed char>(b >> shift);
  return sum;
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}

/// Four of the eight bytes of `high` and `low`, by the lower three bits of each digit.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned digits) {
  unsigned long long bytes = static_cast<unsigned long long>(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i)
    result |= static_cast<unsigned>(bytes >> (8 * (digits >> (4 * i) & 7)) & 0xff) << (8 * i);
  return result;
}

// --- the twins of ptx.cuh

namespace lmc {

template <int Words> struct Fragment {
  unsigned at[Words];
};

inline unsigned char *dynamicShared() {
  return reinterpret_cast<unsigned char *>(emulation::launch.dynamicShared.get());
}

/// Zeros and denormals count units of 2^-24.
inline float widenHalf(unsigned short bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
               : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                               : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
  return bits & 0x8000 ? -size : size;
}

template <int Bytes> void copyAsync(void *to, const void *from, int taken) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  using emulation::launch;
  if (reinterpret_cast<uintptr_t>(to) % Bytes ||
      (taken && reinterpret_cast<uintptr_t>(from) % Bytes))
    launch.fault = "a misaligned asynchronous copy";
  emulation::Copy copy = {to, from, Bytes, static_cast<unsigned>(taken), false};
  if (!launch.lazy)
    return copy.land();
  std::memset(to, 0xff, Bytes);
  launch.running->copies.push_back(copy);
}

inline void commitCopies() {
  emulation::Thread &self = *emulation::launch.running;
  self.groups.push_back(self.copies.size());
}

template <int Pending> void waitCopies() {
  emulation::Thread &self = *emulation::launch.running;
  if (self.groups.size() <= Pending)
    return;
  size_t landed = self.groups[self.groups.size() - Pending - 1];
  for (size_t i = 0; i < landed; ++i)
    self.copies[i].land();
  self.copies.erase(self.copies.begin(), self.copies.begin() + landed);
  self.groups.erase(self.groups.begin(), self.groups.end() - Pending);
  for (size_t &group : self.groups)
    group -= landed;
}

template <bool Transposed> Fragment<4> loadMatrices(const void *row) {
  if (reinterpret_cast<uintptr_t>(row) % 16)
    emulation::launch.fault = "a misaligned row of ldmatrix";
  emulation::Shown mine = {};
  std::memcpy(mine.words, row, 16);
  unsigned lane = emulation::linear() % emulation::kWarpSize;
  return emulation::together(Transposed ? 1001 : 1000, mine, [&](auto shownBy) {
    Fragment<4> result;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
      auto element = [&](unsigned r, unsigned c) {
        unsigned short bits;
        const auto *bytes = reinterpret_cast<const char *>(shownBy(8 * matrix + r).words);
        std::memcpy(&bits, bytes + 2 * c, 2);
        return static_cast<unsigned>(bits);
      };
      unsigned major = lane / 4, minor = lane % 4 * 2;
      result.at[matrix] = Transposed ? element(minor, major) | element(minor + 1, major) << 16
                                     : element(major, minor) | element(major, minor + 1) << 16;
    }
    return result;
  });
}

namespace emulation {

/// mma.m16n8kK: a word holds 4 / sizeof(Element) neighbouring k, and a word of `a` or `b` 4 such lanes'.
template <typename Element, typename Sum, int Words>
void multiplyAdd(Sum (&sums)[4], const Fragment<2 * Words> &a, const Fragment<Words> &b) {
  Shown mine = {};
  auto *words = reinterpret_cast<unsigned *>(mine.words);
  std::memcpy(words, &a, sizeof(a));
  std::memcpy(words + 2 * Words, &b, sizeof(b));
  unsigned lane = linear() % kWarpSize;
  constexpr int rule = sizeof(Element) == 1 ? 1004 + Words : 1002;
  together(rule, mine, [&](auto shownBy) {
    constexpr unsigned inWord = 4 / sizeof(Element);
    auto element = [&](unsigned from, unsigned word, unsigned k) {
      Element result;
      const auto *bytes = reinterpret_cast<const char *>(shownBy(from).words);
      std::memcpy(&result, bytes + 4 * word + sizeof(Element) * (k % inWord), sizeof(Element));
      return static_cast<Sum>(result);
    };
    for (unsigned i = 0; i < 4; ++i) {
      unsigned row = lane / 4, high = i / 2, column = lane % 4 * 2 + i % 2;
      for (unsigned k = 0; k < 4 * inWord * Words; ++k) {
        unsigned step = k / (4 * inWord), inRow = k % (4 * inWord) / inWord;
        sums[i] += element(row * 4 + inRow, step * 2 + high, k) *
                   element(column * 4 + inRow, 2 * Words + step, k);
      }
    }
    return 0;
  });
}

struct Bf16 {
  unsigned short bits;
  explicit operator float() const { return lmcBitCast<float>(static_cast<unsigned>(bits) << 16); }
};

} // namespace emulation

inline void multiplyAdd(float (&sums)[4], const Fragment<4> &a, const Fragment<2> &b) {
  emulation::multiplyAdd<emulation::Bf16, float, 2>(sums, a, b);
}
inline void multiplyAdd(int (&sums)[4], const Fragment<4> &a, const Fragment<2> &b) {
  emulation::multiplyAdd<signed char, int, 2>(sums, a, b);
}
inline void multiplyAdd(int (&sums)[4], const Fragment<2> &a, const Fragment<1> &b) {
  emulation::multiplyAdd<signed char, int, 1>(sums, a, b);
}

inline unsigned packed(float low, float high) {
  auto rounded = [](float x) {
    unsigned bits = lmcBitCast<unsigned>(x);
    return x != x ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return rounded(low) | rounded(high) << 16;
}

inline float powerOfTwo(float x) { return std::exp2(x); }
inline float reciprocal(float x) { return 1 / x; }

} // namespace lmc

#include "emulation_hopper.h"

namespace lmc::emulation {
/// The sizes of a kernel's parameters in bytes, then 0.
template <typename... Args> const unsigned *parametersOf(void (*)(Args...)) {
  static const unsigned sizes[] = {sizeof(Args)..., 0};
  return sizes;
}
} // namespace lmc::emulation

/// NAME_emulated(grid, block, shared bytes, seed, parameters) and what its parameters are, for a kernel
/// of the text above it. Seeds: 0, the first thread that can run; 1, the last; 4 and 5, the same with
/// whole warps running ahead; others, any. Odd ones are lazy.
#define LMC_EMULATE(NAME)                                                                          \
  extern "C" const char *NAME##_emulated(unsigned grid, unsigned block, unsigned shared,           \
                                         unsigned seed, void **parameters) {                       \
    return lmc::emulation::run(NAME, grid, block, shared, seed, parameters);                       \
  }                                                                                                \
  extern "C" const unsigned *NAME##_parameters() { return lmc::emulation::parametersOf(NAME); }
