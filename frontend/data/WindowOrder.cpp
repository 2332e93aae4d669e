#include "frontend/data/WindowOrder.h"

#include "runtime/Philox.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace lmc {

/// Apart from the streams of initialisation and dropout, which use small numbers.
static constexpr uint64_t dataStream = 0x64617461'00000000; // "data"

WindowOrder::WindowOrder(int64_t numTokens, int64_t length, uint64_t seed)
    : length(length), seed(seed) {
  assert(length > 0 && numTokens > length);
  // One window less than fit leaves room for any phase, and every epoch has the same number.
  int64_t fit = (numTokens - 1) / length;
  windows = std::max<int64_t>(1, fit - 1);
  phases = std::min(length, numTokens - windows * length);
  halfBits = (std::bit_width(uint64_t(windows - 1)) + 1) / 2;
}

int64_t WindowOrder::firstToken(int64_t n) const {
  uint64_t epoch = uint64_t(n / windows);
  // Even numbers of the stream choose phases, odd ones key the permutations.
  uint64_t phase = Philox(seed, dataStream).below(2 * epoch, uint64_t(phases));
  return int64_t(phase) + int64_t(permute(uint64_t(n % windows), epoch)) * length;
}

/// A Feistel network permutes the domain; walking along its cycle until the value is a window
/// permutes the windows (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). At most
/// four steps are expected.
uint64_t WindowOrder::permute(uint64_t index, uint64_t epoch) const {
  if (halfBits == 0)
    return 0;
  uint64_t key = Philox(seed, dataStream).bits64(2 * epoch + 1);
  uint64_t mask = (uint64_t(1) << halfBits) - 1;
  do {
    uint64_t left = index >> halfBits, right = index & mask;
    for (uint32_t round = 0; round < 6; ++round) {
      PhiloxBlock mixed =
          philox4x32({uint32_t(right), round, 0, 0}, {uint32_t(key), uint32_t(key >> 32)});
      uint64_t next = left ^ (mixed[0] & mask);
      left = right;
      right = next;
    }
    index = left << halfBits | right;
  } while (index >= uint64_t(windows));
  return index;
}

} // namespace lmc
