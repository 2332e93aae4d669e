#include "ir/Dialect.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlir;

namespace lmc::lm {
namespace {

SmallVector<int64_t> stridesOf(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t i = static_cast<int64_t>(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/// y[i] = x[offset + sum of i_d * strides[d]].
Tensor readStrided(const Tensor &x, ArrayRef<int64_t> shape, ArrayRef<int64_t> strides,
                   int64_t offset = 0) {
  Tensor y(shape);
  SmallVector<int64_t> index(shape.size(), 0);
  for (double &element : y.data) {
    int64_t at = offset;
    for (size_t d = 0; d < shape.size(); ++d)
      at += index[d] * strides[d];
    element = x.data[at];
    for (int64_t d = static_cast<int64_t>(shape.size()) - 1; d >= 0 && ++index[d] == shape[d]; --d)
      index[d] = 0;
  }
  return y;
}

ArrayRef<int64_t> staticShape(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

} // namespace

// ---- constant ----------------------------------------------------------------------------------

LogicalResult ConstantOp::infer(Adaptor op, std::optional<Location> loc,
                                SmallVectorImpl<Type> &types) {
  types.push_back(op.getValue().getType());
  if (!isa<DenseElementsAttr>(op.getValue()))
    return emitOptionalError(loc, "constant needs dense elements");
  return success();
}
OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }
LogicalResult ConstantOp::evaluate(ArrayRef<const Tensor *>, SmallVectorImpl<Tensor> &results) {
  Tensor y(staticShape(getY()));
  auto values = cast<DenseElementsAttr>(getValue());
  if (isa<FloatType>(values.getElementType())) {
    for (auto [element, value] : llvm::zip(y.data, values.getValues<APFloat>())) {
      APFloat wide = value;
      bool loses;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      element = wide.convertToDouble();
    }
  } else {
    for (auto [element, value] : llvm::zip(y.data, values.getValues<APInt>()))
      element =
          value.getBitWidth() == 1 ? value.isOne() : static_cast<double>(value.getSExtValue());
  }
  results.push_back(std::move(y));
  return success();
}
LogicalResult ConstantOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return success(); // no operands
}

// ---- iota --------------------------------------------------------------------------------------

LogicalResult IotaOp::verify() {
  int64_t dim = getDim();
  if (dim < 0 || dim >= static_cast<int64_t>(shapeOf(getY()).size()))
    return emitOpError() << "dimension " << dim << " of " << toString(shapeOf(getY()));
  return success();
}
LogicalResult IotaOp::evaluate(ArrayRef<const Tensor *>, SmallVectorImpl<Tensor> &results) {
  Tensor y(staticShape(getY()));
  int64_t stride = stridesOf(y.shape)[getDim()], extent = y.shape[getDim()];
  for (int64_t i = 0; i < y.size(); ++i)
    y.data[i] = static_cast<double>(i / stride % extent);
  results.push_back(std::move(y));
  return success();
}
LogicalResult IotaOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return success(); // no operands
}

// ---- broadcast ---------------------------------------------------------------------------------

LogicalResult BroadcastOp::verify() {
  Shape from = shapeOf(getX()), to = shapeOf(getY());
  if (elementOf(getX()) != elementOf(getY()))
    return emitOpError() << "changes the element type";
  if (getDims().size() != from.size())
    return emitOpError() << "names " << getDims().size() << " dimensions for an operand of rank "
                         << from.size();
  int64_t previous = -1;
  for (auto [extent, dim] : llvm::zip(from, getDims())) {
    if (dim <= previous || dim >= static_cast<int64_t>(to.size()))
      return emitOpError() << "dimensions must rise strictly below rank " << to.size();
    previous = dim;
    if (extent != to[dim] && extent != Dim(1))
      return emitOpError() << "operand " << toString(from) << " does not fit dimension " << dim
                           << " of " << toString(to);
  }
  return success();
}
OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  return getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult();
}
LogicalResult BroadcastOp::evaluate(ArrayRef<const Tensor *> operands,
                                    SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  SmallVector<int64_t> own = stridesOf(x.shape), strides(staticShape(getY()).size(), 0);
  for (auto [i, dim] : llvm::enumerate(getDims()))
    strides[dim] = x.shape[i] == 1 ? 0 : own[i];
  results.push_back(readStrided(x, staticShape(getY()), strides));
  return success();
}
LogicalResult BroadcastOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  Shape from = shapeOf(getX()), to = shapeOf(getY());
  SmallVector<int64_t> summed;
  for (int64_t dim = 0; dim < static_cast<int64_t>(to.size()); ++dim) {
    auto *at = llvm::find(getDims(), dim);
    if (at == getDims().end() || (from[at - getDims().begin()] == Dim(1) && to[dim] != Dim(1)))
      summed.push_back(dim);
  }
  d[0] = g.reshape(g.sum(dy[0], summed), from); // puts repeated unit dimensions back
  return success();
}

