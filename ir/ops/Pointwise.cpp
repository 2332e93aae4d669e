// Pointwise primitives. Evaluation interprets the scalar form, so that there is one definition of
// each.
#include "ir/Dialect.h"
#include "ir/ScalarInterpreter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

bool isInteger(Type type) { return getElementTypeOrSelf(type).isIntOrIndex(); }

/// A constant of a scalar or vector type.
Value number(OpBuilder &b, Location loc, Type type, double value) {
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  APFloat exact(value);
  bool loses;
  exact.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven, &loses);
  TypedAttr attr = FloatAttr::get(element, exact);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, exact);
  return b.create<arith::ConstantOp>(loc, attr);
}

Value wholeNumber(OpBuilder &b, Location loc, Type type, int64_t value) {
  TypedAttr attr = IntegerAttr::get(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return b.create<arith::ConstantOp>(loc, attr);
}

/// x / y truncated, without the processor's traps: x / 0 is x (also in the unused lanes of a
/// vector's tail), and the quotient of the least integer by -1 wraps.
Value divideIntegers(OpBuilder &b, Location loc, Value x, Value y, Type type) {
  auto isEqual = [&](int64_t value) -> Value {
    return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, y,
                                   wholeNumber(b, loc, type, value));
  };
  Value one = wholeNumber(b, loc, type, 1), isNegation = isEqual(-1);
  Value divisor = b.create<arith::SelectOp>(loc, isEqual(0), one, y);
  divisor = b.create<arith::SelectOp>(loc, isNegation, one, divisor);
  Value quotient = b.create<arith::DivSIOp>(loc, x, divisor);
  Value negated = b.create<arith::SubIOp>(loc, wholeNumber(b, loc, type, 0), x);
  return b.create<arith::SelectOp>(loc, isNegation, negated, quotient);
}

LogicalResult sameTypes(std::optional<Location> loc, ValueRange operands) {
  for (Value other : operands.drop_front())
    if (other.getType() != operands.front().getType())
      return emitOptionalError(loc, "operands must have one type, got ", operands.front().getType(),
                               " and ", other.getType(), "; broadcast or convert explicitly");
  return success();
}

} // namespace

// ---- inference and evaluation shared by the family ---------------------------------------------

#define LMC_POINTWISE_COMMON(Op)                                                                   \
  LogicalResult Op::evaluate(ArrayRef<const Tensor *> operands,                                    \
                             SmallVectorImpl<Tensor> &results) {                                   \
    results.push_back(interpretPointwise(getOperation(), operands));                               \
    return success();                                                                              \
  }

#define LMC_SAME_TYPE(Op)                                                                          \
  LMC_POINTWISE_COMMON(Op)                                                                         \
  LogicalResult Op::infer(Adaptor op, std::optional<Location> loc, SmallVectorImpl<Type> &types) { \
    types.push_back(op.getOperands().front().getType());                                           \
    return sameTypes(loc, op.getOperands());                                                       \
  }

#define LMC_SCALAR(Op) Value Op::scalarForm(OpBuilder &b, Location loc, ValueRange a, Type type)
#define LMC_ADJOINT(Op)                                                                            \
  LogicalResult Op::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d)

// ---- one entry an op: scalar form, then adjoint ------------------------------------------------

LMC_SAME_TYPE(NegOp)
LMC_SCALAR(NegOp) { return b.create<arith::NegFOp>(loc, a[0]); }
LMC_ADJOINT(NegOp) {
  d[0] = g.neg(dy[0]);
  return success();
}

LMC_SAME_TYPE(AbsOp)
LMC_SCALAR(AbsOp) { return b.create<math::AbsFOp>(loc, a[0]); }
LMC_ADJOINT(AbsOp) {
  Value zero = g.fullLike(0, getX());
  Value right = g.select(g.compare("gt", getX(), zero), dy[0], zero);
  d[0] = g.select(g.compare("lt", getX(), zero), g.neg(dy[0]), right);
  return success();
}

