// A product's sizes, and how its operands lie in memory: what generated kernels and cuBLASLt ask alike.
#pragma once

#include "codegen/cuda/Expression.h"

namespace lmc::cuda {

/// One operand: [batch.., across, depth] for the left side, depth being what is summed over.
struct ProductSide {
  TracedOperand traced;
  Extent across, depth; ///< steps, in elements
  llvm::SmallVector<Extent> batch;
  bool alongDepth = true; ///< which of the two is contiguous
  int64_t chunk = 1;      ///< elements that are aligned together

  mlir::Type storage() const { return lm::elementOf(traced.buffer); }
  /// As device/product.cuh has it.
  std::string type() const;
};

/// What a product gives.
struct ResultShape {
  ResultShape() = default;
  ResultShape(const ResultShape &) = delete;

  /// Of `result`, whose first `numBatch` dimensions are batch entries; m is the product of the rest
  /// but the last, n, with the longest symbol first.
  void describe(Expression &x, mlir::Value result, size_t numBatch);

  mlir::Value result;
  lm::Shape y;
  llvm::ArrayRef<lm::Dim> batch, rows; ///< of y
  Extent m, n;
};

/// y [batch.., m, n] = a [batch.., m, k] b [batch.., k, n], with the leading dimensions in m where the
/// right side is shared and the left side lies densely.
struct ProductShape : ResultShape {
  /// Of the kernel's one lm.matmul. Throws Error for f64 that is rounded to bf16.
  explicit ProductShape(Expression &x);

  lm::MatmulOp op;
  Extent k;
  ProductSide a, b;

private:
  void describeSide(Expression &x, ProductSide &side, const Extent &size, bool swapped,
                    bool batched);
};

} // namespace lmc::cuda
