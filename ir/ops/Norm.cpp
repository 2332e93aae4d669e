// Norms over the last dimension. Adjoints are written with the same statistics as the decomposed
// forward, so that common subexpression elimination makes both share them.
#include "ir/Dialect.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

/// 1 / sqrt(mean(x^2) + eps) for each row, [...].
Value inverseRms(GraphBuilder &g, Value x, const APFloat &eps) {
  return g.rsqrt(g.add(g.meanLast(g.mul(x, x)), eps.convertToDouble()));
}

struct Centred {
  Value x;       // x - mean, [..., C]
  Value inverse; // 1 / sqrt(var + eps), [...]
};

Centred centre(GraphBuilder &g, Value x, const APFloat &eps) {
  Value centred = g.sub(x, g.perRow(g.meanLast(x), x));
  return {centred, inverseRms(g, centred, eps)};
}

/// Cotangent of x where xhat = (x - mean?) * inverse: inverse (dxhat - [mean(dxhat)] - xhat
/// mean(dxhat xhat)).
Value normAdjoint(GraphBuilder &g, Value dxhat, Value xhat, Value inverse, bool centred) {
  Value inner = g.mul(xhat, g.perRow(g.meanLast(g.mul(dxhat, xhat)), xhat));
  Value dx = g.sub(dxhat, inner);
  if (centred)
    dx = g.sub(dx, g.perRow(g.meanLast(dxhat), dx));
  return g.mul(dx, g.perRow(inverse, dx));
}

LogicalResult checkVector(std::optional<Location> loc, Value x, Value vector, StringRef name) {
  Shape shape = shapeOf(x);
  if (!shape.empty() && shape.back().isStatic() && shapeOf(vector) == Shape{shape.back()} &&
      elementOf(x) == elementOf(vector))
    return success();
  return emitOptionalError(loc, name, " is ", toString(shapeOf(vector)), ", x is ", toString(shape),
                           ": it must be [C] for x [..., C]");
}

/// Writes one row of y from one row of x.
template <typename Row> Tensor forEachRow(const Tensor &x, Row row) {
  Tensor y(x.shape);
  int64_t n = x.lastDim();
  for (int64_t i = 0; i < x.size(); i += n)
    row(&x.data[i], &y.data[i], n);
  return y;
}

} // namespace

LogicalResult RmsNormOp::infer(Adaptor op, std::optional<Location> loc,
                               SmallVectorImpl<Type> &types) {
  types.push_back(op.getX().getType());
  return checkVector(loc, op.getX(), op.getWeight(), "weight");
}

LogicalResult RmsNormOp::evaluate(ArrayRef<const Tensor *> operands,
                                  SmallVectorImpl<Tensor> &results) {
  double eps = getEps().convertToDouble();
  results.push_back(forEachRow(*operands[0], [&](const double *x, double *y, int64_t n) {
    double squares = 0;
    for (int64_t i = 0; i < n; ++i)
      squares += x[i] * x[i];
    double inverse = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < n; ++i)
      y[i] = x[i] * inverse * operands[1]->data[i];
  }));
  return success();
}

SmallVector<Value> RmsNormOp::decompose(GraphBuilder &g) {
  Value x = getX();
  Value xhat = g.mul(x, g.perRow(inverseRms(g, x, getEps()), x));
  return {g.mul(xhat, getWeight())};
}

LogicalResult RmsNormOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  Value x = getX(), inverse = inverseRms(g, x, getEps());
  Value xhat = g.mul(x, g.perRow(inverse, x));
  d[0] = normAdjoint(g, g.mul(dy[0], getWeight()), xhat, inverse, false);
  d[1] = g.sumLeading(g.mul(dy[0], xhat));
  return success();
}

LogicalResult LayerNormOp::infer(Adaptor op, std::optional<Location> loc,
                                 SmallVectorImpl<Type> &types) {
  types.push_back(op.getX().getType());
  if (failed(checkVector(loc, op.getX(), op.getWeight(), "weight")))
    return failure();
  return checkVector(loc, op.getX(), op.getBias(), "bias");
}

LogicalResult LayerNormOp::evaluate(ArrayRef<const Tensor *> operands,
                                    SmallVectorImpl<Tensor> &results) {
  double eps = getEps().convertToDouble();
  results.push_back(forEachRow(*operands[0], [&](const double *x, double *y, int64_t n) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i)
      mean += x[i] / n;
    for (int64_t i = 0; i < n; ++i)
      squares += (x[i] - mean) * (x[i] - mean);
    double inverse = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - mean) * inverse * operands[1]->data[i] + operands[2]->data[i];
  }));
  return success();
}

SmallVector<Value> LayerNormOp::decompose(GraphBuilder &g) {
  Centred c = centre(g, getX(), getEps());
  Value xhat = g.mul(c.x, g.perRow(c.inverse, c.x));
  return {g.add(g.mul(xhat, getWeight()), getBias())};
}

LogicalResult LayerNormOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  Centred c = centre(g, getX(), getEps());
  Value xhat = g.mul(c.x, g.perRow(c.inverse, c.x));
  d[0] = normAdjoint(g, g.mul(dy[0], getWeight()), xhat, c.inverse, true);
  d[1] = g.sumLeading(g.mul(dy[0], xhat));
  d[2] = g.sumLeading(dy[0]);
  return success();
}

LogicalResult SoftmaxOp::infer(Adaptor op, std::optional<Location> loc,
                               SmallVectorImpl<Type> &types) {
  types.push_back(op.getX().getType());
  if (shapeOf(op.getX()).empty())
    return emitOptionalError(loc, "softmax of a scalar");
  return success();
}

LogicalResult SoftmaxOp::evaluate(ArrayRef<const Tensor *> operands,
                                  SmallVectorImpl<Tensor> &results) {
  results.push_back(forEachRow(*operands[0], [](const double *x, double *y, int64_t n) {
    double largest = *std::max_element(x, x + n), sum = 0;
    for (int64_t i = 0; i < n; ++i)
      sum += y[i] = std::exp(x[i] - largest);
    for (int64_t i = 0; i < n; ++i)
      y[i] /= sum;
  }));
  return success();
}

SmallVector<Value> SoftmaxOp::decompose(GraphBuilder &g) {
  Value x = getX();
  Value e = g.exp(g.sub(x, g.perRow(g.max(x, {-1}), x)));
  return {g.div(e, g.perRow(g.sumLast(e), e))};
}

LogicalResult SoftmaxOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  Value y = getY();
  Value inner = g.sumLast(g.mul(dy[0], y));
  d[0] = g.mul(y, g.sub(dy[0], g.perRow(inner, y)));
  return success();
}

} // namespace lmc::lm
