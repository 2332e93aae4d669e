// The host twins of hopper.cuh. Lazy orders: a tile's copy lands when no thread can go on without it,
// and a product is computed when its warp waits for it. Found besides what emulation.h finds: barriers
// that are not initialised, that too many arrive at or whose bytes are not those announced; waits that
// nothing ends; products without a fence, or that nobody waits for. Not covered: proxy fences, and
// registers (keep(), setmaxnreg).
#pragma once

#include "emulated_tensor_map.h"

#define LMC_HOPPER
#define __grid_constant__

namespace lmc {

using emulation::TensorMap;

struct alignas(8) Barrier {
  unsigned long long state; // what it holds is in emulation::Hopper
};

template <int Rank> struct Coordinates {
  int at[Rank];
};

inline unsigned sharedAddress(const void *pointer) {
  return static_cast<unsigned>(static_cast<const unsigned char *>(pointer) - dynamicShared());
}

} // namespace lmc

namespace lmc::emulation {

struct BarrierState {
  int arrivals, missing;
  int64_t bytes = 0; ///< announced and not there yet
  unsigned phase = 0;
};

/// A tile's copy on its way.
struct TileCopy {
  char *to;
  TensorMap map;
  const Barrier *barrier;
  int64_t first[kMostTileRank];
  uint64_t bytes;
  void *fiber; ///< a flow of control of its own, for the race detector
};

/// A thread's part of a product.
struct ProductPart {
  float *sums;
  int columns;
  bool held, transposedA, transposedB, add;
  uint64_t a, b;       ///< descriptors
  float rows[2][16];   ///< of a, where it is held in registers
  unsigned warp, lane; ///< the warp's number in its warpgroup
};

/// What one thread has started.
struct ProductQueue {
  std::vector<ProductPart> parts;
  std::vector<size_t> groups; ///< parts before each commit, oldest first
  bool fenced = false;
};

struct Hopper {
  std::map<const Barrier *, BarrierState> barriers;
  std::vector<TileCopy> tiles;
  std::vector<ProductQueue> products;                      // by thread
  std::vector<std::pair<const Barrier *, unsigned>> waits; // by thread: for a phase's parity
};
inline Hopper hopper;

inline void startAsync() {
  hopper.barriers.clear();
  hopper.tiles.clear();
  hopper.products = std::vector<ProductQueue>(launch.threads.size());
  hopper.waits = decltype(hopper.waits)(launch.threads.size());
}

inline void endAsync() {
  if (!hopper.tiles.empty())
    launch.fault = "a block ends before the copy of a tile has landed";
  for (const ProductQueue &queue : hopper.products)
    if (!queue.parts.empty())
      launch.fault = "a thread ends without waiting for a product";
}

inline BarrierState &stateOf(const Barrier *barrier) {
  auto found = hopper.barriers.find(barrier);
  if (found == hopper.barriers.end()) {
    launch.fault = "an mbarrier that is not initialised";
    return hopper.barriers[barrier];
  }
  return found->second;
}

inline void endPhaseIfDone(BarrierState &barrier) {
  if (barrier.bytes < 0)
    launch.fault = "more bytes land at an mbarrier than were announced";
  if (barrier.missing || barrier.bytes)
    return;
  ++barrier.phase;
  barrier.missing = barrier.arrivals;
}

/// Where a phase's arrivals release and those who waited for it acquire.
inline const void *placeOf(const Barrier *barrier, unsigned phase) {
  return reinterpret_cast<const char *>(barrier) + phase % 2;
}

/// Reads a barrier as its instructions do: who initialised it must come before.
inline void touch(const Barrier *barrier) {
  (void)*static_cast<const volatile unsigned long long *>(&barrier->state);
}

inline void arriveAt(const Barrier *barrier, int bytes) {
  touch(barrier);
  Quiet quiet;
  releaseAt(placeOf(barrier, stateOf(barrier).phase));
  BarrierState &state = stateOf(barrier);
  if (state.missing == 0)
    launch.fault = "more arrivals at an mbarrier than it was initialised for";
  else
    --state.missing;
  state.bytes += bytes;
  endPhaseIfDone(state);
}

/// Address bits 4 to 6 of a swizzled place are xor'ed with bits 7 to 9.
inline uint64_t swizzled(uint64_t place) { return place ^ (place >> 7 & 7) << 4; }

inline void land(const TileCopy &copy) {
  constexpr uint64_t kElementBytes = 2, kRowBytes = 128;
  const TensorMap &map = copy.map;
  uint64_t rows = copy.bytes / (map.box[0] * kElementBytes);
  for (uint64_t row = 0; row < rows; ++row) {
    uint64_t rest = row;
    const char *from = map.start;
    bool inside = true;
    for (uint32_t i = 1; i < map.rank; ++i) {
      int64_t at = copy.first[i] + static_cast<int64_t>(rest % map.box[i]);
      rest /= map.box[i];
      inside &= at >= 0 && static_cast<uint64_t>(at) < map.sizes[i];
      from += at * static_cast<int64_t>(map.strides[i - 1]);
    }
    for (uint32_t i = 0; i < map.box[0]; ++i) {
      int64_t at = copy.first[0] + i;
      bool exists = inside && at >= 0 && static_cast<uint64_t>(at) < map.sizes[0];
      char *to = copy.to + swizzled(row * kRowBytes + i * kElementBytes);
      if (exists)
        std::memcpy(to, from + at * static_cast<int64_t>(kElementBytes), kElementBytes);
      else
        std::memset(to, 0, kElementBytes);
    }
  }
  Quiet quiet;
  BarrierState &barrier = stateOf(copy.barrier);
  releaseAt(placeOf(copy.barrier, barrier.phase));
  barrier.bytes -= static_cast<int64_t>(copy.bytes);
  endPhaseIfDone(barrier);
}

inline bool hasEnded(const std::pair<const Barrier *, unsigned> &wait) {
  return (stateOf(wait.first).phase & 1) != wait.second;
}

/// Nobody can run: threads go on whose phase has ended; if there are none, a copy lands. Seed 1: the
/// one that started first; 5: last; else any.
inline bool releaseAsync() {
  bool any = false;
  for (size_t i = 0; i < launch.threads.size(); ++i)
    if (launch.threads[i].state == State::AtPhase && hasEnded(hopper.waits[i])) {
      launch.threads[i].state = State::Ready;
      any = true;
    }
  std::vector<TileCopy> &tiles = hopper.tiles;
  if (any || tiles.empty())
    return any;
  size_t next = launch.seed == 1   ? 0
                : launch.seed == 5 ? tiles.size() - 1
                                   : randomBelow(tiles.size());
  TileCopy copy = tiles[next];
  tiles.erase(tiles.begin() + next);
  runAs(copy.fiber, [&] { land(copy); });
  destroyFiber(copy.fiber);
  return true;
}

/// Element (across, depth) of an operand in shared memory.
inline float element(uint64_t descriptor, bool transposed, unsigned across, unsigned depth) {
  uint64_t start = (descriptor & 0x3fff) << 4, leading = (descriptor >> 16 & 0x3fff) << 4,
           stride = (descriptor >> 32 & 0x3fff) << 4;
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0)
    launch.fault = "a matrix descriptor without the 128-byte swizzle";
  uint64_t place = transposed ? start + across / 64 * leading + depth / 8 * stride +
                                    depth % 8 * 128 + across % 64 * 2
                              : start + across / 8 * stride + across % 8 * 128 + depth * 2;
  unsigned short bits;
  std::memcpy(&bits, dynamicShared() + swizzled(place), sizeof(bits));
  return lmcBitCast<float>(static_cast<unsigned>(bits) << 16);
}

