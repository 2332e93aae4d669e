// Where values live: storage, lifetimes and offsets of one program. The analysis behind
// lm-plan-memory.
#pragma once

#include "passes/LaunchList.h"

namespace lmc {

/// Inserts kernels that copy where a result cannot be written where it must end up: an argument
/// that is returned, a donated buffer that is still read.
void makeResultsWritable(mlir::func::FuncOp function);

/// Storage for every value of a function of kernels and views.
class MemoryPlan {
public:
  /// Makes the results writable first.
  explicit MemoryPlan(mlir::func::FuncOp function);

  const Storage &storageOf(mlir::Value value) const {
    return placement[list.places.at(value).buffer];
  }
  /// Bytes from the start of its storage to the value: not 0 for slices and parts of a whole.
  int64_t offsetOf(mlir::Value value) const { return list.places.at(value).offset; }
  int64_t transientBytes() const { return total; }

private:
  LaunchList list;
  Placement placement;
  int64_t total;
};

} // namespace lmc