LMC_SAME_TYPE(ExpOp)
LMC_SCALAR(ExpOp) { return b.create<math::ExpOp>(loc, a[0]); }
LMC_ADJOINT(ExpOp) {
  d[0] = g.mul(dy[0], getY());
  return success();
}

LMC_SAME_TYPE(Expm1Op)
LMC_SCALAR(Expm1Op) { return b.create<math::ExpM1Op>(loc, a[0]); }
LMC_ADJOINT(Expm1Op) {
  d[0] = g.mul(dy[0], g.add(getY(), 1.0));
  return success();
}

LMC_SAME_TYPE(LogOp)
LMC_SCALAR(LogOp) { return b.create<math::LogOp>(loc, a[0]); }
LMC_ADJOINT(LogOp) {
  d[0] = g.div(dy[0], getX());
  return success();
}

LMC_SAME_TYPE(TanhOp)
LMC_SCALAR(TanhOp) { return b.create<math::TanhOp>(loc, a[0]); }
LMC_ADJOINT(TanhOp) {
  d[0] = g.mul(dy[0], g.sub(g.fullLike(1, getY()), g.mul(getY(), getY())));
  return success();
}

LMC_SAME_TYPE(ErfOp)
LMC_SCALAR(ErfOp) { return b.create<math::ErfOp>(loc, a[0]); }
LMC_ADJOINT(ErfOp) {
  Value slope = g.mul(g.exp(g.neg(g.mul(getX(), getX()))), 2.0 / std::sqrt(M_PI));
  d[0] = g.mul(dy[0], slope);
  return success();
}

LMC_SAME_TYPE(SqrtOp)
LMC_SCALAR(SqrtOp) { return b.create<math::SqrtOp>(loc, a[0]); }
LMC_ADJOINT(SqrtOp) {
  d[0] = g.div(g.mul(dy[0], 0.5), getY());
  return success();
}

// One division after an exact square root: the same bits on every target.
LMC_SAME_TYPE(RsqrtOp)
LMC_SCALAR(RsqrtOp) {
  return b.create<arith::DivFOp>(loc, number(b, loc, type, 1.0), b.create<math::SqrtOp>(loc, a[0]));
}
LMC_ADJOINT(RsqrtOp) {
  Value cube = g.mul(getY(), g.mul(getY(), getY()));
  d[0] = g.mul(g.mul(dy[0], cube), -0.5);
  return success();
}

LMC_SAME_TYPE(SinOp)
LMC_SCALAR(SinOp) { return b.create<math::SinOp>(loc, a[0]); }
LMC_ADJOINT(SinOp) {
  d[0] = g.mul(dy[0], g.cos(getX()));
  return success();
}

LMC_SAME_TYPE(CosOp)
LMC_SCALAR(CosOp) { return b.create<math::CosOp>(loc, a[0]); }
LMC_ADJOINT(CosOp) {
  d[0] = g.neg(g.mul(dy[0], g.sin(getX())));
  return success();
}

