// Which tokens the n-th sequence of a training run is: a pure function of (seed, n), so that one
// integer resumes a run.
#pragma once

#include <cstdint>

namespace lmc {

/// Each epoch cuts the tokens into windows of `length`, at a phase of its own, and visits each once
/// in a pseudo-random order; unlike offsets drawn with replacement, no token waits long. A window
/// needs one token more, for the last target.
class WindowOrder {
public:
  /// numTokens > length > 0.
  WindowOrder(int64_t numTokens, int64_t length, uint64_t seed);

  int64_t windowsPerEpoch() const { return windows; }
  /// First token of sequence n >= 0.
  int64_t firstToken(int64_t n) const;

private:
  uint64_t permute(uint64_t index, uint64_t epoch) const;

  int64_t length, windows, phases;
  uint64_t seed;
  unsigned halfBits; // of the permutation's domain, 2^(2 halfBits) >= windows
};

} // namespace lmc
