#include "ir/Dialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace lmc::lm {
namespace {

/// The windows of one spatial dimension: element j of window o is x[o * stride + j * dilation - low].
struct Window {
  int64_t size, stride, dilation, low, high;

  int64_t reach() const { return dilation * (size - 1); } ///< from the first element to the last
  bool isPadded() const { return low > 0 || high > 0; }
  bool isElement() const { return size == 1 && stride == 1 && !isPadded(); }
  /// Do windows lie side by side, without a rest?
  bool tiles(const Dim &extent) const {
    return size == stride && (dilation == 1 || size == 1) && !isPadded() && extent.isStatic() &&
           extent.size % size == 0;
  }
};
using Windows = SmallVector<Window, 2>;

constexpr int64_t kLargest = int64_t(1) << 30; ///< of an attribute: products of two fit in 64 bits

/// Reads the attributes of an op or of its adaptor; `sizes` has one number a spatial dimension.
template <typename Op> Windows windowsOf(Op op, ArrayRef<int64_t> sizes) {
  Windows windows;
  auto at = [](ArrayRef<int64_t> numbers, size_t i, int64_t otherwise) {
    return numbers.empty() ? otherwise : numbers[i];
  };
  for (auto [i, size] : llvm::enumerate(sizes))
    windows.push_back({size, at(op.getStrides(), i, 1), at(op.getDilations(), i, 1),
                       at(op.getPadLow(), i, 0), at(op.getPadHigh(), i, 0)});
  return windows;
}

template <typename Op>
LogicalResult checkWindows(Op op, ArrayRef<int64_t> sizes, std::optional<Location> loc) {
  for (auto [name, numbers] :
       {std::pair("strides", op.getStrides()), std::pair("dilations", op.getDilations()),
        std::pair("pad_low", op.getPadLow()), std::pair("pad_high", op.getPadHigh())})
    if (!numbers.empty() && numbers.size() != sizes.size())
      return emitOptionalError(loc, name, " has ", numbers.size(), " numbers for ", sizes.size(),
                               " spatial dimensions");
  for (const Window &w : windowsOf(op, sizes)) {
    bool fits = llvm::all_of(ArrayRef{w.size, w.stride, w.dilation, w.low, w.high},
                             [](int64_t number) { return number < kLargest; });
    if (!fits || w.size < 1 || w.stride < 1 || w.dilation < 1 || w.low < 0 || w.high < 0)
      return emitOptionalError(loc,
                               "windows need size, stride and dilation of 1 or more, padding of 0 "
                               "or more and numbers below 2^30, got size ",
                               w.size, ", stride ", w.stride, ", dilation ", w.dilation,
                               ", padding ", w.low, " and ", w.high);
  }
  return success();
}

/// How many windows there are along a dimension.
FailureOr<Dim> countOf(const Window &w, const Dim &extent, std::optional<Location> loc) {
  if (!extent.isStatic()) {
    if (w.stride == 1 && w.low + w.high == w.reach())
      return extent;
    return emitOptionalError(loc, "a symbolic dimension must keep its extent: '",
                             extent.symbol.getValue(), "' needs stride 1 and padding of ",
                             w.reach(), " in all, got stride ", w.stride, " and padding ", w.low,
                             " + ", w.high);
  }
  int64_t padded = extent.size + w.low + w.high;
  if (padded <= w.reach())
    return emitOptionalError(loc, "windows of size ", w.size, " and dilation ", w.dilation, " are ",
                             w.reach() + 1, " long, more than the extent ", extent.size,
                             " with padding ", w.low, " + ", w.high);
  return Dim((padded - w.reach() - 1) / w.stride + 1);
}

/// Fails where a window has no element but padding: it would have no maximum and no mean.
LogicalResult checkMeets(const Window &w, const Dim &extent, const Dim &count,
                         std::optional<Location> loc) {
  if (!extent.isStatic()) { // stride 1: window o meets x if element o belongs to it
    if (w.low % w.dilation == 0)
      return success();
    return emitOptionalError(loc, "windows of dilation ", w.dilation,
                             " over the symbolic dimension '", extent.symbol.getValue(),
                             "' need padding in front of whole dilations, got ", w.low);
  }
  auto meets = [&](int64_t window) {
    int64_t first = window * w.stride - w.low;
    int64_t skipped = first < 0 ? (-first + w.dilation - 1) / w.dilation : 0;
    return skipped < w.size && first + skipped * w.dilation < extent.size;
  };
  int64_t last = count.size - 1, missing = meets(last) ? -1 : last;
  for (int64_t o = 0; missing < 0 && o < last && o * w.stride < w.low; ++o) {
    if (!meets(o))
      missing = o;
    else if (w.dilation <= extent.size)
      break; // no step leads across x, and later windows begin closer to it
  }
  if (missing < 0)
    return success();
  return emitOptionalError(loc, "window ", missing, " of size ", w.size, ", dilation ", w.dilation,
                           " and stride ", w.stride, " has only padding: the extent is ",
                           extent.size, ", padding ", w.low, " + ", w.high);
}

/// Calls visit(row of y, tap, row of x) for each element of each window that lies in x. Rows and taps
/// are counted row-major.
void forEachTap(const Windows &windows, const Tensor &x, const Tensor &y,
                llvm::function_ref<void(int64_t, int64_t, int64_t)> visit) {
  size_t spatial = windows.size();
  int64_t rows = y.size() / y.lastDim(), taps = 1;
  for (const Window &w : windows)
    taps *= w.size;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t window = row, within = tap, source = 0, stride = 1;
      bool inside = true;
      for (size_t d = spatial; d-- > 0;) {
        const Window &w = windows[d];
        int64_t place = window % y.shape[d + 1] * w.stride + within % w.size * w.dilation - w.low;
        inside &= place >= 0 && place < x.shape[d + 1];
        source += place * stride;
        stride *= x.shape[d + 1];
        window /= y.shape[d + 1];
        within /= w.size;
      }
      if (inside)
        visit(row, tap, source + window * stride);
    }
}