// ---- reshape -----------------------------------------------------------------------------------

LogicalResult ReshapeOp::verify() {
  if (elementOf(getX()) != elementOf(getY()))
    return emitOpError() << "changes the element type";
  if (elementCount(shapeOf(getX())) != elementCount(shapeOf(getY())))
    return emitOpError() << "has other element counts: " << toString(shapeOf(getX())) << " to "
                         << toString(shapeOf(getY()));
  return success();
}
OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  if (getX().getType() == getY().getType())
    return getX();
  if (auto inner = getX().getDefiningOp<ReshapeOp>()) {
    getXMutable().assign(inner.getX());
    return getY();
  }
  return {};
}
LogicalResult ReshapeOp::evaluate(ArrayRef<const Tensor *> operands,
                                  SmallVectorImpl<Tensor> &results) {
  results.push_back(Tensor(staticShape(getY()), operands[0]->data));
  return success();
}
LogicalResult ReshapeOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  d[0] = g.reshape(dy[0], shapeOf(getX()));
  return success();
}

// ---- transpose ---------------------------------------------------------------------------------

LogicalResult TransposeOp::infer(Adaptor op, std::optional<Location> loc,
                                 SmallVectorImpl<Type> &types) {
  Shape from = shapeOf(op.getX()), to;
  auto sorted = llvm::to_vector(op.getPermutation());
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, from.size())))
    return emitOptionalError(loc, "not a permutation of the ", from.size(), " dimensions");
  for (int64_t dim : op.getPermutation())
    to.push_back(from[dim]);
  types.push_back(tensorType(to, elementOf(op.getX())));
  return success();
}
OpFoldResult TransposeOp::fold(FoldAdaptor) {
  return llvm::is_sorted(getPermutation()) ? OpFoldResult(getX()) : OpFoldResult();
}
LogicalResult TransposeOp::evaluate(ArrayRef<const Tensor *> operands,
                                    SmallVectorImpl<Tensor> &results) {
  SmallVector<int64_t> own = stridesOf(operands[0]->shape), strides;
  SmallVector<int64_t> shape;
  for (int64_t dim : getPermutation()) {
    strides.push_back(own[dim]);
    shape.push_back(operands[0]->shape[dim]);
  }
  results.push_back(readStrided(*operands[0], shape, strides));
  return success();
}
LogicalResult TransposeOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  SmallVector<int64_t> inverse(getPermutation().size());
  for (auto [i, dim] : llvm::enumerate(getPermutation()))
    inverse[dim] = i;
  d[0] = g.transpose(dy[0], inverse);
  return success();
}

// ---- slice -------------------------------------------------------------------------------------

