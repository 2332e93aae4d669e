#include "ir/GraphBuilder.h"

#include "ir/Dialect.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::lm {

GraphBuilder GraphBuilder::at(StringRef path) const {
  return GraphBuilder(b, NameLoc::get(b.getStringAttr(path)));
}

Value GraphBuilder::full(double value, Type type) {
  auto tensor = cast<RankedTensorType>(type);
  if (tensor.getRank())
    return broadcast(scalar(value, tensor.getElementType()), shapeOf(type), {});
  return scalar(value, tensor.getElementType());
}

Value GraphBuilder::scalar(double value, Type element) {
  auto type = RankedTensorType::get({}, element);
  DenseElementsAttr attr;
  if (auto floating = dyn_cast<FloatType>(element)) {
    APFloat number(value);
    bool loses;
    number.convert(floating.getFloatSemantics(), APFloat::rmNearestTiesToEven, &loses);
    attr = DenseElementsAttr::get(type, number);
  } else {
    attr = DenseElementsAttr::get(
        type, APInt(element.getIntOrFloatBitWidth(), static_cast<int64_t>(value), true));
  }
  return b.create<ConstantOp>(loc, attr);
}

Value GraphBuilder::vector(ArrayRef<float> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())}, b.getF32Type());
  return b.create<ConstantOp>(loc, DenseElementsAttr::get(type, values));
}

Value GraphBuilder::iota(RankedTensorType type, int64_t dim) {
  return b.create<IotaOp>(loc, type, dim);
}

Value GraphBuilder::neg(Value x) { return b.create<NegOp>(loc, x); }
Value GraphBuilder::abs(Value x) { return b.create<AbsOp>(loc, x); }
Value GraphBuilder::exp(Value x) { return b.create<ExpOp>(loc, x); }
Value GraphBuilder::expm1(Value x) { return b.create<Expm1Op>(loc, x); }
Value GraphBuilder::log(Value x) { return b.create<LogOp>(loc, x); }
Value GraphBuilder::tanh(Value x) { return b.create<TanhOp>(loc, x); }
Value GraphBuilder::erf(Value x) { return b.create<ErfOp>(loc, x); }
Value GraphBuilder::sqrt(Value x) { return b.create<SqrtOp>(loc, x); }
Value GraphBuilder::rsqrt(Value x) { return b.create<RsqrtOp>(loc, x); }
Value GraphBuilder::sin(Value x) { return b.create<SinOp>(loc, x); }
Value GraphBuilder::cos(Value x) { return b.create<CosOp>(loc, x); }
Value GraphBuilder::isFinite(Value x) { return b.create<IsFiniteOp>(loc, x); }

Value GraphBuilder::convert(Value x, Type element) {
  if (elementOf(x) == element)
    return x;
  return b.create<ConvertOp>(loc, tensorType(shapeOf(x), element), x);
}

std::pair<Value, Value> GraphBuilder::aligned(Value x, Value y) {
  Shape shapeX = shapeOf(x), shapeY = shapeOf(y);
  if (shapeX == shapeY)
    return {x, y};
  // The result has the longer shape; extent 1 yields to the other operand's.
  Shape result = shapeX.size() >= shapeY.size() ? shapeX : shapeY;
  const Shape &other = shapeX.size() >= shapeY.size() ? shapeY : shapeX;
  size_t offset = result.size() - other.size();
  for (size_t i = 0; i < other.size(); ++i)
    if (result[offset + i] == Dim(1))
      result[offset + i] = other[i];
  return {broadcastTo(x, result), broadcastTo(y, result)};
}

Value GraphBuilder::add(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<AddOp>(loc, x, y);
}
Value GraphBuilder::sub(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<SubOp>(loc, x, y);
}
Value GraphBuilder::mul(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<MulOp>(loc, x, y);
}
Value GraphBuilder::div(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<DivOp>(loc, x, y);
}
Value GraphBuilder::maximum(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<MaximumOp>(loc, x, y);
}
Value GraphBuilder::minimum(Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<MinimumOp>(loc, x, y);
}
Value GraphBuilder::compare(StringRef predicate, Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<CompareOp>(loc, x, y, b.getStringAttr(predicate));
}