/// x [N, S1, ..., Sk, ...] -> [N, O1, K1, ..., Ok, Kk, ...]: an index map, free inside a kernel.
Value takeWindows(GraphBuilder &g, Value x, const Windows &windows, ArrayRef<Dim> counts,
                  StringRef outside) {
  Shape from = shapeOf(x);
  auto spatial = static_cast<int64_t>(windows.size());
  Shape shape = {from[0]};
  SmallVector<int64_t> dims = {0};
  for (auto [i, w] : llvm::enumerate(windows)) {
    dims.push_back(static_cast<int64_t>(shape.size()));
    shape.append({from[i + 1], Dim(w.size)});
  }
  for (const Dim &dim : ArrayRef(from).drop_front(spatial + 1)) {
    dims.push_back(static_cast<int64_t>(shape.size()));
    shape.push_back(dim);
  }
  Value repeated = g.broadcast(x, shape, dims);
  for (auto [i, w] : llvm::enumerate(windows)) {
    int64_t dim = 1 + 2 * static_cast<int64_t>(i);
    shape[dim] = counts[i];
    repeated = g.b.create<SkewOp>(g.loc, tensorType(shape, elementOf(x)), repeated, dim, dim + 1,
                                  w.stride, w.dilation, -w.low, /*every=*/1, outside);
  }
  return repeated;
}

/// The dimensions K1, ..., Kk of takeWindows.
SmallVector<int64_t> tapDims(const Windows &windows) {
  SmallVector<int64_t> dims;
  for (size_t i = 0; i < windows.size(); ++i)
    dims.push_back(2 + 2 * static_cast<int64_t>(i));
  return dims;
}

