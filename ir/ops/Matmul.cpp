#include "ir/Dialect.h"
#include "ir/Panels.h"

using namespace mlir;

namespace lmc::lm {

/// Where b is packed: y is a's rows by the matrix's columns.
static LogicalResult inferPacked(MatmulOp::Adaptor op, std::optional<Location> loc,
                                 SmallVectorImpl<Type> &types) {
  Shape a = shapeOf(op.getA()), b = shapeOf(op.getB());
  bool isStatic = llvm::all_of(b, [](const Dim &dim) { return dim.isStatic(); });
  if (op.getTransposeB() || b.size() != 3 || !isStatic || a.size() < 2 ||
      (op.getTransposeA() && a.size() > 2))
    return emitOptionalError(loc, "matmul of ", toString(a), " and panels ", toString(b),
                             ": panels are [count, depth, width] without transpose_b");
  Dim row = a[a.size() - 2], k = a.back();
  if (op.getTransposeA())
    std::swap(row, k);
  Panels panels{k.isStatic() ? k.size : -1, static_cast<int64_t>(*op.getPanelColumns()), b[2].size};
  if (panels.depth < 0 || panels.columns < 1 || panels.width < 1 || b[0].size != panels.count() ||
      b[1].size != panels.paddedDepth())
    return emitOptionalError(
        loc, "matmul of ", toString(a), op.getTransposeA() ? " transposed" : "", " and panels ",
        toString(b), ": they do not hold ", toString({k}), " x ", panels.columns, " elements");
  Shape y(ArrayRef<Dim>(a).drop_back(2));
  y.push_back(row);
  y.push_back(panels.columns);
  types.push_back(tensorType(y, accumulatorOf(elementOf(op.getA()))));
  return success();
}

LogicalResult MatmulOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  Shape a = shapeOf(op.getA()), b = shapeOf(op.getB());
  if (elementOf(op.getA()) != elementOf(op.getB()))
    return emitOptionalError(loc, "matmul of ", elementOf(op.getA()), " and ",
                             elementOf(op.getB()));
  if (op.getPanelColumns())
    return inferPacked(op, loc, types);
  if (a.size() < 2 || b.size() < 2 || (b.size() > 2 && a.size() != b.size()))
    return emitOptionalError(loc, "matmul of ", toString(a), " and ", toString(b),
                             ": ranks must be equal, or the right one 2");
  bool batched = b.size() > 2;
  if (batched && ArrayRef<Dim>(a).drop_back(2) != ArrayRef<Dim>(b).drop_back(2))
    return emitOptionalError(loc, "matmul batch dimensions differ: ", toString(a), " and ",
                             toString(b));
  if (op.getTransposeA() && a.size() > 2 && !batched)
    return emitOptionalError(loc, "matmul with transpose_a needs operands of one rank");
  auto split = [](const Shape &shape, bool transposed) {
    Dim row = shape[shape.size() - 2], column = shape.back();
    return transposed ? std::pair(column, row) : std::pair(row, column);
  };
  auto [m, k] = split(a, op.getTransposeA());
  auto [kb, n] = split(b, op.getTransposeB());
  if (k != kb)
    return emitOptionalError(loc, "matmul inner extents differ: ", toString(a),
                             op.getTransposeA() ? " transposed" : "", " and ", toString(b),
                             op.getTransposeB() ? " transposed" : "");
  Shape y(ArrayRef<Dim>(a).drop_back(2));
  y.push_back(m);
  y.push_back(n);
  types.push_back(tensorType(y, accumulatorOf(elementOf(op.getA()))));
  return success();
}

LogicalResult MatmulOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  const Tensor &a = *operands[0], &b = *operands[1];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape());
  int64_t rank = y.rank(), m = y.shape[rank - 2], n = y.shape[rank - 1];
  int64_t k = getTransposeA() ? a.shape[a.rank() - 2] : a.shape[a.rank() - 1];
  int64_t batches = m * n ? y.size() / (m * n) : 0;
  bool packed = getPanelColumns().has_value(), shared = packed || b.rank() == 2;
  Panels panels{k, n, packed ? b.shape[2] : 1};
  auto indexOfB = [&](int64_t l, int64_t j) {
    return packed ? panels.at(l, j) : getTransposeB() ? j * k + l : l * n + j;
  };
  for (int64_t batch = 0; batch < batches; ++batch) {
    const double *pa = a.data.data() + batch * m * k;
    const double *pb = b.data.data() + (shared ? 0 : batch * k * n);
    double *py = y.data.data() + batch * m * n;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t l = 0; l < k; ++l) {
        double left = getTransposeA() ? pa[l * m + i] : pa[i * k + l];
        for (int64_t j = 0; j < n; ++j)
          py[i * n + j] += left * pb[indexOfB(l, j)];
      }
  }
  results.push_back(std::move(y));
  return success();
}

// y = op(a) op(b):  d op(a) = dy op(b)^T,  d op(b) = op(a)^T dy, each transposed back where needed.
// Products of bf16 or f16 read dy in that type, as they read a and b.
LogicalResult MatmulOp::adjoint(GraphBuilder &g, ValueRange dys, MutableArrayRef<Value> d) {
  if (getPanelColumns())
    return notDifferentiable(*this, "differentiate before weights are packed");
  Value a = getA(), b = getB();
  Type element = elementOf(a);
  Value dy = g.convert(dys[0], element);
  bool ta = getTransposeA(), tb = getTransposeB();
  d[0] = g.convert(ta ? g.matmul(b, dy, tb, true) : g.matmul(dy, b, false, !tb), element);
  Shape shapeB = shapeOf(b);
  if (shapeB.size() == 2 && shapeOf(a).size() > 2) {
    // b is shared by all rows: its cotangent sums over them, one product over flattened rows.
    auto flat = [&](Value x) {
      Shape shape = shapeOf(x);
      auto [rows, symbols] = elementCount(ArrayRef<Dim>(shape).drop_back());
      assert(symbols.empty() && "differentiation needs static token counts");
      return g.reshape(x, {Dim(rows), shape.back()});
    };
    a = flat(a);
    dy = flat(dy);
  }
  d[1] = g.convert(tb ? g.matmul(dy, a, true, ta) : g.matmul(a, dy, !ta, false), element);
  return success();
}

} // namespace lmc::lm
