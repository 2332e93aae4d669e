// A stand-in for NVIDIA's cuBLASLt: a shared object with the same entry points, which refuses what the
// reference forbids and computes products on the host. What it needs of the emulated GPU and what tests
// ask of it goes through one structure, found by name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lmc::test {

struct FakeCublasLt {
  // Set by the test.
  /// Puts work on the emulated stream; `work` returns 0 or a CUresult.
  int (*put)(void *stream, int (*work)(void *argument), void *argument,
             void (*release)(void *)) = nullptr;
  bool (*isDevice)(unsigned long long start, size_t bytes) = nullptr;
  bool (*isRecording)() = nullptr;
  size_t needs = 4096; ///< workspace bytes of its algorithm
  bool ignoresBias = false;
  bool hasAlgorithms = true;

  // Counted by the library.
  size_t heuristics = 0;
  size_t products = 0, ran = 0; ///< put on the stream or recorded; computed, in replays too
  size_t open = 0;              ///< objects that nobody has destroyed
  size_t biased = 0, added = 0, gelus = 0, transposedA = 0, transposedB = 0, rounded = 0;
  char complaint[256] = ""; ///< the first thing that the reference forbids
};

} // namespace lmc::test