/// The adjoint of a composite with one result as that of its parts.
LogicalResult adjointOfParts(CompositeOp op, GraphBuilder &g, Value dy, MutableArrayRef<Value> d) {
  Value y = op.decompose(g).front();
  llvm::SmallDenseSet<Value> operands(op->operand_begin(), op->operand_end());
  llvm::SetVector<Operation *> parts;
  SmallVector<Value> work = {y};
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!operands.contains(value) && parts.insert(value.getDefiningOp()))
      llvm::append_range(work, value.getDefiningOp()->getOperands());
  }
  SmallVector<Operation *> order = parts.takeVector();
  llvm::sort(order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  llvm::DenseSet<Value> active(operands.begin(), operands.end());
  for (Operation *part : order)
    if (llvm::any_of(part->getOperands(), [&](Value v) { return active.contains(v); }))
      active.insert(part->result_begin(), part->result_end());
  llvm::DenseMap<Value, Value> cotangents = {{y, dy}};
  for (Operation *part : llvm::reverse(order)) {
    Value cotangent = cotangents.lookup(part->getResult(0));
    if (!cotangent || !active.contains(part->getResult(0)))
      continue;
    SmallVector<Value> dOperands(part->getNumOperands());
    if (failed(cast<TensorOp>(part).adjoint(g, cotangent, dOperands)))
      return failure();
    for (auto [operand, more] : llvm::zip_equal(part->getOperands(), dOperands))
      if (active.contains(operand) && more) {
        Value &sum = cotangents[operand];
        sum = sum ? g.add(sum, more) : more;
      }
  }
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    d[i] = cotangents.lookup(operand);
  return success();
}

} // namespace

// ---- convolution -------------------------------------------------------------------------------

namespace {

/// w's leading dimensions.
SmallVector<int64_t> kernelOf(const Shape &w) {
  SmallVector<int64_t> sizes;
  for (const Dim &dim : ArrayRef(w).drop_back(2))
    sizes.push_back(dim.size);
  return sizes;
}

/// The number of windows as one dimension, where numbers and symbols allow that.
std::optional<Dim> positionsOf(ArrayRef<Dim> shape) {
  auto [count, symbols] = elementCount(shape);
  if (symbols.empty())
    return Dim(count);
  if (count == 1 && symbols.size() == 1)
    return Dim(symbols.front());
  return std::nullopt;
}

} // namespace

LogicalResult ConvolutionOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  Shape x = shapeOf(op.getX()), w = shapeOf(op.getW());
  int64_t groups = op.getGroups();
  auto isStatic = [](const Dim &dim) { return dim.isStatic(); };
  if (x.size() < 3 || w.size() != x.size() || !x.back().isStatic() || !llvm::all_of(w, isStatic) ||
      elementOf(op.getX()) != elementOf(op.getW()))
    return emitOptionalError(loc,
                             "convolution needs x [N, spatial..., C] and w [kernel..., C / groups, "
                             "F] of one element type, got ",
                             toString(x), " ", elementOf(op.getX()), " and ", toString(w), " ",
                             elementOf(op.getW()));
  int64_t channels = x.back().size, part = w[w.size() - 2].size, features = w.back().size;
  if (groups < 1 || channels % groups || features % groups || channels / groups != part)
    return emitOptionalError(
        loc, "convolution in ", groups, " groups of ", channels,
        " channels needs w [kernel..., C / groups, F] with as many groups of F, got ", toString(w));
  SmallVector<int64_t> sizes = kernelOf(w);
  if (failed(checkWindows(op, sizes, loc)))
    return failure();
  Shape y = {x.front()};
  for (auto [i, window] : llvm::enumerate(windowsOf(op, sizes))) {
    FailureOr<Dim> count = countOf(window, x[i + 1], loc);
    if (failed(count))
      return failure();
    y.push_back(*count);
  }
  bool isDepthwise = groups == channels && groups == features;
  if (groups > 1 && !isDepthwise && !positionsOf(y))
    return emitOptionalError(loc, "convolution in ", groups,
                             " groups of more than one channel needs a "
                             "known number of windows, got ",
                             toString(y));
  y.push_back(features);
  types.push_back(tensorType(y, accumulatorOf(elementOf(op.getX()))));
  return success();
}

LogicalResult ConvolutionOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0], &w = *operands[1];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape());
  int64_t C = x.lastDim(), F = y.lastDim(), groups = getGroups();
  int64_t partC = C / groups, partF = F / groups;
  Windows windows = windowsOf(*this, kernelOf(shapeOf(getW())));
  forEachTap(windows, x, y, [&](int64_t row, int64_t tap, int64_t source) {
    for (int64_t f = 0; f < F; ++f)
      for (int64_t c = 0; c < partC; ++c)
        y.data[row * F + f] +=
            x.data[source * C + f / partF * partC + c] * w.data[(tap * partC + c) * F + f];
  });
  results.push_back(std::move(y));
  return success();
}

