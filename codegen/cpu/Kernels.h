// From a planned kernel to machine code's input: chooses the emitter of the kernel's family.
#pragma once

#include "codegen/cpu/Expression.h"
#include "ir/BlockPanels.h"
#include "ir/plan/Plan.h"

namespace lmc::cpu {

/// What a launch of the kernel needs.
struct Schedule {
  llvm::SmallVector<ItemFactor> items; ///< number of work items: the product of its factors
  int64_t grain = 0;                   ///< items a worker takes at once; 0: an even split
  int64_t scratchBytes = 0;            ///< for each worker
  uint64_t flops = 0;                  ///< of a launch at the largest extents
};

/// Appends the kernel as a function to the emitter's module, under `symbol`.
Schedule emitKernel(Emit &emit, plan::KernelOp kernel, const Symbols &symbols,
                    llvm::StringRef symbol);

// One emitter a family; each writes the body of an open kernel.
Schedule emitMap(Expression &x);         ///< Loops.cpp: pointwise over any index map
Schedule emitRow(Expression &x);         ///< Rows.cpp: pointwise and reductions along rows
Schedule emitColumn(Expression &x);      ///< Columns.cpp: reductions over leading dimensions
Schedule emitGather(Expression &x);      ///< Loops.cpp
Schedule emitBlockGather(Expression &x); ///< QuantizeRows.cpp: rows of a block-quantised table
Schedule emitQuantizeRows(Expression &x);
Schedule emitScatter(Expression &x);     ///< Scatter.cpp
Schedule emitCacheAppend(Expression &x); ///< Scatter.cpp
Schedule emitProduct(Expression &x);     ///< Product.cpp: a matrix product with its epilogue
Schedule emitAttention(Expression &x);   ///< AttentionKernel.cpp
Schedule emitRoute(Expression &x);       ///< Route.cpp: which experts, and which rows of each
Schedule emitSample(Expression &x);      ///< Sample.cpp: an id drawn from each row of logits

/// Products with block-quantised weights, one matrix or one for each expert, and their epilogue
/// (BlockProduct.cpp).
Schedule emitBlockProduct(Expression &x, lm::BlockMatmulOp op);
Schedule emitExpertBlockProduct(Expression &x, lm::ExpertBlockMatmulOp op);

/// Products of a mixture of experts (ExpertProduct.cpp); the first with its epilogue.
Schedule emitExpertMatmul(Expression &x, lm::ExpertMatmulOp op);
Schedule emitExpertOuter(Expression &x, lm::ExpertOuterOp op);

/// A map with operands that are turned on the way (Transposes.cpp).
Schedule emitTransposingMap(Expression &x, const CrossReads &reads);

/// The kernel's op of this kind, the last of several; null where it has none.
template <typename Op> Op opOf(Expression &x) {
  Op op;
  for (mlir::Operation &inner : x.body)
    if (auto found = mlir::dyn_cast<Op>(inner))
      op = found;
  return op;
}

/// Applies what is fused behind a product to finished sums, and stores it: `sums` are elements of
/// `product` at (batch..., row unflattened to `rows`, column + lane).
void storeSums(Expression &x, mlir::Value product, mlir::Value sums,
               llvm::ArrayRef<mlir::Value> batch, mlir::Value row, llvm::ArrayRef<lm::Dim> rows,
               mlir::Value column, Lanes lanes);

/// d of `width` neighbouring columns of block-quantised panels, f32.
mlir::Value loadBlockScale(Emit &e, const lm::BlockFormat &format, mlir::Value at, unsigned width);

// What sweeps over an iteration space share (Loops.cpp).
llvm::SmallVector<mlir::Value> outputsOf(Expression &x);
/// Lanes for the widest element type that the kernel computes in.
unsigned lanesFor(Expression &x);
/// Evaluates these outputs at an index, then stores them: inputs may be overwritten in place.
void storeAll(Expression &x, llvm::ArrayRef<unsigned> outputs, const Index &index);
/// Stores full-size outputs of one row. `prepare` may define values at an index before they are
/// asked for there.
void storeRow(Expression &x, llvm::ArrayRef<unsigned> outputs, llvm::ArrayRef<mlir::Value> row,
              const lm::Dim &last, llvm::function_ref<void(const Index &)> prepare = {});
/// Rows that a worker takes at once.
int64_t rowsOfPiece(Expression &x, const lm::Dim &row);
uint64_t pointwiseFlops(Expression &x, int64_t elements);

/// How one reduction of a kernel accumulates: sum or maximum, of floats (a NaN wins a maximum) or
/// integers (sums wrap around).
struct Reduction {
  lm::ReduceOp op;
  bool isSum;
  mlir::Type element; ///< accumulated in

  explicit Reduction(lm::ReduceOp op);
  mlir::Value neutral(Emit &e, unsigned width) const;
  mlir::Value combine(Emit &e, mlir::Value a, mlir::Value b) const;
  /// Of all lanes, in an order that the width alone decides.
  mlir::Value total(Emit &e, mlir::Value lanes) const;
};

/// The neutral element of maxima, which padding of windows is too: -inf, the least integer.
mlir::Value lowest(Emit &e, mlir::Type element, unsigned width);

/// Items for a number of rows in blocks: ceil(extent / block), as launch factors.
llvm::SmallVector<ItemFactor> itemsOf(const Extent &extent, int64_t block = 1);

/// The indices of a row-major shape at flat position `flat`.
llvm::SmallVector<mlir::Value, 4> unflatten(Expression &x, mlir::Value flat,
                                            llvm::ArrayRef<lm::Dim> shape);

} // namespace lmc::cpu
