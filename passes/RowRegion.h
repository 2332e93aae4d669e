// What can be computed rows at a time behind a product: the analysis behind lm-chunk-loss.
//
// The region of a product [rows..., width] is everything of that width that depends on it, with the
// row statistics in between. It splits along the rows where
//   - each op reads and writes a row at a time (pointwise, reductions along rows, statistics spread
//     over their row, reshapes that merge or split the leading dimensions), or ends the region:
//     a product with a shared right side (again row by row) or a sum over all rows;
//   - nothing in it needs all rows of something else in it, and nothing outside reads a value of
//     its width;
//   - it reduces rows: a loss. Splitting, say, a feed-forward block would save nothing that a
//     training step does not have to keep anyway.
#pragma once

#include "ir/Dialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

#include <string>

namespace lmc {

class RowRegion {
public:
  /// Analyses what hangs on `head`; null and a reason where it cannot be split.
  static std::optional<RowRegion> of(lm::MatmulOp head, std::string &reason);

  /// Ops to compute for each chunk, in program order.
  llvm::ArrayRef<mlir::Operation *> ops() const { return order; }
  bool contains(mlir::Operation *op) const { return leading.contains(op); }
  /// How many leading dimensions of the op's result are rows; 0: a sum over all rows.
  int64_t rowDims(mlir::Operation *op) const { return leading.lookup(op); }
  /// The same for what the op reads; 0: the operand is read as a whole.
  int64_t rowDims(mlir::OpOperand &operand) const;
  /// Does the op depend on the product? Others, index maps and constants, are only repeated.
  bool depends(mlir::Operation *op) const { return dependent.contains(op); }
  int64_t rows() const { return numRows; }

private:
  explicit RowRegion(lm::MatmulOp head);
  bool grow(std::string &reason);
  bool addUser(mlir::OpOperand &use, std::string &reason);
  bool addOperand(mlir::OpOperand &operand, std::string &reason);
  bool add(mlir::Operation *op, int64_t rowDims, std::string &reason);
  void absorbStatistics();
  bool isWide(mlir::Value value, int64_t rowDims) const;

  lm::MatmulOp head;
  int64_t numRows, width;
  llvm::DenseSet<mlir::Operation *> dependent;         ///< on the head
  llvm::MapVector<mlir::Operation *, int64_t> leading; ///< members and their row dimensions
  llvm::SmallVector<mlir::Operation *> order;
  bool reducesRows = false;
};

} // namespace lmc
