// Dot products of bytes: the instructions that each processor has for them.
#pragma once

#include "codegen/cpu/Emit.h"

namespace lmc::cpu {

/// Sums of four products of bytes in each 32-bit lane. The right side is signed; the left side is
/// unsigned below 128, or signed bytes of any value but -128 together with such of the right.
class ByteDot {
public:
  explicit ByteDot(Emit &emit);

  unsigned lanes() const { return width; } ///< 32-bit lanes of a register

  /// A left side, made ready once for many products.
  struct Left {
    mlir::Value bytes, magnitudes;
  };
  /// vector<lanes x i32>, four bytes a lane.
  Left left(mlir::Value bytes, bool isSigned);
  /// What products with a signed left side have too much: its bytes count for this much more.
  int bias(bool isSigned) const;
  /// sum + the products, vector<lanes x i32>; `right` like the left bytes.
  mlir::Value add(mlir::Value sum, const Left &left, mlir::Value right);

  /// Each byte, below 16, replaced by its entry of the table.
  mlir::Value lookUp(mlir::Value bytes, const int8_t (&table)[16]);

private:
  mlir::Value call(llvm::StringRef intrinsic, mlir::Type result, mlir::ValueRange arguments);
  mlir::Value as(mlir::Type element, mlir::Value value); ///< the same bits
  mlir::Value addByArithmetic(mlir::Value sum, const Left &left, mlir::Value right);

  Emit &e;
  unsigned width;
};

} // namespace lmc::cpu
