// Where values live: storage, lifetimes and offsets of one program. The analysis behind
// lm-plan-memory.
#pragma once

#include "passes/Views.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace lmc {

/// May a kernel write an output over input `index`, element by element? True where the input is
/// read only at the index that is being written, or in a reduction of the row that is finished
/// before.
bool readsInPlace(mlir::Block &kernel, unsigned index);

/// One piece of memory and the values that take turns in it.
struct Storage {
  std::string tensor; ///< name of the persistent tensor; empty: transient
  int64_t bytes = 0;
  int64_t offset = 0; ///< transient: in the transient region
  unsigned first = 0; ///< launch that first writes it (transient)
  unsigned last = 0;  ///< launch that last reads it
};

/// Storage for every value of a function of kernels and views.
class MemoryPlan {
public:
  /// `copies` kernels are inserted where a result cannot be written where it must end up: an
  /// argument that is returned, a donated buffer that is still read.
  explicit MemoryPlan(mlir::func::FuncOp function);

  const Storage &storageOf(mlir::Value value) const { return *storage[places.at(value).storage]; }
  /// Bytes from the start of its storage to the value: not 0 for slices and parts of a whole.
  int64_t offsetOf(mlir::Value value) const { return places.at(value).offset; }
  int64_t transientBytes() const { return total; }

private:
  struct Place {
    unsigned storage;   ///< index
    int64_t offset = 0; ///< bytes
  };

  void insertCopies();
  void assignStorage();
  void placeView(mlir::Operation *view);
  void placePart(mlir::Value part, unsigned now);
  bool placeOverInput(lm::KernelOp kernel, mlir::Value output, unsigned now,
                      llvm::DenseSet<unsigned> &taken);
  bool isWhole(mlir::Value value) const;
  unsigned add(mlir::Value value, Storage piece);
  void placeTransients();
  bool mayTakeOver(lm::KernelOp kernel, mlir::BlockArgument argument) const;
  unsigned lastRead(mlir::Value root) const;

  mlir::func::FuncOp function;
  llvm::DenseMap<mlir::Operation *, unsigned> launchIndex;
  mlir::DictionaryAttr ranges;
  llvm::DenseMap<mlir::Value, Place> places;
  std::vector<std::unique_ptr<Storage>> storage;
  int64_t total = 0;
};

} // namespace lmc
