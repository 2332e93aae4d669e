#include "ir/ops/ExpertRows.h"

using namespace mlir;

namespace lmc::lm {

FailureOr<int64_t> expertsOf(std::optional<Location> loc, Value starts) {
  Shape shape = shapeOf(starts);
  if (shape.size() != 1 || !shape[0].isStatic() || shape[0].size < 2)
    return emitOptionalError(loc, "starts must be [experts + 1], got ", toString(shape));
  return shape[0].size - 1;
}

LogicalResult checkRows(std::optional<Location> loc, StringRef name, Value x, Value order) {
  Shape shape = shapeOf(x), rows = shapeOf(order);
  if (!shape.empty() && shape.back().isStatic() && shape.size() <= rows.size() + 1 &&
      ArrayRef<Dim>(shape).drop_back() == ArrayRef<Dim>(rows).take_back(shape.size() - 1))
    return success();
  return emitOptionalError(loc, name, " is ", toString(shape), ", the rows are ", toString(rows),
                           ": it must have their last dimensions and features");
}

LogicalResult forEachRow(Operation *op, const Tensor &order, const Tensor &starts,
                         llvm::function_ref<void(int64_t, int64_t)> visit) {
  int64_t rows = order.size(), experts = starts.size() - 1;
  auto at = [](const Tensor &tensor, int64_t i) { return static_cast<int64_t>(tensor.data[i]); };
  if (at(starts, 0) != 0 || at(starts, experts) != rows)
    return op->emitOpError() << "starts must run from 0 to the number of rows, " << rows;
  for (int64_t expert = 0; expert < experts; ++expert) {
    if (at(starts, expert) > at(starts, expert + 1))
      return op->emitOpError() << "starts must not fall";
    for (int64_t place = at(starts, expert); place < at(starts, expert + 1); ++place) {
      if (at(order, place) < 0 || at(order, place) >= rows)
        return op->emitOpError() << "row " << at(order, place) << " is none of " << rows;
      visit(expert, at(order, place));
    }
  }
  return success();
}

namespace {

/// The elements of row `row` of x, which may have fewer rows than there are.
const double *rowOf(const Tensor &x, int64_t row) {
  int64_t width = x.lastDim();
  return x.data.data() + row % (x.size() / width) * width;
}

/// [R..., C] -> the shape of x, summed over the dimensions that x lacks.
Value sumShared(GraphBuilder &g, Value rows, Value x) {
  auto missing = static_cast<int64_t>(shapeOf(rows).size() - shapeOf(x).size());
  if (missing)
    rows = g.sum(rows, llvm::to_vector(llvm::seq<int64_t>(0, missing)));
  return g.convert(rows, elementOf(x));
}

Value multiply(GraphBuilder &g, Value x, Value w, Value order, Value starts, bool transposeB) {
  return g.b.create<ExpertMatmulOp>(g.loc, x, w, order, starts, transposeB);
}

} // namespace

LogicalResult GroupRowsOp::infer(Adaptor op, std::optional<Location> loc,
                                 SmallVectorImpl<Type> &types) {
  auto groups = static_cast<int64_t>(op.getGroups());
  if (groups < 1)
    return emitOptionalError(loc, "group_rows needs at least 1 group, got ", groups);
  types.push_back(op.getIds().getType());
  types.push_back(tensorType({Dim(groups + 1)}, elementOf(op.getIds())));
  return success();
}

LogicalResult GroupRowsOp::evaluate(ArrayRef<const Tensor *> operands,
                                    SmallVectorImpl<Tensor> &results) {
  const Tensor &ids = *operands[0];
  auto groups = static_cast<int64_t>(getGroups());
  for (double id : ids.data)
    if (id < 0 || id >= static_cast<double>(groups))
      return emitOpError() << "id " << static_cast<int64_t>(id) << " is none of " << groups;
  Tensor order(ids.shape), starts({groups + 1});
  int64_t place = 0;
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < ids.size(); ++row)
      if (static_cast<int64_t>(ids.data[row]) == group)
        order.data[place++] = static_cast<double>(row);
    starts.data[group + 1] = static_cast<double>(place);
  }
  results.push_back(std::move(order));
  results.push_back(std::move(starts));
  return success();
}

LogicalResult GroupRowsOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return success(); // numbers of rows
}

