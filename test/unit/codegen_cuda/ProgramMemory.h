// The memory of one run of a planned program, and what its launches take of it.
#pragma once

#include "../emulation/Replay.h"
#include "Program.h"

namespace lmc::test {

class ProgramMemory {
public:
  /// The program's inputs are written, all else is NaN. Keeps a reference.
  explicit ProgramMemory(const Program &program);

  /// A launch of a kernel at the extents of this run.
  Replay::Launch launch(plan::LaunchOp op, const cuda::Kernel &kernel) const;
  /// A launch by the reference evaluator.
  void evaluate(plan::LaunchOp op);

  /// Valid for a launch's operand as long as this object lives; aligned as a GPU's memory.
  char *at(const Replay::Operand &operand);

  std::vector<lm::Tensor> results() const;

  /// Copies of the state region and the transient region.
  std::vector<std::string> regions() const;
  void setRegions(const std::vector<std::string> &regions);

private:
  uint64_t bytesOf(mlir::RankedTensorType type, const llvm::StringMap<int64_t> &extents) const;
  Replay::Operand operand(mlir::Value buffer) const;
  Replay::Operand operand(llvm::StringRef tensor) const;
  const char *at(const Replay::Operand &operand) const;

  const Program &program;
  std::vector<std::string> bytes; ///< regions, each behind what aligns it
};

} // namespace lmc::test
