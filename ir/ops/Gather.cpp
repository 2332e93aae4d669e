#include "ir/Dialect.h"

using namespace mlir;

namespace lmc::lm {

LogicalResult GatherOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  Shape table = shapeOf(op.getTable()), y = shapeOf(op.getIds());
  if (table.size() != 2)
    return emitOptionalError(loc, "gather needs a table [V, C], got ", toString(table));
  y.push_back(table[1]);
  types.push_back(tensorType(y, elementOf(op.getTable())));
  return success();
}

LogicalResult GatherOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  const Tensor &table = *operands[0], &ids = *operands[1];
  int64_t width = table.shape[1];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape());
  for (int64_t i = 0; i < ids.size(); ++i) {
    int64_t id = static_cast<int64_t>(ids.data[i]);
    if (id < 0 || id >= table.shape[0])
      return emitOpError() << "id " << id << " is outside the table of " << table.shape[0];
    std::copy_n(table.data.begin() + id * width, width, y.data.begin() + i * width);
  }
  results.push_back(std::move(y));
  return success();
}

LogicalResult GatherOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  d[0] = g.b.create<ScatterAddOp>(g.loc, getTable().getType(), getIds(), dy[0]);
  return success();
}

LogicalResult ScatterAddOp::verify() {
  Shape ids = shapeOf(getIds()), updates = shapeOf(getUpdates()), y = shapeOf(getY());
  ids.push_back(updates.empty() ? Dim(0) : updates.back());
  if (y.size() != 2 || ids != updates || y[1] != updates.back() ||
      elementOf(getY()) != elementOf(getUpdates()))
    return emitOpError() << "needs ids [...], updates [..., C] and a result [V, C], got "
                         << toString(shapeOf(getIds())) << ", " << toString(updates) << ", "
                         << toString(y);
  return success();
}

LogicalResult ScatterAddOp::evaluate(ArrayRef<const Tensor *> operands,
                                     SmallVectorImpl<Tensor> &results) {
  const Tensor &ids = *operands[0], &updates = *operands[1];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape());
  int64_t width = y.shape[1];
  for (int64_t i = 0; i < ids.size(); ++i) {
    int64_t id = static_cast<int64_t>(ids.data[i]);
    if (id < 0 || id >= y.shape[0])
      return emitOpError() << "id " << id << " is outside the table of " << y.shape[0];
    for (int64_t c = 0; c < width; ++c)
      y.data[id * width + c] += updates.data[i * width + c];
  }
  results.push_back(std::move(y));
  return success();
}

LogicalResult ScatterAddOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  d[1] = g.b.create<GatherOp>(g.loc, dy[0], getIds());
  return success();
}

} // namespace lmc::lm
