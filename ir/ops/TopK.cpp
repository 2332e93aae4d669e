#include "ir/Dialect.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;

namespace lmc::lm {

LogicalResult TopKOp::infer(Adaptor op, std::optional<Location> loc, SmallVectorImpl<Type> &types) {
  Shape shape = shapeOf(op.getX());
  auto k = static_cast<int64_t>(op.getK());
  if (shape.empty() || !shape.back().isStatic() || k < 1 || k > shape.back().size)
    return emitOptionalError(loc, "top_k takes 1 to N of x [..., N], got k = ", k, " of ",
                             toString(shape));
  shape.back() = k;
  types.push_back(tensorType(shape, elementOf(op.getX())));
  types.push_back(tensorType(shape, IntegerType::get(op.getX().getContext(), 32)));
  return success();
}

LogicalResult TopKOp::evaluate(ArrayRef<const Tensor *> operands,
                               SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  int64_t n = x.lastDim(), k = static_cast<int64_t>(getK());
  auto shape = x.shape;
  shape.back() = k;
  Tensor values(shape), ids(shape);
  std::vector<int64_t> sorted(n);
  for (int64_t row = 0; row < x.size() / n; ++row) {
    const double *elements = &x.data[row * n];
    std::iota(sorted.begin(), sorted.end(), 0);
    std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) {
      if (std::isnan(elements[a]) || std::isnan(elements[b]))
        return std::isnan(elements[a]) && !std::isnan(elements[b]);
      return elements[a] > elements[b];
    });
    for (int64_t j = 0; j < k; ++j) {
      values.data[row * k + j] = elements[sorted[j]];
      ids.data[row * k + j] = static_cast<double>(sorted[j]);
    }
  }
  results.push_back(std::move(values));
  results.push_back(std::move(ids));
  return success();
}

// dx[..., n] = sum over j of dvalues[..., j] where ids[..., j] = n, else 0: few terms, no scatter.
LogicalResult TopKOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  Shape shape = shapeOf(getX());
  int64_t last = static_cast<int64_t>(shape.size()) - 1;
  Value position = g.iota(tensorType(shape, g.b.getI32Type()), last), zero = g.fullLike(0, getX());
  auto spread = [&](Value x, int64_t j) { return g.broadcastTo(g.slice(x, last, j, 1), shape); };
  for (int64_t j = 0; j < static_cast<int64_t>(getK()); ++j) {
    Value hit = g.compare("eq", position, spread(getIds(), j));
    Value term = g.select(hit, spread(dy[0], j), zero);
    d[0] = d[0] ? g.add(d[0], term) : term;
  }
  return success();
}

} // namespace lmc::lm
