#include "codegen/cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"

#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Arithmetic on values of one width; constants take the shape of the argument.
class Expansion {
public:
  Expansion(OpBuilder &builder, Location loc, Type type, bool fused)
      : b(builder), loc(loc), shape(dyn_cast<VectorType>(type)), fused(fused) {}

  Value exp(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value tanh(Value x);
  Value erf(Value x);
  Value sine(Value x, bool cosine);

private:
  using Predicate = arith::CmpFPredicate;
  using Coefficients = ArrayRef<double>; // constant term first

  Type typed(Type element) { return shape ? Type(shape.clone(element)) : element; }
  Value constant(Type element, Attribute scalar) {
    if (!shape)
      return b.create<arith::ConstantOp>(loc, cast<TypedAttr>(scalar));
    return b.create<arith::ConstantOp>(loc, DenseElementsAttr::get(shape.clone(element), scalar));
  }
  Value f32(double value) { return constant(b.getF32Type(), b.getF32FloatAttr(value)); }
  Value f64(double value) { return constant(b.getF64Type(), b.getF64FloatAttr(value)); }
  Value i32(int64_t value) { return constant(b.getI32Type(), b.getI32IntegerAttr(value)); }
  Value i64(int64_t value) { return constant(b.getI64Type(), b.getI64IntegerAttr(value)); }
  /// A constant of x's own element type.
  Value like(Value x, double value) {
    return getElementTypeOrSelf(x).isF64() ? f64(value) : f32(value);
  }

  Value add(Value x, Value y) { return b.create<arith::AddFOp>(loc, x, y); }
  Value sub(Value x, Value y) { return b.create<arith::SubFOp>(loc, x, y); }
  Value mul(Value x, Value y) { return b.create<arith::MulFOp>(loc, x, y); }
  Value div(Value x, Value y) { return b.create<arith::DivFOp>(loc, x, y); }
  Value fma(Value x, Value y, Value z) {
    return fused ? Value(b.create<math::FmaOp>(loc, x, y, z)) : add(mul(x, y), z);
  }
  Value addi(Value x, Value y) { return b.create<arith::AddIOp>(loc, x, y); }
  Value andi(Value x, Value y) { return b.create<arith::AndIOp>(loc, x, y); }
  Value ori(Value x, Value y) { return b.create<arith::OrIOp>(loc, x, y); }
  Value shl(Value x, Value y) { return b.create<arith::ShLIOp>(loc, x, y); }
  Value bits(Value x) {
    Type integer = getElementTypeOrSelf(x).isF64() ? b.getI64Type() : b.getI32Type();
    return b.create<arith::BitcastOp>(loc, typed(integer), x);
  }
  Value floating(Value x) {
    Type type = getElementTypeOrSelf(x).isInteger(64) ? Type(b.getF64Type()) : b.getF32Type();
    return b.create<arith::BitcastOp>(loc, typed(type), x);
  }
  Value compare(Predicate predicate, Value x, Value y) {
    return b.create<arith::CmpFOp>(loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return b.create<arith::SelectOp>(loc, condition, x, y);
  }
  Value magnitude(Value x) { return b.create<math::AbsFOp>(loc, x); }
  Value withSign(Value x, Value sign) { return b.create<math::CopySignOp>(loc, x, sign); }

  Value polynomial(Value x, Coefficients c) {
    Value sum = like(x, c.back());
    for (double next : llvm::reverse(c.drop_back()))
      sum = fma(sum, x, like(x, next));
    return sum;
  }

  struct Reduced {
    Value whole;    // n as a float
    Value wholeInt; // bits whose lower part is n
    Value rest;     // x - n ln 2, at most ln 2 / 2 in size
  };
  Reduced reduce(Value x);
  enum class Range { Moderate, UpToOverflow };
  Value expm1(Value x, Range range);

  OpBuilder &b;
  Location loc;
  VectorType shape; // null for scalars
  bool fused;
};

// Rounding is an addition of 1.5 * 2^23, after which the lower mantissa bits hold the integer.
// Unlike a conversion it is defined for NaN and costs one operation. ln 2 is split so that n times
// its upper part is exact.
Expansion::Reduced Expansion::reduce(Value x) {
  Value magic = f32(0x1.8p23);
  Value shifted = fma(x, f32(1.44269504088896341), magic);
  Value n = sub(shifted, magic);
  Value rest = fma(n, f32(-0x1.62ep-1), x);
  return {n, bits(shifted), fma(n, f32(-0x1.0bfbe8p-15), rest)};
}

Value Expansion::exp(Value x) {
  Reduced r = reduce(x);
  Value q = polynomial(r.rest,
                       {0.5000000095, 0.1666651884, 0.04166620579, 0.008368889354, 0.001395049193});
  Value p = add(fma(mul(r.rest, r.rest), q, r.rest), f32(1));
  // p * 2^n, added to the exponent, which reaches both ends of the range of normal numbers. The
  // shift drops the bits of the rounding constant.
  Value y = floating(addi(bits(p), shl(r.wholeInt, i32(23))));
  // The product is inf above, NaN for NaN.
  Value inRange = compare(Predicate::OLE, x, f32(0x1.62e42ep6));
  y = select(inRange, y, mul(x, f32(std::numeric_limits<float>::max())));
  return select(compare(Predicate::OLT, x, f32(-0x1.5d589ep6)), f32(0), y);
}

// 2^n (e^r - 1) + (2^n - 1), for x >= -18. Up to overflow it is computed in halves, because 2^128
// is not a number; that loses the last bit of denormals.
Value Expansion::expm1(Value x, Range range) {
  bool halves = range == Range::UpToOverflow;
  Reduced r = reduce(x);
  Value q = polynomial(r.rest, {0.5000000044, 0.1666666637, 0.04166636091, 0.008333389367,
                                0.001394062731, 0.0001984587837});
  Value p = fma(mul(r.rest, r.rest), q, r.rest);
  Value power = floating(shl(addi(r.wholeInt, i32(halves ? 126 : 127)), i32(23)));
  Value y = fma(power, p, sub(power, f32(halves ? 0.5 : 1)));
  return halves ? add(y, y) : y;
}

Value Expansion::expm1(Value x) {
  Value low = f32(-18), high = f32(89); // results are -1 below and inf above
  Value inside = select(compare(Predicate::OLT, x, low), low, x);
  inside = select(compare(Predicate::OGT, x, high), high, inside);
  Value y = expm1(inside, Range::UpToOverflow);
  return select(compare(Predicate::OLT, magnitude(x), f32(0x1p-25)), x, y);
}

// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
Value Expansion::log(Value x) {
  Value isTiny = compare(Predicate::OLT, x, f32(0x1p-126));
  Value scaled = select(isTiny, mul(x, f32(0x1p23)), x);
  Value biased = addi(bits(scaled), i32(-0x3f3504f3));
  Value exponent = b.create<arith::ShRSIOp>(loc, biased, i32(23));
  Value e = b.create<arith::SIToFPOp>(loc, typed(b.getF32Type()), exponent);
  e = select(isTiny, sub(e, f32(23)), e);
  Value mantissa = floating(addi(andi(biased, i32(0x7fffff)), i32(0x3f3504f3)));
  Value f = sub(mantissa, f32(1)), square = mul(f, f);
  Value p = polynomial(f, {0.333333126, -0.250000096, 0.2000211864, -0.1666799593, 0.1421955275,
                           -0.1240558811, 0.1188815904, -0.1167565455, 0.06746649788});
  Value tail = fma(e, f32(0x1.0bfbe8p-15), mul(mul(f, square), p));
  Value y = fma(e, f32(0x1.62ep-1), add(f, fma(square, f32(-0.5), tail)));
  double inf = std::numeric_limits<double>::infinity();
  // inf and NaN stay themselves; x < 0 has no logarithm.
  y = select(compare(Predicate::ULT, x, f32(inf)), y, x);
  y = select(compare(Predicate::ULT, x, f32(0)), f32(std::numeric_limits<double>::quiet_NaN()), y);
  return select(compare(Predicate::OEQ, x, f32(0)), f32(-inf), y);
}

// (e^2a - 1) / (e^2a + 1), in one form over the whole range.
Value Expansion::tanh(Value x) {
  Value a = magnitude(x), last = f32(9.5); // rounds to 1 from 9.02 on
  a = select(compare(Predicate::OGT, a, last), last, a);
  Value t = expm1(add(a, a), Range::Moderate);
  return withSign(div(t, add(t, f32(2))), x);
}

// An odd polynomial near 0, 1 - e^-g further out with a polynomial g = -log(erfc).
Value Expansion::erf(Value x) {
  Value square = mul(x, x);
  Value near = polynomial(square, {0.1283791666, -0.3761263319, 0.1128368719, -0.02685894152,
                                   0.005199906681, -0.0008130012757, 8.316775481e-5});
  near = fma(x, near, x);
  Value a = magnitude(x), last = f32(4); // rounds to 1 from 3.92 on
  a = select(compare(Predicate::OGT, a, last), last, a);
  Value g = polynomial(a, {-0.0002309887685, 1.12981911, 0.6326445513, 0.1091840698, -0.02582769235,
                           0.004516450417, -0.0005366837656, 3.785827749e-5, -1.164681477e-6});
  Value far = sub(f32(0), expm1(sub(f32(0), g), Range::Moderate));
  return select(compare(Predicate::OLT, magnitude(x), f32(0.93)), near, withSign(far, x));
}

// Quarter turns are taken off in f64: three parts of pi/2, the products exact.
Value Expansion::sine(Value x, bool cosine) {
  Value wide = b.create<arith::ExtFOp>(loc, typed(b.getF64Type()), x);
  Value magic = f64(0x1.8p52);
  Value shifted = fma(wide, f64(0.63661977236758134308), magic);
  Value n = sub(shifted, magic);
  Value r = fma(n, f64(-0x1.921fb54p0), wide);
  r = fma(n, f64(-0x1.10b461p-30), r);
  r = fma(n, f64(-0x1.a62633145c06ep-58), r);
  Value square = mul(r, r);
  Value sinePart = polynomial(square, {-0.16666666640588141, 0.0083333292805132734,
                                       -0.00019839304411792893, 2.7180464382484938e-6});
  sinePart = fma(mul(square, r), sinePart, r);
  Value cosinePart = polynomial(square, {-0.5, 0.041666666619106548, -0.0013888883467236529,
                                         2.4799451545475599e-5, -2.7205045942329608e-7});
  cosinePart = fma(square, cosinePart, f64(1));
  Value quarter = bits(shifted);
  if (cosine)
    quarter = addi(quarter, i64(1));
  Value odd = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::ne, andi(quarter, i64(1)), i64(0));
  Value y = select(odd, cosinePart, sinePart);
  Value sign = shl(andi(quarter, i64(2)), i64(62));
  y = floating(b.create<arith::XOrIOp>(loc, bits(y), sign));
  y = b.create<arith::TruncFOp>(loc, typed(b.getF32Type()), y);
  if (!cosine) // -0 has lost its sign
    y = select(compare(Predicate::OEQ, x, f32(0)), x, y);
  return select(compare(Predicate::OLE, magnitude(x), f32(5e7)), y,
                f32(std::numeric_limits<double>::quiet_NaN()));
}

} // namespace

