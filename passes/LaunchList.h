// A program as the memory planner sees it: launches in order, the values that they read and write,
// and the place of each value. It needs no IR, so that lm-recompute can plan a program that it only
// thinks of, with the same result as the planner later.
#pragma once

#include "passes/Views.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

#include <vector>

namespace lmc {

/// May a kernel write an output over input `index`, element by element? True where the input is
/// read only at the index that is being written, or in a reduction of the row that is finished
/// before.
bool readsInPlace(mlir::Block &kernel, unsigned index);

struct LaunchList {
  LaunchList() = default;
  /// A function of kernels and views whose results can be written where they must end up
  /// (makeResultsWritable).
  explicit LaunchList(mlir::func::FuncOp function);

  struct Buffer {
    int64_t bytes = 0;
    llvm::StringRef tensor; ///< named tensor whose place it has; empty: transient
  };
  struct Place {
    unsigned buffer;
    int64_t offset = 0; ///< bytes from its start
  };
  struct Input {
    unsigned buffer;
    mlir::Type type; ///< as it is read: a view may have another shape than its buffer
    bool inPlace;    ///< readsInPlace, and all of the buffer
    int segment;     ///< of a joined kernel; Segments::kShared: several read it
  };
  struct Output {
    unsigned buffer;
    mlir::Type type;
    bool isPart; ///< other launches write the rest of the buffer
    int segment;
  };
  struct Launch {
    lm::KernelOp kernel;
    llvm::SmallVector<Input, 6> inputs;
    llvm::SmallVector<Output, 2> outputs;
  };

  std::vector<Buffer> buffers; ///< one a value, but for parts of a whole; the arguments' first
  std::vector<Launch> launches;
  llvm::SmallVector<unsigned> results; ///< buffers that the function returns
  mlir::Value loss; ///< the first result, from which a backward pass starts; null: no result
  llvm::DenseMap<mlir::Value, Place> places; ///< of values and views
};

/// One piece of memory and the values that take turns in it.
struct Storage {
  llvm::StringRef tensor; ///< name of the persistent tensor; empty: transient
  int64_t bytes = 0;
  int64_t offset = 0; ///< transient: in the transient region
  unsigned first = 0; ///< launch that first writes it (transient)
  unsigned last = 0;  ///< launch that last touches it; the number of launches: the return
};

/// Storage for every buffer of a list.
class Placement {
public:
  /// Lifetimes, and which value takes over whose place. Offsets come from place().
  explicit Placement(const LaunchList &list);

  /// Gives transient pieces their offsets; returns the bytes of the transient region.
  int64_t place();

  /// Bytes that are live at each launch: no placement takes less than the greatest.
  std::vector<int64_t> liveBytes() const;

  const Storage &operator[](unsigned buffer) const { return pieces[pieceOf[buffer]]; }

private:
  std::vector<Storage> pieces;
  std::vector<unsigned> pieceOf; ///< by buffer
  size_t numLaunches;
};

} // namespace lmc
