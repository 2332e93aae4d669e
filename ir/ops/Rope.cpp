#include "ir/Dialect.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {

LogicalResult RopeOp::infer(Adaptor op, std::optional<Location> loc, SmallVectorImpl<Type> &types) {
  Shape x = shapeOf(op.getX()), positions = shapeOf(op.getPositions());
  Shape frequencies = shapeOf(op.getInvFreq());
  types.push_back(op.getX().getType());
  if (x.size() != 4 || positions != Shape{x[1]} || !x[3].isStatic() || x[3].size % 2 ||
      frequencies != Shape{Dim(x[3].size / 2)} ||
      elementOf(op.getPositions()) != elementOf(op.getInvFreq()))
    return emitOptionalError(loc,
                             "rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got ",
                             toString(x), ", ", toString(positions), ", ", toString(frequencies));
  return success();
}

LogicalResult RopeOp::evaluate(ArrayRef<const Tensor *> operands,
                               SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0], &positions = *operands[1], &frequencies = *operands[2];
  int64_t T = x.shape[1], H = x.shape[2], D = x.shape[3], half = D / 2;
  double sign = getInverse() ? -1 : 1;
  Tensor y(x.shape);
  for (int64_t row = 0; row < x.size() / D; ++row)
    for (int64_t i = 0; i < half; ++i) {
      double angle = positions.data[row / H % T] * frequencies.data[i];
      double c = std::cos(angle), s = sign * std::sin(angle);
      double left = x.data[row * D + i], right = x.data[row * D + half + i];
      y.data[row * D + i] = left * c - right * s;
      y.data[row * D + half + i] = right * c + left * s;
    }
  results.push_back(std::move(y));
  return success();
}

SmallVector<Value> RopeOp::decompose(GraphBuilder &g) {
  Shape shape = shapeOf(getX());
  int64_t half = shape[3].size / 2;
  Shape table = {shape[1], Dim(half)};
  // [T, D/2], computed once a step for all layers after common subexpression elimination.
  Value angle =
      g.mul(g.broadcast(getPositions(), table, {0}), g.broadcast(getInvFreq(), table, {1}));
  Shape part = shape;
  part[3] = half;
  auto spread = [&](Value x) { return g.broadcast(g.convert(x, elementOf(getX())), part, {1, 3}); };
  Value c = spread(g.cos(angle)), s = spread(g.sin(angle));
  Value left = g.slice(getX(), 3, 0, half), right = g.slice(getX(), 3, half, half);
  Value first = g.mul(left, c), second = g.mul(right, c);
  Value crossRight = g.mul(right, s), crossLeft = g.mul(left, s);
  if (getInverse())
    return {g.concat({g.add(first, crossRight), g.sub(second, crossLeft)}, 3)};
  return {g.concat({g.sub(first, crossRight), g.add(second, crossLeft)}, 3)};
}

LogicalResult RopeOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  // A rotation's adjoint is the inverse rotation; positions and frequencies are no parameters.
  d[0] = g.b.create<RopeOp>(g.loc, dy[0], getPositions(), getInvFreq(), !getInverse());
  return success();
}

} // namespace lmc::lm