void expandMath(Operation *root, const Target &target) {
  SmallVector<Operation *> expanded;
  root->walk([&](Operation *op) {
    if (!isa<math::MathDialect>(op->getDialect()) || op->getNumOperands() != 1 ||
        !getElementTypeOrSelf(op->getOperand(0)).isF32())
      return;
    OpBuilder builder(op);
    Value x = op->getOperand(0);
    Expansion expand(builder, op->getLoc(), x.getType(), target.fma);
    Value y = llvm::TypeSwitch<Operation *, Value>(op)
                  .Case([&](math::ExpOp) { return expand.exp(x); })
                  .Case([&](math::ExpM1Op) { return expand.expm1(x); })
                  .Case([&](math::LogOp) { return expand.log(x); })
                  .Case([&](math::TanhOp) { return expand.tanh(x); })
                  .Case([&](math::ErfOp) { return expand.erf(x); })
                  .Case([&](math::SinOp) { return expand.sine(x, false); })
                  .Case([&](math::CosOp) { return expand.sine(x, true); })
                  .Default([](Operation *) { return Value(); });
    if (!y)
      return;
    op->getResult(0).replaceAllUsesWith(y);
    expanded.push_back(op);
  });
  for (Operation *op : expanded)
    op->erase();
}

} // namespace lmc::cpu
