// What this machine can do at best: the denominators of every share that lmc bench prints.
#pragma once

#include "codegen/cpu/Lowering.h"
#include "runtime/Arena.h"
#include "runtime/KernelAbi.h"
#include "runtime/Walk.h"
#include "tools/bench/Case.h"

#include <memory>
#include <vector>

namespace lmc::bench {

/// Measured anew beside each case, because the clock and the neighbours of a shared machine change
/// from minute to minute.
class Roof {
public:
  virtual ~Roof() = default;
  /// FLOP/s; a multiplication and an addition are two.
  virtual double measureFlops() = 0;
  /// Bytes/s.
  virtual double measureBandwidth() = 0;
  /// Memory of this process that it takes to measure.
  virtual uint64_t residentBytes() const { return 0; }
};

/// Of float32 on a team of workers, by kernels of our own generator.
class CpuRoof final : public Roof {
public:
  CpuRoof(const cpu::Target &target, Team &team);

  /// Multiply-adds of independent registers, all workers at once.
  double measureFlops() override;
  /// One pass over memory that no cache holds (256 MiB, and at least four times the last level).
  double measureBandwidth() override;
  uint64_t residentBytes() const override { return memory.size(); }

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