bool ConvolutionOp::isDepthwise() {
  auto groups = Dim(static_cast<int64_t>(getGroups()));
  return shapeOf(getX()).back() == groups && shapeOf(getW()).back() == groups;
}

SmallVector<Value> ConvolutionOp::decompose(GraphBuilder &g) {
  Value x = getX(), w = getW();
  Shape in = shapeOf(x), out = shapeOf(getY()), kernel = shapeOf(w);
  int64_t C = in.back().size, F = out.back().size, groups = getGroups();
  Windows windows = windowsOf(*this, kernelOf(kernel));
  auto spatial = static_cast<int64_t>(windows.size());
  ArrayRef<Dim> counts = ArrayRef(out).slice(1, spatial);
  SmallVector<int64_t> taps = tapDims(windows);
  int64_t numTaps = 1;
  for (const Window &window : windows)
    numTaps *= window.size;

  if (isDepthwise()) { // a sum of products in place
    Type sums = elementOf(getY());
    Value read = g.convert(takeWindows(g, x, windows, counts, "zero"), sums);
    Shape plain(ArrayRef<Dim>(kernel).take_front(spatial));
    plain.push_back(C);
    SmallVector<int64_t> dims = taps;
    dims.push_back(2 * spatial + 1);
    Value weights = g.broadcast(g.convert(g.reshape(w, plain), sums), shapeOf(read), dims);
    return {g.sum(g.mul(read, weights), taps)};
  }

  // x's windows as rows of a product: [N, O1, ..., Ok, K1 ... Kk C], with groups [g, N O1 ... Ok, ...].
  if (groups > 1) {
    Shape parts(ArrayRef<Dim>(in).drop_back());
    parts.append({Dim(groups), Dim(C / groups)});
    x = g.reshape(x, parts);
  }
  bool isElement = llvm::all_of(windows, [](const Window &window) { return window.isElement(); });
  bool tiles = llvm::all_of(llvm::enumerate(windows),
                            [&](auto item) { return item.value().tiles(in[item.index() + 1]); });
  Value read;
  if (tiles) { // the elements lie in x as they do in its windows
    Shape shape = {in[0]};
    for (auto [i, window] : llvm::enumerate(windows))
      shape.append({counts[i], Dim(window.size)});
    llvm::append_range(shape, ArrayRef(shapeOf(x)).drop_front(spatial + 1));
    read = g.reshape(x, shape);
  } else {
    read = takeWindows(g, x, windows, counts, "zero");
  }
  SmallVector<int64_t> order;
  if (groups > 1)
    order.push_back(2 * spatial + 1);
  order.push_back(0);
  for (int64_t i = 0; i < spatial; ++i)
    order.push_back(1 + 2 * i);
  llvm::append_range(order, taps);
  order.push_back(static_cast<int64_t>(shapeOf(read).size()) - 1);
  ArrayRef<Dim> positions = ArrayRef(out).drop_back();
  if (groups == 1) {
    Shape rows(positions);
    rows.push_back(numTaps * C);
    read = isElement ? x : g.reshape(g.transpose(read, order), rows);
    return {g.matmul(read, g.reshape(w, {Dim(numTaps * C), Dim(F)}))};
  }
  Dim rows = *positionsOf(positions);
  read = g.reshape(g.transpose(read, order), {Dim(groups), rows, Dim(numTaps * (C / groups))});
  Value parts = g.reshape(w, {Dim(numTaps * (C / groups)), Dim(groups), Dim(F / groups)});
  Value y = g.matmul(read, g.transpose(parts, {1, 0, 2}));
  return {g.reshape(g.transpose(y, {1, 0, 2}), out)};
}

LogicalResult ConvolutionOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  return adjointOfParts(*this, g, dy[0], d);
}

// ---- pools -------------------------------------------------------------------------------------

