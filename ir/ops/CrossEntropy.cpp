#include "ir/Dialect.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

/// max + log(sum(exp(x - max))) for each row.
Value logSumExp(GraphBuilder &g, Value x) {
  Value largest = g.max(x, {-1});
  return g.add(g.log(g.sumLast(g.exp(g.sub(x, g.perRow(largest, x))))), largest);
}

/// i1 [..., V]: is this column the row's target?
Value isTarget(GraphBuilder &g, Value logits, Value targets) {
  Type ids = tensorType(shapeOf(logits), elementOf(targets));
  int64_t last = static_cast<int64_t>(shapeOf(logits).size()) - 1;
  Value columns = g.iota(cast<RankedTensorType>(ids), last);
  return g.compare("eq", columns, g.perRow(targets, columns));
}

} // namespace

LogicalResult CrossEntropyOp::infer(Adaptor op, std::optional<Location> loc,
                                    SmallVectorImpl<Type> &types) {
  Shape logits = shapeOf(op.getLogits()), targets = shapeOf(op.getTargets());
  if (logits.empty() || ArrayRef<Dim>(logits).drop_back() != ArrayRef<Dim>(targets))
    return emitOptionalError(loc, "cross_entropy needs logits [..., V] and targets [...], got ",
                             toString(logits), " and ", toString(targets));
  types.push_back(tensorType(targets, elementOf(op.getLogits())));
  return success();
}

LogicalResult CrossEntropyOp::evaluate(ArrayRef<const Tensor *> operands,
                                       SmallVectorImpl<Tensor> &results) {
  const Tensor &logits = *operands[0], &targets = *operands[1];
  Tensor loss(targets.shape);
  int64_t V = logits.lastDim();
  for (int64_t i = 0; i < loss.size(); ++i) {
    const double *x = &logits.data[i * V];
    int64_t target = static_cast<int64_t>(targets.data[i]);
    if (target < 0 || target >= V)
      return emitOpError() << "target " << target << " is outside the vocabulary of " << V;
    double largest = *std::max_element(x, x + V), sum = 0;
    for (int64_t v = 0; v < V; ++v)
      sum += std::exp(x[v] - largest);
    loss.data[i] = largest + std::log(sum) - x[target];
  }
  results.push_back(std::move(loss));
  return success();
}

SmallVector<Value> CrossEntropyOp::decompose(GraphBuilder &g) {
  Value x = getLogits();
  Value picked = g.sumLast(g.select(isTarget(g, x, getTargets()), x, g.fullLike(0, x)));
  return {g.sub(logSumExp(g, x), picked)};
}

LogicalResult CrossEntropyOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  // (softmax - onehot) * dloss; only the log-sum-exp is kept from the forward.
  Value x = getLogits();
  Value p = g.exp(g.sub(x, g.perRow(logSumExp(g, x), x)));
  Value onehot = g.select(isTarget(g, x, getTargets()), g.fullLike(1, x), g.fullLike(0, x));
  d[0] = g.mul(g.sub(p, onehot), g.perRow(dy[0], x));
  return success();
}

} // namespace lmc::lm
