// What this machine can do at best, measured by kernels of our own generator: the denominators of
// every share that lmc bench prints.
#pragma once

#include "codegen/cpu/Lowering.h"
#include "runtime/Arena.h"
#include "runtime/KernelAbi.h"
#include "runtime/Walk.h"

#include <memory>
#include <vector>

namespace lmc::bench {

/// Seconds of one call.
double secondsOf(const std::function<void()> &work);

/// The roof for float32 on a team of workers. Measured anew beside each case, because the clock and
/// the neighbours of a shared machine change from minute to minute.
class Roof {
public:
  Roof(const cpu::Target &target, Team &team);

  /// Multiply-adds of independent registers, all workers at once; an operation is a multiplication
  /// or an addition. FLOP/s.
  double measureFlops();
  /// One pass over memory that no cache holds (256 MiB, and at least four times the last level).
  /// Bytes/s.
  double measureBandwidth();

private:
  double secondsOfItems(int64_t items, int64_t grain, KernelFunction kernel, void *in);

  Walk walk;
  cpu::LoadedCode code;
  KernelFunction multiply, read;
  unsigned registers, lanes;
  Arena memory; ///< as a session's, huge pages included
  std::vector<float> sums;
};

} // namespace lmc::bench
