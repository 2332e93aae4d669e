// Where values live: storage, lifetimes and offsets of one program. The analysis behind
// lm-plan-memory.
#pragma once

#include "ir/Dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace lmc {

/// Every buffer starts at a multiple of this.
inline constexpr int64_t kBufferAlignment = 64;

inline int64_t alignedBytes(int64_t bytes) {
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

/// Bytes of a tensor at the largest extents of its symbols; i1 takes a byte an element.
int64_t largestBytes(mlir::Type type, mlir::DictionaryAttr ranges);

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

  const Storage &storageOf(mlir::Value value) const { return *storage[index.at(value)]; }
  int64_t transientBytes() const { return total; }

private:
  void insertCopies();
  void assignStorage();
  void placeTransients();
  bool mayTakeOver(lm::KernelOp kernel, mlir::BlockArgument argument) const;
  unsigned lastRead(mlir::Value root) const;

  mlir::func::FuncOp function;
  llvm::DenseMap<mlir::Operation *, unsigned> launchIndex;
  llvm::DenseMap<mlir::Value, unsigned> index;
  std::vector<std::unique_ptr<Storage>> storage;
  int64_t total = 0;
};

/// The value whose memory a view shows.
mlir::Value viewedValue(mlir::Value value);

} // namespace lmc