Value GraphBuilder::select(Value condition, Value x, Value y) {
  std::tie(x, y) = aligned(x, y);
  return b.create<SelectOp>(loc, broadcastTo(condition, shapeOf(x)), x, y);
}

Value GraphBuilder::reshape(Value x, ArrayRef<Dim> shape) {
  if (ArrayRef<Dim>(shapeOf(x)) == shape)
    return x;
  return b.create<ReshapeOp>(loc, tensorType(shape, elementOf(x)), x);
}

Value GraphBuilder::transpose(Value x, ArrayRef<int64_t> permutation) {
  return b.create<TransposeOp>(loc, x, b.getDenseI64ArrayAttr(permutation));
}

Value GraphBuilder::slice(Value x, int64_t dim, int64_t start, int64_t size) {
  return b.create<SliceOp>(loc, x, dim, start, size);
}

Value GraphBuilder::concat(ArrayRef<Value> xs, int64_t dim) {
  return b.create<ConcatOp>(loc, ValueRange(xs), dim);
}

Value GraphBuilder::broadcast(Value x, ArrayRef<Dim> shape, ArrayRef<int64_t> dims) {
  return b.create<BroadcastOp>(loc, tensorType(shape, elementOf(x)), x,
                               b.getDenseI64ArrayAttr(dims));
}

Value GraphBuilder::broadcastTo(Value x, ArrayRef<Dim> shape) {
  Shape own = shapeOf(x);
  if (ArrayRef<Dim>(own) == shape)
    return x;
  int64_t offset = static_cast<int64_t>(shape.size()) - static_cast<int64_t>(own.size());
  SmallVector<int64_t> dims;
  for (int64_t i = 0; i < static_cast<int64_t>(own.size()); ++i)
    dims.push_back(offset + i);
  return broadcast(x, shape, dims);
}

Value GraphBuilder::perRow(Value x, Value like) {
  SmallVector<int64_t> dims;
  for (int64_t i = 0; i < static_cast<int64_t>(shapeOf(x).size()); ++i)
    dims.push_back(i);
  return broadcast(x, shapeOf(like), dims);
}

Value GraphBuilder::reduce(StringRef kind, Value x, ArrayRef<int64_t> dims) {
  int64_t rank = shapeOf(x).size();
  SmallVector<int64_t> positive;
  for (int64_t dim : dims)
    positive.push_back(dim < 0 ? dim + rank : dim);
  llvm::sort(positive);
  if (positive.empty())
    return x;
  return b.create<ReduceOp>(loc, x, b.getStringAttr(kind), b.getDenseI64ArrayAttr(positive));
}

Value GraphBuilder::sum(Value x, ArrayRef<int64_t> dims) { return reduce("sum", x, dims); }
Value GraphBuilder::max(Value x, ArrayRef<int64_t> dims) { return reduce("max", x, dims); }

Value GraphBuilder::meanLast(Value x) {
  Dim last = shapeOf(x).back();
  assert(last.isStatic() && "mean over a symbolic dimension");
  return mul(sumLast(x), 1.0 / static_cast<double>(last.size));
}

Value GraphBuilder::sumAll(Value x) {
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, shapeOf(x).size()));
  return sum(x, dims);
}

Value GraphBuilder::sumLeading(Value x) {
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, shapeOf(x).size() - 1));
  return sum(x, dims);
}

Value GraphBuilder::matmul(Value a, Value c, bool transposeA, bool transposeB) {
  return b.create<MatmulOp>(loc, a, c, transposeA, transposeB, /*panel_columns=*/IntegerAttr());
}

} // namespace lmc::lm
