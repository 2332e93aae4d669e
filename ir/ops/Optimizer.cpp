#include "ir/Dialect.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {

// ---- global_norm -------------------------------------------------------------------------------

LogicalResult GlobalNormOp::infer(Adaptor op, std::optional<Location> loc,
                                  SmallVectorImpl<Type> &types) {
  if (op.getXs().empty())
    return emitOptionalError(loc, "global_norm of nothing");
  types.push_back(tensorType({}, elementOf(op.getXs().front())));
  for (Value x : op.getXs())
    if (elementOf(x) != elementOf(op.getXs().front()))
      return emitOptionalError(loc, "global_norm of ", elementOf(op.getXs().front()), " and ",
                               elementOf(x), " elements");
  return success();
}

LogicalResult GlobalNormOp::evaluate(ArrayRef<const Tensor *> operands,
                                     SmallVectorImpl<Tensor> &results) {
  double squares = 0;
  for (const Tensor *x : operands)
    for (double element : x->data)
      squares += element * element;
  results.push_back(Tensor(ArrayRef<int64_t>{}, std::sqrt(squares)));
  return success();
}

SmallVector<Value> GlobalNormOp::decompose(GraphBuilder &g) {
  Value total;
  for (Value x : getXs()) {
    Value squares = g.sumAll(g.mul(x, x));
    total = total ? g.add(total, squares) : squares;
  }
  return {g.sqrt(total)};
}

LogicalResult GlobalNormOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  for (auto [i, x] : llvm::enumerate(getXs()))
    d[i] = g.mul(x, g.div(dy[0], getY()));
  return success();
}

// ---- adamw -------------------------------------------------------------------------------------

LogicalResult AdamWOp::infer(Adaptor op, std::optional<Location> loc,
                             SmallVectorImpl<Type> &types) {
  Type type = op.getParam().getType();
  types.append({type, type, type});
  for (Value x : {op.getGrad(), op.getM(), op.getV()})
    if (x.getType() != type)
      return emitOptionalError(loc, "adamw parameter is ", type, ", its gradient or moment ",
                               x.getType());
  auto scalar = tensorType({}, elementOf(op.getParam()));
  for (Value x : {op.getLr(), op.getScale(), op.getC1(), op.getC2()})
    if (x.getType() != scalar)
      return emitOptionalError(loc, "adamw needs lr, scale, c1 and c2 of type ", scalar, ", got ",
                               x.getType());
  if (!shapeOf(op.getApply()).empty())
    return emitOptionalError(loc, "adamw needs a scalar apply, got ", op.getApply().getType());
  return success();
}

LogicalResult AdamWOp::evaluate(ArrayRef<const Tensor *> operands,
                                SmallVectorImpl<Tensor> &results) {
  Tensor p = *operands[0], m = *operands[2], v = *operands[3];
  double lr = operands[4]->data[0], scale = operands[5]->data[0];
  double c1 = operands[6]->data[0], c2 = operands[7]->data[0];
  double b1 = getBeta1().convertToDouble(), b2 = getBeta2().convertToDouble();
  double eps = getEps().convertToDouble(), decay = getDecay().convertToDouble();
  for (int64_t i = 0; operands[8]->data[0] && i < p.size(); ++i) {
    double g = scale * operands[1]->data[i];
    m.data[i] = b1 * m.data[i] + (1 - b1) * g;
    v.data[i] = b2 * v.data[i] + (1 - b2) * g * g;
    p.data[i] -= lr * (m.data[i] / c1 / (std::sqrt(v.data[i] / c2) + eps) + decay * p.data[i]);
  }
  results.append({std::move(p), std::move(m), std::move(v)});
  return success();
}

SmallVector<Value> AdamWOp::decompose(GraphBuilder &g) {
  double b1 = getBeta1().convertToDouble(), b2 = getBeta2().convertToDouble();
  double eps = getEps().convertToDouble(), decay = getDecay().convertToDouble();
  Value p = getParam();
  Value grad = g.mul(getGrad(), getScale());
  Value m = g.add(g.mul(getM(), b1), g.mul(grad, 1 - b1));
  Value v = g.add(g.mul(getV(), b2), g.mul(g.mul(grad, grad), 1 - b2));
  Value direction = g.div(g.div(m, getC1()), g.add(g.sqrt(g.div(v, getC2())), eps));
  if (decay != 0)
    direction = g.add(direction, g.mul(p, decay));
  Value next = g.sub(p, g.mul(direction, getLr()));
  auto guarded = [&](Value updated, Value old) { return g.select(getApply(), updated, old); };
  return {guarded(next, p), guarded(m, getM()), guarded(v, getV())};
}

LogicalResult AdamWOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "the optimizer's update ends a training step");
}

} // namespace lmc::lm