namespace {

template <typename Adaptor>
LogicalResult inferPool(Adaptor op, std::optional<Location> loc, SmallVectorImpl<Type> &types) {
  Shape x = shapeOf(op.getX());
  ArrayRef<int64_t> sizes = op.getSize();
  if (sizes.empty() || x.size() != sizes.size() + 2)
    return emitOptionalError(loc, "a pool with windows of ", sizes.size(),
                             " dimensions needs x [N, spatial..., C], got ", toString(x));
  if (failed(checkWindows(op, sizes, loc)))
    return failure();
  Shape y = x;
  for (auto [i, window] : llvm::enumerate(windowsOf(op, sizes))) {
    FailureOr<Dim> count = countOf(window, x[i + 1], loc);
    if (failed(count) || failed(checkMeets(window, x[i + 1], *count, loc)))
      return failure();
    y[i + 1] = *count;
  }
  types.push_back(tensorType(y, elementOf(op.getX())));
  return success();
}

} // namespace

LogicalResult MaxPoolOp::infer(Adaptor op, std::optional<Location> loc,
                               SmallVectorImpl<Type> &types) {
  return inferPool(op, loc, types);
}
LogicalResult MaxPoolOp::evaluate(ArrayRef<const Tensor *> operands,
                                  SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape(),
           -std::numeric_limits<double>::infinity());
  int64_t C = x.lastDim();
  forEachTap(windowsOf(*this, getSize()), x, y, [&](int64_t row, int64_t, int64_t source) {
    for (int64_t c = 0; c < C; ++c) {
      double &largest = y.data[row * C + c], element = x.data[source * C + c];
      if (element > largest || std::isnan(element))
        largest = element;
    }
  });
  results.push_back(std::move(y));
  return success();
}
SmallVector<Value> MaxPoolOp::decompose(GraphBuilder &g) {
  Windows windows = windowsOf(*this, getSize());
  Shape out = shapeOf(getY());
  Value read = takeWindows(g, getX(), windows, ArrayRef(out).slice(1, windows.size()), "lowest");
  return {g.max(read, tapDims(windows))};
}
LogicalResult MaxPoolOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  return adjointOfParts(*this, g, dy[0], d);
}

LogicalResult AveragePoolOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  return inferPool(op, loc, types);
}
LogicalResult AveragePoolOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  Tensor y(cast<RankedTensorType>(getY().getType()).getShape());
  int64_t C = x.lastDim();
  std::vector<double> counts(y.size() / C, 0);
  forEachTap(windowsOf(*this, getSize()), x, y, [&](int64_t row, int64_t, int64_t source) {
    counts[row] += 1;
    for (int64_t c = 0; c < C; ++c)
      y.data[row * C + c] += x.data[source * C + c];
  });
  for (int64_t i = 0; i < y.size(); ++i)
    y.data[i] /= counts[i / C];
  results.push_back(std::move(y));
  return success();
}
SmallVector<Value> AveragePoolOp::decompose(GraphBuilder &g) {
  Windows windows = windowsOf(*this, getSize());
  Shape in = shapeOf(getX()), out = shapeOf(getY());
  auto counts = ArrayRef<Dim>(out).slice(1, windows.size());
  Type sums = accumulatorOf(elementOf(getX()));
  auto sumOf = [&](Value x) {
    return g.sum(takeWindows(g, x, windows, counts, "zero"), tapDims(windows));
  };
  Value sum = sumOf(g.convert(getX(), sums));
  if (llvm::none_of(windows, [](const Window &window) { return window.isPadded(); })) {
    double elements = 1;
    for (const Window &window : windows)
      elements *= static_cast<double>(window.size);
    return {g.convert(g.mul(sum, 1 / elements), elementOf(getX()))};
  }
  // How many elements of each window lie in x: the sums over ones, the same for all channels.
  Shape one = in;
  one.front() = 1;
  one.back() = 1;
  return {g.convert(g.div(sum, sumOf(g.full(1, tensorType(one, sums)))), elementOf(getX()))};
}
LogicalResult AveragePoolOp::adjoint(GraphBuilder &g, ValueRange dy, MutableArrayRef<Value> d) {
  return adjointOfParts(*this, g, dy[0], d);
}

} // namespace lmc::lm