inline void compute(ProductPart &part) {
  if (!part.held)
    for (unsigned half = 0; half < 2; ++half)
      for (unsigned k = 0; k < 16; ++k)
        part.rows[half][k] =
            element(part.a, part.transposedA, part.warp * 16 + 8 * half + part.lane / 4, k);
  for (int column = 0; column < part.columns; column += 8)
    for (unsigned i = 0; i < 2; ++i) {
      float b[16];
      for (unsigned k = 0; k < 16; ++k)
        b[k] = element(part.b, part.transposedB, column + part.lane % 4 * 2 + i, k);
      for (unsigned half = 0; half < 2; ++half) {
        float &sum = part.sums[column / 2 + 2 * half + i];
        float total = part.add ? sum : 0;
        for (unsigned k = 0; k < 16; ++k)
          total += part.rows[half][k] * b[k];
        sum = total;
      }
    }
}

/// Says at its end that a lane's products have been computed.
struct Completion {
  const char *place;
  ~Completion() { releaseAt(place); }
};

/// A product of the caller's warp: `a` is what its lanes hold, or nothing.
inline void startPart(ProductPart part, const Fragment<4> *a) {
  part.lane = linear() % kWarpSize;
  part.warp = linear() / kWarpSize % 4;
  part.held = a != nullptr;
  ProductQueue &queue = hopper.products[linear()];
  if (!queue.fenced)
    launch.fault = "a product without a fence before it";
  Shown mine = {};
  if (a)
    std::memcpy(mine.words, a, sizeof(*a));
  mine.words[2] = part.a;
  mine.words[3] = part.b;
  together(2000 + part.columns, mine, [&](auto shownBy) {
    for (unsigned lane = 0; lane < kWarpSize; ++lane)
      if (shownBy(lane).words[2] != part.a || shownBy(lane).words[3] != part.b)
        launch.fault = "a product whose lanes name different matrices";
    for (unsigned half = 0; a && half < 2; ++half)
      for (unsigned k = 0; k < 16; ++k) {
        unsigned short bits;
        const auto *bytes =
            reinterpret_cast<const char *>(shownBy(part.lane / 4 * 4 + k % 8 / 2).words);
        std::memcpy(&bits, bytes + 4 * (k / 8 * 2 + half) + 2 * (k % 2), 2);
        part.rows[half][k] = lmcBitCast<float>(static_cast<unsigned>(bits) << 16);
      }
    return 0;
  });
  if (!launch.lazy)
    return compute(part);
#if defined(LMC_SEES_RACES)
  float sums[128]; // operands may be read from now on
  ProductPart now = part;
  now.sums = sums;
  now.add = false;
  compute(now);
#endif
  queue.parts.push_back(part);
}

} // namespace lmc::emulation

