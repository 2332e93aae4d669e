// Which primitives one launch computes: the analysis behind lm-fuse-kernels.
//
// A value is *stored* when a kernel writes it to memory. Everything else is recomputed where it is
// used: that costs a few instructions an element and saves a round trip to memory, and an
// activation that would have to live until the backward pass. The rules:
//   - constants, iota, broadcasts, slices, transposes and skews are never stored (index maps in
//     kernels);
//   - a pointwise value is recomputed by each user if it needs at most one stored value of its own
//   size
//     (norms from x and row statistics, gelu from its input), and stored otherwise (residual sums);
//   - what a product, attention, gather or reshape reads, and what the function returns, is stored;
//   - so is what windows repeat (a broadcast under a skew or an inner reduction), unless it is cheap;
//   - a value that is converted to a shorter float is stored in that type, except that products and
//     gathers convert an argument as they read it (the f32 weights of a bf16 product, the
//     16-bit weights of an f32 one), and attention a cache of 16 bits;
//   - results of reductions, products, attention, gather and scatter are stored; a reduction over
//     inner dimensions (windows) is a map, which others of its shape join;
//   - a slice of leading dimensions of a stored value, and a concatenation of stored values along
//     the leading dimension, are views (Views.h) and belong to no kernel.
// Stored values are grouped into kernels greedily in program order, never across a cycle. A product
// that adds to a sum in place takes no epilogue for which it would have to wait.
#pragma once

#include "ir/Dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

namespace lmc {

/// A group of ops whose results one launch stores. Views are no kernels.
struct KernelGroup {
  enum Family {
    Map,
    Row,
    Column,
    Matmul,
    Attention,
    Gather,
    BlockGather,
    Scatter,
    CacheAppend,
    Quantize,
    Route,
    Sample
  };
  Family family;
  lm::Shape space;                            ///< iteration space of map, row and column
  llvm::SetVector<mlir::Operation *> anchors; ///< ops whose results are stored, in program order
};

llvm::StringRef nameOf(KernelGroup::Family family);

class Fusion {
public:
  /// Analyses a function of primitives. `explain` receives one line for each decision worth
  /// reading.
  Fusion(mlir::func::FuncOp function,
         llvm::function_ref<void(mlir::Operation *, std::string)> explain);

  /// In an order in which they can run.
  llvm::ArrayRef<KernelGroup *> groups() const { return order; }
  bool isStored(mlir::Value value) const;
  /// Is the value a view of what kernels stored?
  bool isView(mlir::Value value) const;

private:
  enum class Kind { Free, View, Pointwise, RowReduce, ColumnReduce, InnerReduce, Heavy };
  Kind kindOf(mlir::Operation *op) const;
  bool becomesView(mlir::Operation *op) const;
  int64_t largestSize(mlir::Value value) const;
  void findStored();
  bool isDear(mlir::Value value) const;
  void storeRepeated(mlir::Value window);
  void addLeaves(mlir::Value value, llvm::SetVector<mlir::Value> &leaves) const;
  llvm::SetVector<mlir::Value> leavesOf(mlir::Operation *op) const;
  bool canJoin(KernelGroup &group, mlir::Operation *op, std::string &reason) const;
  bool isEpilogueOf(KernelGroup &product, mlir::Operation *op, std::string &reason) const;
  bool sumsEarlier(const KernelGroup &product, mlir::Operation *op) const;
  bool readsAligned(mlir::Operation *op, const KernelGroup &from) const;
  bool readsAny(mlir::Operation *op, const KernelGroup &from) const;
  bool reachesOutside(KernelGroup *from, mlir::Operation *to) const;
  void group();
  void merge(llvm::function_ref<void(mlir::Operation *, std::string)> explain);
  void sort();

  mlir::func::FuncOp function;
  llvm::DenseSet<mlir::Value> stored;
  llvm::DenseSet<mlir::Operation *> views; ///< slices and concatenations that became views
  llvm::DenseMap<mlir::Operation *, unsigned> position;
  llvm::DenseMap<mlir::Operation *, llvm::SetVector<mlir::Value>> leaves; ///< of stored ops
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Operation *>>
      users; ///< stored by stored
  llvm::DenseMap<mlir::Operation *, KernelGroup *> groupOf;
  std::vector<std::unique_ptr<KernelGroup>> owned;
  llvm::SmallVector<KernelGroup *> order;
};

} // namespace lmc