LogicalResult SliceOp::infer(Adaptor op, std::optional<Location> loc,
                             SmallVectorImpl<Type> &types) {
  Shape shape = shapeOf(op.getX());
  int64_t dim = op.getDim(), start = op.getStart(), size = op.getSize();
  if (dim < 0 || dim >= static_cast<int64_t>(shape.size()) || !shape[dim].isStatic())
    return emitOptionalError(loc, "slice needs a static dimension, got ", dim, " of ",
                             toString(shape));
  if (start < 0 || size < 1 || start > shape[dim].size - size)
    return emitOptionalError(loc, "slice [", start, ", ", start, " + ", size,
                             ") leaves the extent ", shape[dim].size);
  shape[dim] = size;
  types.push_back(tensorType(shape, elementOf(op.getX())));
  return success();
}
OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult();
}
LogicalResult SliceOp::evaluate(ArrayRef<const Tensor *> operands,
                                SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  SmallVector<int64_t> strides = stridesOf(x.shape), shape(x.shape.begin(), x.shape.end());
  shape[getDim()] = getSize();
  results.push_back(readStrided(x, shape, strides, getStart() * strides[getDim()]));
  return success();
}
LogicalResult SliceOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  // Zeros on both sides of the cotangent.
  Shape shape = shapeOf(getX());
  int64_t extent = shape[getDim()].size, start = getStart(), end = start + getSize();
  SmallVector<Value> parts;
  auto zeros = [&](int64_t size) {
    Shape part = shape;
    part[getDim()] = size;
    return g.full(0, tensorType(part, elementOf(getX())));
  };
  if (start > 0)
    parts.push_back(zeros(start));
  parts.push_back(dy[0]);
  if (end < extent)
    parts.push_back(zeros(extent - end));
  d[0] = parts.size() == 1 ? parts[0] : g.concat(parts, getDim());
  return success();
}

// ---- skew --------------------------------------------------------------------------------------

/// Attributes below this do not overflow index arithmetic.
static constexpr int64_t kLargestStep = int64_t(1) << 31;

LogicalResult SkewOp::verify() {
  Shape from = shapeOf(getX()), to = shapeOf(getY());
  int64_t rank = static_cast<int64_t>(from.size()), dim = getDim(), by = getBy();
  if (elementOf(getX()) != elementOf(getY()))
    return emitOpError() << "changes the element type";
  if (dim < 0 || dim >= rank || by < 0 || by >= rank || dim == by)
    return emitOpError() << "needs two dimensions of " << toString(from) << ", got " << dim
                         << " and " << by;
  Shape expected = from;
  if (to.size() == from.size())
    expected[dim] = to[dim];
  if (to != expected)
    return emitOpError() << "of " << toString(from) << " changes more than dimension " << dim
                         << ": " << toString(to);
  int64_t step = getStep(), slope = getSlope(), start = getStart(), every = getEvery();
  if (step < 1 || every < 1 ||
      llvm::any_of(
          ArrayRef<int64_t>{step, every, slope, start},
          [](int64_t value) { return value <= -kLargestStep || value >= kLargestStep; }))
    return emitOpError() << "needs step and every of 1 or more and no number of 2^31 or more, got "
                         << step << ", " << every << ", slope " << slope << ", start " << start;
  if (getOutside() != "zero" && getOutside() != "lowest")
    return emitOpError() << "outside must be zero or lowest, got '" << getOutside() << "'";
  return success();
}
OpFoldResult SkewOp::fold(FoldAdaptor) {
  bool moves = getStep() != 1 || getStart() != 0 || getEvery() != 1 ||
               (getSlope() != 0 && shapeOf(getX())[getBy()] != Dim(1));
  return getX().getType() == getY().getType() && !moves ? OpFoldResult(getX()) : OpFoldResult();
}
bool SkewOp::staysInside() {
  Dim from = shapeOf(getX())[getDim()], to = shapeOf(getY())[getDim()],
      by = shapeOf(getY())[getBy()];
  if (!from.isStatic() || !to.isStatic() || !by.isStatic() || getEvery() != 1)
    return false;
  int64_t start = getStart(), skewed = (by.size - 1) * static_cast<int64_t>(getSlope());
  int64_t last = start + (to.size - 1) * static_cast<int64_t>(getStep());
  return start + std::min<int64_t>(skewed, 0) >= 0 &&
         last + std::max<int64_t>(skewed, 0) < from.size;
}
LogicalResult SkewOp::evaluate(ArrayRef<const Tensor *> operands,
                               SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  double outside = 0;
  if (isLowestOutside()) {
    auto integer = dyn_cast<IntegerType>(elementOf(getX()));
    outside = integer ? -std::ldexp(1.0, static_cast<int>(integer.getWidth()) - 1)
                      : -std::numeric_limits<double>::infinity();
  }
  Tensor y(staticShape(getY()));
  int64_t step = getStep(), slope = getSlope(), start = getStart(), every = getEvery();
  SmallVector<int64_t> strides = stridesOf(x.shape), index(y.rank(), 0);
  for (double &element : y.data) {
    int64_t place = index[getDim()] * step + index[getBy()] * slope + start;
    int64_t at = place / every;
    if (place < 0 || place % every || at >= x.shape[getDim()]) {
      element = outside;
    } else {
      int64_t offset = 0;
      for (int64_t d = 0; d < y.rank(); ++d)
        offset += (d == static_cast<int64_t>(getDim()) ? at : index[d]) * strides[d];
      element = x.data[offset];
    }
    for (int64_t d = y.rank() - 1; d >= 0 && ++index[d] == y.shape[d]; --d)
      index[d] = 0;
  }
  results.push_back(std::move(y));
  return success();
}
LogicalResult SkewOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  // For each j an element of x goes to at most one place: k = (i step + j slope + start) / every
  // means i = (k every - j slope - start) / step.
  d[0] = g.b.create<SkewOp>(g.loc, getX().getType(), dy[0], getDim(), getBy(), getEvery(),
                            -static_cast<int64_t>(getSlope()), -static_cast<int64_t>(getStart()),
                            getStep(), "zero");
  return success();
}

