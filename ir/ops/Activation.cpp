#include "ir/Dialect.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

constexpr double kGeluSlope = 0.044715;
const double kGeluScale = std::sqrt(2 / M_PI);

Tensor map(const Tensor &x, double (*f)(double)) {
  Tensor y(x.shape);
  for (int64_t i = 0; i < x.size(); ++i)
    y.data[i] = f(x.data[i]);
  return y;
}

Value one(GraphBuilder &g, Value like) { return g.fullLike(1, like); }

/// tanh(sqrt(2/pi) (x + 0.044715 x^3)).
Value geluTanh(GraphBuilder &g, Value x) {
  Value cube = g.mul(x, g.mul(x, x));
  return g.tanh(g.mul(g.add(x, g.mul(cube, kGeluSlope)), kGeluScale));
}

/// Phi(x), the normal distribution function.
Value normalCdf(GraphBuilder &g, Value x) {
  return g.mul(g.add(g.erf(g.mul(x, std::sqrt(0.5))), 1.0), 0.5);
}

Value sigmoid(GraphBuilder &g, Value x) { return g.div(one(g, x), g.add(g.exp(g.neg(x)), 1.0)); }

/// d silu / dx = s (1 + x (1 - s)).
Value siluSlope(GraphBuilder &g, Value x) {
  Value s = sigmoid(g, x);
  return g.mul(s, g.add(g.mul(x, g.sub(one(g, s), s)), 1.0));
}

} // namespace

#define LMC_SAME_TYPE(Op)                                                                          \
  LogicalResult Op::infer(Adaptor op, std::optional<Location> loc, SmallVectorImpl<Type> &types) { \
    types.push_back(op.getX().getType());                                                          \
    return success();                                                                              \
  }
#define LMC_EVALUATE(Op, f)                                                                        \
  LogicalResult Op::evaluate(ArrayRef<const Tensor *> operands,                                    \
                             SmallVectorImpl<Tensor> &results) {                                   \
    results.push_back(map(*operands[0], f));                                                       \
    return success();                                                                              \
  }
#define LMC_ADJOINT(Op)                                                                            \
  LogicalResult Op::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d)

LMC_SAME_TYPE(GeluOp)
LogicalResult GeluOp::evaluate(ArrayRef<const Tensor *> operands,
                               SmallVectorImpl<Tensor> &results) {
  auto exact = [](double x) { return 0.5 * x * (1 + std::erf(x * M_SQRT1_2)); };
  auto byTanh = [](double x) {
    return 0.5 * x * (1 + std::tanh(kGeluScale * (x + kGeluSlope * x * x * x)));
  };
  if (getApproximate())
    results.push_back(map(*operands[0], byTanh));
  else
    results.push_back(map(*operands[0], exact));
  return success();
}
SmallVector<Value> GeluOp::decompose(GraphBuilder &g) {
  Value x = getX();
  if (!getApproximate())
    return {g.mul(x, normalCdf(g, x))};
  return {g.mul(g.mul(x, 0.5), g.add(geluTanh(g, x), 1.0))};
}
LMC_ADJOINT(GeluOp) {
  Value x = getX(), slope;
  if (getApproximate()) {
    // (1 + t)/2 + x/2 (1 - t^2) sqrt(2/pi) (1 + 3 0.044715 x^2), with t of the forward.
    Value t = geluTanh(g, x);
    Value inner = g.mul(g.add(g.mul(g.mul(x, x), 3 * kGeluSlope), 1.0), kGeluScale);
    Value second = g.mul(g.mul(g.mul(x, 0.5), g.sub(one(g, t), g.mul(t, t))), inner);
    slope = g.add(g.mul(g.add(t, 1.0), 0.5), second);
  } else {
    Value density = g.mul(g.exp(g.mul(g.mul(x, x), -0.5)), 1 / std::sqrt(2 * M_PI));
    slope = g.add(normalCdf(g, x), g.mul(x, density));
  }
  d[0] = g.mul(dy[0], slope);
  return success();
}

LMC_SAME_TYPE(ReluOp)
LMC_EVALUATE(ReluOp, [](double x) { return x > 0 || std::isnan(x) ? x : 0.0; })
SmallVector<Value> ReluOp::decompose(GraphBuilder &g) {
  return {g.maximum(getX(), g.fullLike(0, getX()))};
}
LMC_ADJOINT(ReluOp) {
  Value zero = g.fullLike(0, getX());
  d[0] = g.select(g.compare("gt", getX(), zero), dy[0], zero);
  return success();
}

LMC_SAME_TYPE(SigmoidOp)
LMC_EVALUATE(SigmoidOp, [](double x) { return 1 / (1 + std::exp(-x)); })
SmallVector<Value> SigmoidOp::decompose(GraphBuilder &g) { return {sigmoid(g, getX())}; }
LMC_ADJOINT(SigmoidOp) {
  Value y = getY();
  d[0] = g.mul(dy[0], g.mul(y, g.sub(one(g, y), y)));
  return success();
}

LMC_SAME_TYPE(SiluOp)
LMC_EVALUATE(SiluOp, [](double x) { return x / (1 + std::exp(-x)); })
SmallVector<Value> SiluOp::decompose(GraphBuilder &g) {
  return {g.mul(getX(), sigmoid(g, getX()))};
}
LMC_ADJOINT(SiluOp) {
  d[0] = g.mul(dy[0], siluSlope(g, getX()));
  return success();
}

LogicalResult SwigluOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  types.push_back(op.getGate().getType());
  if (op.getGate().getType() != op.getUp().getType())
    return emitOptionalError(loc, "swiglu gate is ", op.getGate().getType(), ", up is ",
                             op.getUp().getType());
  return success();
}
LogicalResult SwigluOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  Tensor y = *operands[1];
  for (int64_t i = 0; i < y.size(); ++i) {
    double gate = operands[0]->data[i];
    y.data[i] *= gate / (1 + std::exp(-gate));
  }
  results.push_back(std::move(y));
  return success();
}
SmallVector<Value> SwigluOp::decompose(GraphBuilder &g) {
  return {g.mul(g.mul(getGate(), sigmoid(g, getGate())), getUp())};
}
LMC_ADJOINT(SwigluOp) {
  Value gate = getGate();
  d[0] = g.mul(g.mul(dy[0], getUp()), siluSlope(g, gate));
  d[1] = g.mul(dy[0], g.mul(gate, sigmoid(g, gate)));
  return success();
}

} // namespace lmc::lm
