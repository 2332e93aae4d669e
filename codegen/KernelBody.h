// What every target asks of a kernel's region before it emits code: the analysis that says how a
// kernel may be walked. Emission differs by target (codegen/cpu, codegen/cuda); these answers
// don't.
#pragma once

#include "ir/Dialect.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <functional>
#include <optional>

namespace lmc {

/// Symbolic dimensions of a kernel: which of the executable's dims, and their largest extents.
struct Symbol {
  unsigned dim;
  int64_t max;
};
using Symbols = llvm::StringMap<Symbol>;

/// Every element of the kernel is read where it is written, or is one number for all, so that an
/// iteration space of rank >= 1 is one long row. A scalar space is not flat.
bool isFlat(mlir::Block &body, const lm::Shape &space);

/// The kernel's reductions by how many others they wait for: those of one level need one pass.
llvm::SmallVector<llvm::SmallVector<lm::ReduceOp>> reductionLevels(mlir::Block &body);

/// Values of a map over `space` that read some buffer across its rows: along the map's last dimension
/// the elements lie apart, along `dim` they are neighbours. All of `values` may be evaluated along
/// `dim` instead; each has the map's shape and is read at the map's own index.
struct CrossReads {
  int dim;
  llvm::SmallVector<mlir::Value> values;
};
std::optional<CrossReads> crossReads(mlir::Block &body, const lm::Shape &space);

/// What a kernel of the column family goes through: [leading..., outer..., columns] is summed over
/// its leading dimensions.
struct ColumnSpace {
  llvm::SmallVector<lm::ReduceOp> reductions;
  lm::Shape space;                        ///< all of it
  llvm::ArrayRef<lm::Dim> leading, outer; ///< parts of `space`
  int64_t columns;

  explicit ColumnSpace(mlir::Block &body);
  ColumnSpace(const ColumnSpace &) = delete;
};

/// An operand of a product or of attention, traced through slices, transposes and roundings to the
/// buffer that it is read from. Steps are counted in elements, as extents to be multiplied.
struct TracedOperand {
  mlir::BlockArgument buffer;
  mlir::Type element;                    ///< what elements are rounded to as they are read
  llvm::SmallVector<lm::Shape, 4> steps; ///< for each dimension of the operand
  llvm::SmallVector<std::pair<int64_t, lm::Shape>, 1>
      starts;        ///< so many times such steps to index 0, 0, ...
  bool whole = true; ///< row-major and complete: leading dimensions may be merged
};

/// Fusion only leaves slices and transposes between a buffer and an operand that is read in place,
/// and for products a conversion to a shorter float.
TracedOperand traceOperand(mlir::Value value);

/// Where the operand of an op that only moves elements (broadcast, slice, transpose) is read for
/// the result's element at `index`; nullopt for other ops. `Index` has `at`, one value for each
/// dimension, and `lane`, the dimension that a loop or a vector runs along (-1: none). zero() makes
/// the index 0, add(x, n) the index x + n.
template <typename Index, typename Zero, typename Add>
std::optional<Index> viewIndex(mlir::Operation *op, const Index &index, Zero zero, Add add) {
  Index inner = index;
  if (auto broadcast = llvm::dyn_cast<lm::BroadcastOp>(op)) {
    inner.at.clear();
    inner.lane = -1;
    lm::Shape from = lm::shapeOf(broadcast.getX()), to = lm::shapeOf(broadcast.getY());
    for (auto [i, dim] : llvm::enumerate(broadcast.getDims())) {
      bool repeated = from[i] != to[dim];
      inner.at.push_back(repeated ? zero() : index.at[dim]);
      if (!repeated && dim == index.lane)
        inner.lane = static_cast<int>(i);
    }
    return inner;
  }
  if (auto slice = llvm::dyn_cast<lm::SliceOp>(op)) {
    inner.at[slice.getDim()] = add(index.at[slice.getDim()], slice.getStart());
    return inner;
  }
  if (auto transpose = llvm::dyn_cast<lm::TransposeOp>(op)) {
    for (auto [to, from] : llvm::enumerate(transpose.getPermutation())) {
      inner.at[from] = index.at[to];
      if (static_cast<int>(to) == index.lane)
        inner.lane = static_cast<int>(from);
    }
    return inner;
  }
  return std::nullopt;
}

/// Visits what `value` is made of at `index`, as far down as it does not depend on the lane
/// dimension, and calls emit(value, index) for each such part: what a loop over the lanes should
/// find ready. `isKnown` stops at values that have been defined, `inner` is viewIndex for the
/// target.
template <typename Index, typename Known, typename Inner, typename Emit>
void forEachUniform(mlir::Value value, const Index &index, Known isKnown, Inner inner, Emit emit) {
  llvm::DenseSet<mlir::Value> seen;
  std::function<void(mlir::Value, const Index &)> visit = [&](mlir::Value v, const Index &at) {
    if (!seen.insert(v).second || isKnown(v, at))
      return;
    if (at.lane < 0) {
      emit(v, at);
      return;
    }
    mlir::Operation *op = v.getDefiningOp();
    if (!op || llvm::isa<lm::ConstantOp, lm::IotaOp, lm::ReduceOp>(op))
      return;
    if (std::optional<Index> moved = inner(op, at)) {
      visit(op->getOperand(0), *moved);
      return;
    }
    if (llvm::isa<lm::PointwiseOp>(op))
      for (mlir::Value operand : op->getOperands())
        visit(operand, at);
  };
  visit(value, index);
}

} // namespace lmc