// ---- concat ------------------------------------------------------------------------------------

LogicalResult ConcatOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  if (op.getXs().empty())
    return emitOptionalError(loc, "concat of nothing");
  Shape shape = shapeOf(op.getXs().front());
  int64_t dim = op.getDim(), extent = 0;
  if (dim < 0 || dim >= static_cast<int64_t>(shape.size()))
    return emitOptionalError(loc, "concat along dimension ", dim, " of ", toString(shape));
  for (Value x : op.getXs()) {
    Shape part = shapeOf(x);
    if (part.size() != shape.size() || !part[dim].isStatic() ||
        elementOf(x) != elementOf(op.getXs().front()))
      return emitOptionalError(loc, "concat of ", toString(shape), " and ", toString(part));
    extent += part[dim].size;
    part[dim] = shape[dim];
    if (part != shape)
      return emitOptionalError(loc, "concat of ", toString(shape), " and ", toString(shapeOf(x)));
  }
  shape[dim] = extent;
  types.push_back(tensorType(shape, elementOf(op.getXs().front())));
  return success();
}
LogicalResult ConcatOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  Tensor y(staticShape(getY()));
  int64_t inner = stridesOf(y.shape)[getDim()];
  int64_t outer = y.size() / (inner * y.shape[getDim()]);
  auto at = y.data.begin();
  for (int64_t o = 0; o < outer; ++o)
    for (const Tensor *x : operands) {
      int64_t run = inner * x->shape[getDim()];
      at = std::copy_n(x->data.begin() + o * run, run, at);
    }
  results.push_back(std::move(y));
  return success();
}
LogicalResult ConcatOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  int64_t start = 0;
  for (auto [i, x] : llvm::enumerate(getXs())) {
    int64_t size = shapeOf(x)[getDim()].size;
    d[i] = g.slice(dy[0], getDim(), start, size);
    start += size;
  }
  return success();
}

} // namespace lmc::lm