namespace lmc {

inline void initialise(Barrier *barrier, int arrivals) {
  barrier->state = static_cast<unsigned long long>(arrivals);
  emulation::Quiet quiet;
  emulation::hopper.barriers[barrier] = {arrivals, arrivals};
}
inline void publishBarriers() {}
inline void arrive(Barrier *barrier) { emulation::arriveAt(barrier, 0); }
inline void arriveExpecting(Barrier *barrier, int bytes) { emulation::arriveAt(barrier, bytes); }

inline void waitForPhase(Barrier *barrier, unsigned parity) {
  emulation::touch(barrier);
  bool ended;
  {
    emulation::Quiet quiet;
    ended = emulation::hasEnded({barrier, parity});
  }
  if (!ended) {
    emulation::hopper.waits[emulation::linear()] = {barrier, parity};
    emulation::wait(emulation::State::AtPhase);
  }
  emulation::acquireAt(emulation::placeOf(barrier, parity));
}

template <int Rank>
void copyTile(void *to, const TensorMap &map, Barrier *barrier, const Coordinates<Rank> &at) {
  using emulation::launch;
  if (sharedAddress(to) % 1024)
    launch.fault = "a tile that is not aligned to 1024 bytes";
  if (map.rank != Rank)
    launch.fault = "a tile's copy with more or fewer coordinates than its tensor";
  emulation::touch(barrier);
  emulation::TileCopy copy = {static_cast<char *>(to), map, barrier, {}, 2, nullptr};
  for (int i = 0; i < Rank; ++i) {
    copy.first[i] = at.at[i];
    copy.bytes *= map.box[i];
  }
  {
    emulation::Quiet quiet;
    emulation::stateOf(barrier);
  }
  if (!launch.lazy)
    return emulation::land(copy);
  std::memset(to, 0xff, copy.bytes);
  copy.fiber = emulation::createFiber();
  emulation::Quiet quiet;
  emulation::hopper.tiles.push_back(copy);
}

template <int Count> void takeRegisters() {}
template <int Count> void giveRegisters() {}

inline void fenceProducts() { emulation::hopper.products[emulation::linear()].fenced = true; }
inline void commitProducts() {
  emulation::ProductQueue &queue = emulation::hopper.products[emulation::linear()];
  queue.groups.push_back(queue.parts.size());
}
template <int Pending> void waitProducts() {
  // A warp's parts are done together: what one lane then says is true of all.
  const char *place = emulation::placeOfWarp();
  emulation::together(3000 + Pending, {}, [&](auto) {
    emulation::Completion completion{place};
    emulation::ProductQueue &queue = emulation::hopper.products[emulation::linear()];
    queue.fenced = false;
    if (queue.groups.size() <= Pending)
      return 0;
    size_t done = queue.groups[queue.groups.size() - Pending - 1];
    for (size_t i = 0; i < done; ++i)
      emulation::compute(queue.parts[i]);
    queue.parts.erase(queue.parts.begin(), queue.parts.begin() + done);
    queue.groups.erase(queue.groups.begin(), queue.groups.end() - Pending);
    for (size_t &group : queue.groups)
      group -= done;
    return 0;
  });
  emulation::acquireAt(place);
}
template <int Tiles> void keep(float (&)[Tiles][4]) {}

template <int Columns, bool TransposedA, bool TransposedB>
void startProduct(float (&sums)[Columns / 8][4], unsigned long long a, unsigned long long b,
                  bool add) {
  emulation::startPart({&sums[0][0], Columns, false, TransposedA, TransposedB, add, a, b}, nullptr);
}
template <int Columns, bool TransposedB>
void startProduct(float (&sums)[Columns / 8][4], const Fragment<4> &a, unsigned long long b,
                  bool add) {
  emulation::startPart({&sums[0][0], Columns, true, false, TransposedB, add, 0, b}, &a);
}

} // namespace lmc
