#include "ir/Dialect.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace lmc::lm {

LogicalResult ReduceOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  Shape shape = shapeOf(op.getX()), kept;
  if (op.getDims().empty())
    return emitOptionalError(loc, "reduce over no dimension");
  int64_t previous = -1;
  for (int64_t dim : op.getDims()) {
    if (dim <= previous || dim >= static_cast<int64_t>(shape.size()))
      return emitOptionalError(loc, "reduced dimensions must rise strictly below rank ",
                               shape.size());
    previous = dim;
  }
  for (auto [i, extent] : llvm::enumerate(shape))
    if (!llvm::is_contained(op.getDims(), static_cast<int64_t>(i)))
      kept.push_back(extent);
  types.push_back(tensorType(kept, elementOf(op.getX())));
  return success();
}

LogicalResult ReduceOp::verify() {
  if (getKind() != "sum" && getKind() != "max")
    return emitOpError() << "kind must be sum or max, got '" << getKind() << "'";
  return success();
}

LogicalResult ReduceOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  bool isSum = getKind() == "sum";
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape(),
           isSum ? 0.0 : -std::numeric_limits<double>::infinity());
  SmallVector<int64_t> index(x.rank(), 0);
  for (double element : x.data) {
    int64_t at = 0;
    for (int64_t d = 0; d < x.rank(); ++d)
      if (!llvm::is_contained(getDims(), d))
        at = at * x.shape[d] + index[d];
    y.data[at] = isSum ? y.data[at] + element
                       : (std::isnan(element) ? element : std::max(y.data[at], element));
    for (int64_t d = x.rank() - 1; d >= 0 && ++index[d] == x.shape[d]; --d)
      index[d] = 0;
  }
  results.push_back(std::move(y));
  return success();
}

LogicalResult ReduceOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  SmallVector<int64_t> kept;
  Shape shape = shapeOf(getX());
  for (int64_t dim = 0; dim < static_cast<int64_t>(shape.size()); ++dim)
    if (!llvm::is_contained(getDims(), dim))
      kept.push_back(dim);
  Value spread = g.broadcast(dy[0], shape, kept);
  if (getKind() == "sum") {
    d[0] = spread;
    return success();
  }
  // max: to every element that attains it.
  Value attains = g.compare("eq", getX(), g.broadcast(getY(), shape, kept));
  d[0] = g.select(attains, spread, g.fullLike(0, getX()));
  return success();
}

} // namespace lmc::lm
