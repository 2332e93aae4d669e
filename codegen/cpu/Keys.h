// Floating point numbers as integers of the same order: what choices among numbers compare.
#pragma once

#include "codegen/cpu/Emit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace lmc::cpu {

/// Integers in the order of the numbers: NaN largest, -0 as 0. None is the least integer.
class Keys {
public:
  Keys(Emit &e, mlir::Type number)
      : e(e), bits(number.getIntOrFloatBitWidth()), type(e.builder().getIntegerType(bits)) {}

  mlir::Value of(mlir::Value x) {
    mlir::OpBuilder &b = e.builder();
    unsigned width = Emit::widthOf(x);
    x = e.addf(x, e.constant(mlir::getElementTypeOrSelf(x.getType()), 0, width));
    mlir::Value raw = b.create<mlir::arith::BitcastOp>(e.loc(), Emit::vectorOf(type, width), x);
    mlir::Value isNegative =
        compare(mlir::arith::CmpIPredicate::slt, raw, e.constant(type, 0, width));
    mlir::Value flipped = b.create<mlir::arith::XOrIOp>(e.loc(), raw, greatest(width));
    mlir::Value isNan =
        b.create<mlir::arith::CmpFOp>(e.loc(), mlir::arith::CmpFPredicate::UNO, x, x);
    return e.select(isNan, greatest(width), e.select(isNegative, flipped, raw));
  }

  mlir::Value least(unsigned width) { return splat(llvm::APInt::getSignedMinValue(bits), width); }
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y) {
    return e.builder().create<mlir::arith::CmpIOp>(e.loc(), predicate, x, y);
  }
  mlir::Value max(mlir::Value x, mlir::Value y) {
    return e.builder().create<mlir::arith::MaxSIOp>(e.loc(), x, y);
  }
  mlir::Value min(mlir::Value x, mlir::Value y) {
    return e.builder().create<mlir::arith::MinSIOp>(e.loc(), x, y);
  }

private:
  mlir::Value greatest(unsigned width) {
    return splat(llvm::APInt::getSignedMaxValue(bits), width);
  }
  mlir::Value splat(const llvm::APInt &value, unsigned width) {
    mlir::OpBuilder &b = e.builder();
    mlir::Value scalar = b.create<mlir::arith::ConstantOp>(e.loc(), b.getIntegerAttr(type, value));
    return width == 1 ? scalar : e.splat(scalar, width);
  }

  Emit &e;
  unsigned bits;

public:
  const mlir::Type type;
};

} // namespace lmc::cpu