LMC_SAME_TYPE(AddOp)
LMC_SCALAR(AddOp) {
  if (isInteger(type))
    return b.create<arith::AddIOp>(loc, a[0], a[1]);
  return b.create<arith::AddFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(AddOp) {
  d[0] = dy[0];
  d[1] = dy[0];
  return success();
}

LMC_SAME_TYPE(SubOp)
LMC_SCALAR(SubOp) {
  if (isInteger(type))
    return b.create<arith::SubIOp>(loc, a[0], a[1]);
  return b.create<arith::SubFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(SubOp) {
  d[0] = dy[0];
  d[1] = g.neg(dy[0]);
  return success();
}

LMC_SAME_TYPE(MulOp)
LMC_SCALAR(MulOp) {
  if (isInteger(type))
    return b.create<arith::MulIOp>(loc, a[0], a[1]);
  return b.create<arith::MulFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(MulOp) {
  d[0] = g.mul(dy[0], getRhs());
  d[1] = g.mul(dy[0], getLhs());
  return success();
}

LMC_SAME_TYPE(DivOp)
LMC_SCALAR(DivOp) {
  if (isInteger(type))
    return divideIntegers(b, loc, a[0], a[1], type);
  return b.create<arith::DivFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(DivOp) {
  d[0] = g.div(dy[0], getRhs());
  d[1] = g.neg(g.div(g.mul(dy[0], getY()), getRhs()));
  return success();
}

LMC_SAME_TYPE(MaximumOp)
LMC_SCALAR(MaximumOp) {
  if (isInteger(type))
    return b.create<arith::MaxSIOp>(loc, a[0], a[1]);
  return b.create<arith::MaximumFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(MaximumOp) {
  Value left = g.compare("ge", getLhs(), getRhs());
  Value zero = g.fullLike(0, dy[0]);
  d[0] = g.select(left, dy[0], zero);
  d[1] = g.select(left, zero, dy[0]);
  return success();
}

LMC_SAME_TYPE(MinimumOp)
LMC_SCALAR(MinimumOp) {
  if (isInteger(type))
    return b.create<arith::MinSIOp>(loc, a[0], a[1]);
  return b.create<arith::MinimumFOp>(loc, a[0], a[1]);
}
LMC_ADJOINT(MinimumOp) {
  Value left = g.compare("le", getLhs(), getRhs());
  Value zero = g.fullLike(0, dy[0]);
  d[0] = g.select(left, dy[0], zero);
  d[1] = g.select(left, zero, dy[0]);
  return success();
}

// Floats shorter than f32 are rounded, so that an evaluated program shows what its precision costs;
// f32 and f64 are both evaluated in float64.
LogicalResult ConvertOp::evaluate(ArrayRef<const Tensor *> operands,
                                  SmallVectorImpl<Tensor> &results) {
  Tensor y = interpretPointwise(getOperation(), operands);
  if (auto type = dyn_cast<FloatType>(elementOf(getY())); type && type.getWidth() < 32)
    for (double &element : y.data) {
      APFloat number(element);
      bool loses;
      number.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &loses);
      number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      element = number.convertToDouble();
    }
  results.push_back(std::move(y));
  return success();
}
LogicalResult ConvertOp::verify() {
  if (shapeOf(getX()) != shapeOf(getY()))
    return emitOpError() << "changes the shape from " << toString(shapeOf(getX())) << " to "
                         << toString(shapeOf(getY()));
  return success();
}
OpFoldResult ConvertOp::fold(FoldAdaptor) {
  if (getX().getType() == getY().getType())
    return getX();
  // Widened and rounded again: the value it was.
  auto inner = getX().getDefiningOp<ConvertOp>();
  bool widened = inner && roundsFloats() && isa<FloatType>(elementOf(inner.getX()));
  return widened && inner.getX().getType() == getY().getType() ? inner.getX() : OpFoldResult();
}
bool ConvertOp::roundsFloats() {
  auto from = dyn_cast<FloatType>(elementOf(getX())), to = dyn_cast<FloatType>(elementOf(getY()));
  return from && to && from.getWidth() > to.getWidth();
}
LMC_SCALAR(ConvertOp) {
  Type from = getElementTypeOrSelf(a[0].getType()), to = getElementTypeOrSelf(type);
  if (from == to)
    return a[0];
  if (isInteger(from) && isInteger(to)) {
    if (from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth())
      return b.create<arith::TruncIOp>(loc, type, a[0]);
    if (from.isInteger(1))
      return b.create<arith::ExtUIOp>(loc, type, a[0]);
    return b.create<arith::ExtSIOp>(loc, type, a[0]);
  }
  if (from.isInteger(1))
    return b.create<arith::UIToFPOp>(loc, type, a[0]);
  if (isInteger(from))
    return b.create<arith::SIToFPOp>(loc, type, a[0]);
  if (isInteger(to))
    return b.create<arith::FPToSIOp>(loc, type, a[0]);
  if (from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth())
    return b.create<arith::TruncFOp>(loc, type, a[0]);
  return b.create<arith::ExtFOp>(loc, type, a[0]);
}
LMC_ADJOINT(ConvertOp) {
  if (isa<FloatType>(elementOf(getX())) && isa<FloatType>(elementOf(getY())))
    d[0] = g.convert(dy[0], elementOf(getX()));
  return success(); // ids and masks take no gradient
}

LMC_POINTWISE_COMMON(CompareOp)
LogicalResult CompareOp::infer(Adaptor op, std::optional<Location> loc,
                               SmallVectorImpl<Type> &types) {
  if (failed(sameTypes(loc, op.getOperands())))
    return failure();
  Value lhs = op.getLhs();
  types.push_back(tensorType(shapeOf(lhs), IntegerType::get(lhs.getContext(), 1)));
  return success();
}
LogicalResult CompareOp::verify() {
  if (!llvm::is_contained({"eq", "lt", "le", "gt", "ge"}, getPredicate()))
    return emitOpError() << "predicate must be eq, lt, le, gt or ge, got '" << getPredicate()
                         << "'";
  return success();
}
LMC_SCALAR(CompareOp) {
  if (isInteger(a[0].getType())) {
    auto predicate = llvm::StringSwitch<arith::CmpIPredicate>(getPredicate())
                         .Case("eq", arith::CmpIPredicate::eq)
                         .Case("lt", arith::CmpIPredicate::slt)
                         .Case("le", arith::CmpIPredicate::sle)
                         .Case("gt", arith::CmpIPredicate::sgt)
                         .Default(arith::CmpIPredicate::sge);
    return b.create<arith::CmpIOp>(loc, predicate, a[0], a[1]);
  }
  auto predicate = llvm::StringSwitch<arith::CmpFPredicate>(getPredicate())
                       .Case("eq", arith::CmpFPredicate::OEQ)
                       .Case("lt", arith::CmpFPredicate::OLT)
                       .Case("le", arith::CmpFPredicate::OLE)
                       .Case("gt", arith::CmpFPredicate::OGT)
                       .Default(arith::CmpFPredicate::OGE);
  return b.create<arith::CmpFOp>(loc, predicate, a[0], a[1]);
}
LMC_ADJOINT(CompareOp) { return notDifferentiable(*this, "a comparison is piecewise constant"); }

LMC_POINTWISE_COMMON(IsFiniteOp)
LogicalResult IsFiniteOp::infer(Adaptor op, std::optional<Location>, SmallVectorImpl<Type> &types) {
  Value x = op.getX();
  types.push_back(tensorType(shapeOf(x), IntegerType::get(x.getContext(), 1)));
  return success();
}
LMC_SCALAR(IsFiniteOp) {
  // |x| < inf is false for NaN as well.
  Value magnitude = b.create<math::AbsFOp>(loc, a[0]);
  Value infinity = number(b, loc, a[0].getType(), INFINITY);
  return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, magnitude, infinity);
}
LMC_ADJOINT(IsFiniteOp) { return notDifferentiable(*this, "a test is piecewise constant"); }

LMC_POINTWISE_COMMON(SelectOp)
LogicalResult SelectOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  types.push_back(op.getLhs().getType());
  if (shapeOf(op.getCondition()) != shapeOf(op.getLhs()))
    return emitOptionalError(loc, "condition has shape ", toString(shapeOf(op.getCondition())),
                             ", the operands ", toString(shapeOf(op.getLhs())));
  return sameTypes(loc, op.getOperands().drop_front());
}
LMC_SCALAR(SelectOp) { return b.create<arith::SelectOp>(loc, a[0], a[1], a[2]); }
LMC_ADJOINT(SelectOp) {
  Value zero = g.fullLike(0, dy[0]);
  d[1] = g.select(getCondition(), dy[0], zero);
  d[2] = g.select(getCondition(), zero, dy[0]);
  return success();
}

} // namespace lmc::lm