LogicalResult ExpertMatmulOp::infer(Adaptor op, std::optional<Location> loc,
                                    SmallVectorImpl<Type> &types) {
  FailureOr<int64_t> experts = expertsOf(loc, op.getStarts());
  if (failed(experts) || failed(checkRows(loc, "x", op.getX(), op.getOrder())))
    return failure();
  Shape x = shapeOf(op.getX()), w = shapeOf(op.getW());
  bool fits = w.size() == 3 && w[0] == Dim(*experts) && w[op.getTransposeB() ? 2 : 1] == x.back();
  if (!fits || elementOf(op.getX()) != elementOf(op.getW()))
    return emitOptionalError(loc, "weights of ", *experts, " experts for x ", toString(x), " of ",
                             elementOf(op.getX()), " are ",
                             op.getTransposeB() ? "[E, N, K]" : "[E, K, N]", ", got ", toString(w),
                             " of ", elementOf(op.getW()));
  Shape y = shapeOf(op.getOrder());
  y.push_back(w[op.getTransposeB() ? 1 : 2]);
  types.push_back(tensorType(y, accumulatorOf(elementOf(op.getX()))));
  return success();
}

LogicalResult ExpertMatmulOp::evaluate(ArrayRef<const Tensor *> operands,
                                       SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0], &w = *operands[1];
  auto shape = operands[2]->shape;
  int64_t depth = x.lastDim(), columns = w.shape[getTransposeB() ? 1 : 2];
  shape.push_back(columns);
  Tensor y(shape);
  auto visit = [&](int64_t expert, int64_t row) {
    const double *weights = &w.data[expert * depth * columns];
    for (int64_t n = 0; n < columns; ++n)
      for (int64_t k = 0; k < depth; ++k)
        y.data[row * columns + n] +=
            rowOf(x, row)[k] * weights[getTransposeB() ? n * depth + k : k * columns + n];
  };
  if (failed(forEachRow(*this, *operands[2], *operands[3], visit)))
    return failure();
  results.push_back(std::move(y));
  return success();
}

// As a product's: dx = dy w^T, dw = x^T dy, each with the expert's own w.
LogicalResult ExpertMatmulOp::adjoint(GraphBuilder &g, ValueRange dys, MutableArrayRef<Value> d) {
  Type element = elementOf(getX());
  Value dy = g.convert(dys[0], element);
  d[0] = sumShared(g, multiply(g, dy, getW(), getOrder(), getStarts(), !getTransposeB()), getX());
  Value left = getX(), right = dy;
  if (getTransposeB())
    std::swap(left, right);
  d[1] = g.convert(g.b.create<ExpertOuterOp>(g.loc, left, right, getOrder(), getStarts()), element);
  return success();
}

LogicalResult ExpertOuterOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  FailureOr<int64_t> experts = expertsOf(loc, op.getStarts());
  if (failed(experts) || failed(checkRows(loc, "a", op.getA(), op.getOrder())) ||
      failed(checkRows(loc, "b", op.getB(), op.getOrder())))
    return failure();
  if (elementOf(op.getA()) != elementOf(op.getB()))
    return emitOptionalError(loc, "expert_outer of ", elementOf(op.getA()), " and ",
                             elementOf(op.getB()));
  Shape y = {Dim(*experts), shapeOf(op.getA()).back(), shapeOf(op.getB()).back()};
  types.push_back(tensorType(y, accumulatorOf(elementOf(op.getA()))));
  return success();
}

LogicalResult ExpertOuterOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  const Tensor &a = *operands[0], &b = *operands[1];
  int64_t m = a.lastDim(), n = b.lastDim();
  Tensor y({operands[3]->size() - 1, m, n});
  auto visit = [&](int64_t expert, int64_t row) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        y.data[(expert * m + i) * n + j] += rowOf(a, row)[i] * rowOf(b, row)[j];
  };
  if (failed(forEachRow(*this, *operands[2], *operands[3], visit)))
    return failure();
  results.push_back(std::move(y));
  return success();
}

LogicalResult ExpertOuterOp::adjoint(GraphBuilder &g, ValueRange dys, MutableArrayRef<Value> d) {
  Value dy = g.convert(dys[0], elementOf(getA()));
  d[0] = sumShared(g, multiply(g, getB(), dy, getOrder(), getStarts(), true), getA());
  d[1] = sumShared(g, multiply(g, getA(), dy, getOrder(), getStarts(), false), getB());
  return success();
}

} // namespace lmc::lm
