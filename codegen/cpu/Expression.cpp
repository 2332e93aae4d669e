#include "codegen/cpu/Expression.h"

#include "codegen/cpu/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

#include <set>
#include <tuple>

using namespace mlir;

namespace lmc::cpu {

Expression::Expression(Emit &emit, Block &body, const Symbols &symbols)
    : emit(emit), body(body), symbols(symbols) {}

Extent Expression::extent(const lm::Dim &dim) const {
  if (dim.isStatic())
    return Extent(dim.size);
  const Symbol &symbol = symbols.at(dim.symbol.getValue());
  return Extent::symbolic(symbol.dim, symbol.max);
}

Extent Expression::product(ArrayRef<lm::Dim> shape) const {
  Extent result(1);
  for (const lm::Dim &dim : shape) {
    Extent factor = extent(dim);
    result.factor *= factor.factor;
    result.max *= factor.max;
    result.dims.append(factor.dims.begin(), factor.dims.end());
  }
  return result;
}

SmallVector<Extent, 4> Expression::strides(ArrayRef<lm::Dim> shape) const {
  SmallVector<Extent, 4> result;
  for (size_t i = 0; i < shape.size(); ++i)
    result.push_back(product(shape.drop_front(i + 1)));
  return result;
}

void Expression::define(Value value, Value elements) {
  known.push_back({value, true, {}, 0, elements});
}

void Expression::define(Value value, const Index &index, Value elements) {
  known.push_back({value, false, index.at, index.lane, elements});
}

Value Expression::lookup(Value value, const Index &index) {
  for (const Known &entry : llvm::reverse(known))
    if (entry.value == value &&
        (entry.everywhere || (entry.lane == index.lane && entry.at == index.at)))
      return entry.elements;
  return {};
}

Value Expression::evaluate(Value value, const Index &index) {
  if (Value elements = lookup(value, index))
    return elements;
  Value elements = compute(value, index);
  define(value, index, elements);
  return elements;
}

Value Expression::evaluateLanes(Value value, const Index &index) {
  Value elements = evaluate(value, index);
  if (index.lane >= 0 && index.lanes.width > 1 && Emit::widthOf(elements) == 1)
    return emit.splat(elements, index.lanes.width);
  return elements;
}

std::optional<Index> Expression::viewIndex(Operation *op, const Index &index) {
  std::optional<Index> inner = lmc::viewIndex(
      op, index, [&] { return emit.i64(0); },
      [&](Value at, int64_t more) { return emit.add(at, more); });
  if (!inner)
    return inner;
  if (inner->lane < 0)
    inner->lanes = Lanes();
  if (auto slice = dyn_cast<lm::SliceOp>(op);
      slice && static_cast<int64_t>(slice.getDim()) == index.lane)
    inner->shiftBounds(slice.getStart());
  return inner;
}

Value Expression::compute(Value value, const Index &index) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return loadFrom(emit.buffer(argument.getArgNumber()), cast<RankedTensorType>(value.getType()),
                    index);
  Operation *op = value.getDefiningOp();
  if (std::optional<Index> inner = viewIndex(op, index))
    return evaluate(op->getOperand(0), *inner);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](lm::ConstantOp o) { return constant(o, index); })
      .Case([&](lm::IotaOp o) { return iota(o, index); })
      .Case([&](lm::ConcatOp o) { return concat(o, index); })
      .Case([&](lm::GatherOp o) { return gather(o, index); })
      .Case([&](lm::SkewOp o) { return skew(o, index); })
      .Case([&](lm::ReduceOp o) { return innerReduce(o, index); })
      .Default([&](Operation *o) { return pointwise(o, index); });
}

Value Expression::loadFrom(Value pointer, RankedTensorType type, const Index &index) {
  lm::Shape shape = lm::shapeOf(type);
  SmallVector<Extent, 4> steps = strides(shape);
  Value at = emit.i64(0);
  for (auto [i, step] : llvm::zip(index.at, steps))
    at = emit.add(at, emit.mul(i, step.emit(emit)));
  Type element = type.getElementType();
  if (index.lane < 0)
    return emit.load(element, pointer, at);
  if (steps[index.lane].is(1) || index.lanes.width == 1)
    return emit.load(element, pointer, at, index.lanes);
  return emit.loadStrided(element, pointer, at, steps[index.lane].emit(emit), index.lanes);
}

Value Expression::constant(lm::ConstantOp op, const Index &index) {
  auto values = cast<DenseElementsAttr>(op.getValue());
  Type compute = Emit::computeType(values.getElementType());
  if (values.isSplat()) {
    if (isa<FloatType>(compute)) {
      APFloat number = values.getSplatValue<APFloat>();
      bool loses;
      number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      return emit.constant(compute, number.convertToDouble());
    }
    APInt number = values.getSplatValue<APInt>();
    int64_t wide = number.getBitWidth() == 1 ? number.getZExtValue() : number.getSExtValue();
    return emit.constant(compute, static_cast<double>(wide));
  }
  return loadFrom(emit.table(values), cast<RankedTensorType>(op.getType()), index);
}

Value Expression::iota(lm::IotaOp op, const Index &index) {
  auto dim = static_cast<int>(op.getDim());
  Type element = lm::elementOf(op.getY());
  OpBuilder &b = emit.builder();
  // Counted in integers, converted at the end: exact as long as the element type is.
  Type integer = isa<FloatType>(element) ? b.getI32Type() : element;
  Value first = index.at[dim];
  if (!integer.isInteger(64))
    first = b.create<arith::TruncIOp>(emit.loc(), integer, first);
  if (dim == index.lane && index.lanes.width > 1)
    first = b.create<arith::AddIOp>(emit.loc(), emit.splat(first, index.lanes.width),
                                    emit.iota(integer, index.lanes.width));
  if (!isa<FloatType>(element))
    return first;
  Type result = Emit::vectorOf(Emit::computeType(element), Emit::widthOf(first));
  return b.create<arith::SIToFPOp>(emit.loc(), result, first);
}

Value Expression::pointwise(Operation *op, const Index &index) {
  auto rules = dyn_cast<lm::PointwiseOp>(op);
  assert(rules && "fusion put an op into a kernel that no family computes here");
  SmallVector<Value> operands;
  unsigned width = 1;
  for (Value operand : op->getOperands()) {
    operands.push_back(evaluate(operand, index));
    width = std::max(width, Emit::widthOf(operands.back()));
  }
  for (Value &operand : operands)
    if (width > 1 && Emit::widthOf(operand) == 1)
      operand = emit.splat(operand, width);
  Type element = lm::elementOf(op->getResult(0));
  Type result = Emit::vectorOf(Emit::computeType(element), width);
  Value elements = rules.scalarForm(emit.builder(), emit.loc(), operands, result);
  // Rounded wherever it is computed, so that fusion does not change numbers.
  auto convert = dyn_cast<lm::ConvertOp>(op);
  return convert && convert.roundsFloats() ? emit.rounded(element, elements) : elements;
}

Value Expression::concat(lm::ConcatOp op, const Index &index) {
  auto dim = static_cast<int>(op.getDim());
  SmallVector<int64_t> starts = {0};
  for (Value x : op.getXs())
    starts.push_back(starts.back() + lm::shapeOf(x)[dim].size);
  auto operandAt = [&](size_t i) {
    Index inner = index;
    inner.at[dim] = emit.sub(index.at[dim], emit.i64(starts[i]));
    if (dim == index.lane)
      inner.shiftBounds(-starts[i]);
    return evaluateLanes(op.getXs()[i], inner);
  };
  size_t last = op.getXs().size() - 1;
  if (dim == index.lane) {
    for (size_t i = 0; i <= last; ++i)
      if (index.low >= starts[i] && index.high <= starts[i + 1])
        return operandAt(i);
    if (index.lanes.width > 1)
      return concatLaneByLane(op, starts, index);
  }
  // One operand for all lanes, known when the kernel runs.
  std::function<Value(size_t)> pick = [&](size_t i) -> Value {
    Scope branch(*this);
    if (i == last)
      return operandAt(i);
    Value before = emit.less(index.at[dim], emit.i64(starts[i + 1]));
    return emit.choose(
        before,
        [&] {
          Scope inner(*this);
          return Emit::Values{operandAt(i)};
        },
        [&] { return Emit::Values{pick(i + 1)}; })[0];
  };
  return pick(0);
}

/// Where loops are not split at an operand's end: every operand is read under a mask.
Value Expression::concatLaneByLane(lm::ConcatOp op, ArrayRef<int64_t> starts, const Index &index) {
  OpBuilder &b = emit.builder();
  unsigned width = index.lanes.width;
  Value position = index.at[index.lane], elements;
  auto before = [&](int64_t bound) {
    return emit.firstLanes(emit.sub(emit.i64(bound), position), width);
  };
  for (auto [i, x] : llvm::enumerate(op.getXs())) {
    if (index.high <= starts[i] || index.low >= starts[i + 1])
      continue;
    Value inside = before(starts[i + 1]);
    Value none = b.create<arith::ConstantOp>(
        emit.loc(), DenseElementsAttr::get(cast<VectorType>(inside.getType()), false));
    inside = emit.select(before(starts[i]), none, inside);
    if (index.lanes.mask)
      inside = emit.select(index.lanes.mask, inside, none);
    Scope masked(*this); // other readers need other lanes
    Index inner = index;
    inner.at[index.lane] = emit.sub(position, emit.i64(starts[i]));
    inner.shiftBounds(-starts[i]);
    inner.lanes.mask = inside;
    Value own = evaluateLanes(x, inner);
    elements = elements ? emit.select(inside, own, elements) : own;
  }
  return elements;
}

Value Expression::gather(lm::GatherOp op, const Index &index) {
  auto last = static_cast<int>(index.at.size()) - 1;
  assert(index.lane < 0 || index.lane == last);
  Index ids = index;
  ids.at.pop_back();
  ids.lane = -1;
  ids.lanes = Lanes();
  Value id = evaluate(op.getIds(), ids);
  Index row = index;
  row.at = {emit.builder().create<arith::ExtSIOp>(emit.loc(), emit.i64Type(), id), index.at[last]};
  row.lane = index.lane < 0 ? -1 : 1;
  return evaluate(op.getTable(), row);
}

/// Reads x at the nearest place inside, so that there is no branch, and drops what lay outside.
Value Expression::skew(lm::SkewOp op, const Index &index) {
  auto dim = static_cast<int>(op.getDim()), by = static_cast<int>(op.getBy());
  int64_t slope = op.getSlope(), every = op.getEvery();
  bool lanesMove = index.lane >= 0 && index.lanes.width > 1 &&
                   (index.lane == dim || (index.lane == by && slope != 0));
  if (lanesMove)
    return skewLaneByLane(op, index);
  OpBuilder &b = emit.builder();
  Value place = emit.add(emit.mul(index.at[dim], static_cast<int64_t>(op.getStep())),
                         static_cast<int64_t>(op.getStart()));
  if (slope != 0)
    place = emit.add(place, emit.mul(index.at[by], slope));
  Index inner = index;
  if (inner.lane == dim) {
    inner.lane = -1;
    inner.lanes = Lanes();
  }
  if (op.staysInside()) {
    inner.at[dim] = place;
    return evaluate(op.getX(), inner);
  }
  Value extent = this->extent(lm::shapeOf(op.getX())[dim]).emit(emit);
  Value positive = emit.max(place, emit.i64(0)), at = emit.div(positive, emit.i64(every));
  auto both = [&](Value x, Value y) { return b.createOrFold<arith::AndIOp>(emit.loc(), x, y); };
  Value inside = both(emit.equal(place, positive), emit.less(at, extent));
  if (every != 1)
    inside = both(inside, emit.equal(emit.mul(at, every), positive));
  inner.at[dim] = emit.min(at, emit.sub(extent, emit.i64(1)));
  Value elements = evaluate(op.getX(), inner);
  Type element = getElementTypeOrSelf(elements.getType());
  unsigned width = Emit::widthOf(elements);
  Value outside =
      op.isLowestOutside() ? lowest(emit, element, width) : emit.constant(element, 0, width);
  // A mask of equal lanes becomes part of the load; one condition would be a branch in the loop.
  return emit.select(emit.splat(inside, width), elements, outside);
}

/// Where the lanes lie apart or some of them outside: one element a lane.
Value Expression::skewLaneByLane(lm::SkewOp op, const Index &index) {
  // Lanes past the end repeat the last element; nothing stores them.
  Value last = emit.sub(extent(lm::shapeOf(op.getY())[index.lane]).emit(emit), emit.i64(1));
  Value elements;
  for (unsigned lane = 0; lane < index.lanes.width; ++lane) {
    Index one;
    one.at = index.at;
    one.at[index.lane] = emit.min(emit.add(index.at[index.lane], lane), last);
    Value element = evaluate(op.getY(), one);
    elements = elements ? emit.insertLane(element, elements, lane)
                        : emit.splat(element, index.lanes.width);
  }
  return elements;
}

/// Loops over the inner dimensions, of which the last ones are written out.
Value Expression::innerReduce(lm::ReduceOp op, const Index &index) {
  constexpr int64_t kWrittenOut = 16;
  Reduction reduction(op);
  lm::Shape shape = lm::shapeOf(op.getX());
  ArrayRef<int64_t> dims = op.getDims();
  Index inner = index;
  inner.at.clear();
  for (int64_t dim = 0, kept = 0; dim < static_cast<int64_t>(shape.size()); ++dim) {
    bool isReduced = llvm::is_contained(dims, dim);
    inner.at.push_back(isReduced ? Value() : index.at[kept]);
    if (!isReduced && kept++ == index.lane)
      inner.lane = static_cast<int>(dim);
  }
  size_t firstWritten = dims.size();
  for (int64_t count = 1; firstWritten > 0; --firstWritten)
    if ((count *= shape[dims[firstWritten - 1]].size) > kWrittenOut)
      break;
  std::function<Value(size_t, Index, Value)> add = [&](size_t level, Index at, Value sum) -> Value {
    if (level == dims.size())
      return reduction.combine(emit, sum, evaluateLanes(op.getX(), at));
    int64_t dim = dims[level], extent = shape[dim].size;
    if (level < firstWritten)
      return emit.loopCarried(emit.i64(0), emit.i64(extent), emit.i64(1), sum,
                              [&](Value i, ValueRange carried) {
                                Scope scope(*this);
                                at.at[dim] = i;
                                return Emit::Values{add(level + 1, at, carried[0])};
                              })[0];
    for (int64_t i = 0; i < extent; ++i) {
      at.at[dim] = emit.i64(i);
      sum = add(level + 1, at, sum);
    }
    return sum;
  };
  return add(0, inner, reduction.neutral(emit, index.lane < 0 ? 1 : index.lanes.width));
}

void Expression::hoistUniform(Value value, const Index &index) {
  forEachUniform(
      value, index, [&](Value v, const Index &at) { return static_cast<bool>(lookup(v, at)); },
      [&](Operation *op, const Index &at) { return viewIndex(op, at); },
      [&](Value v, const Index &at) { evaluate(v, at); });
}

void Expression::store(unsigned output, Value elements, const Index &index) {
  auto type = cast<RankedTensorType>(body.getTerminator()->getOperand(output).getType());
  Value at = emit.i64(0);
  for (auto [i, step] : llvm::zip(index.at, strides(lm::shapeOf(type))))
    at = emit.add(at, emit.mul(i, step.emit(emit)));
  Value pointer = emit.buffer(body.getNumArguments() + output);
  if (index.lane >= 0 && index.lanes.width > 1 && Emit::widthOf(elements) == 1)
    elements = emit.splat(elements, index.lanes.width);
  emit.store(type.getElementType(), elements, pointer, at, index.lane < 0 ? Lanes() : index.lanes);
}

void Expression::collectSegments(Value value, int64_t extent, SmallVectorImpl<int64_t> &bounds) {
  // Follows the last dimension down through views and pointwise ops; `shift` is what slices added.
  // A value may be read at several places, as in concat(x, neg(x)).
  std::set<std::tuple<void *, int64_t, int64_t>> seen;
  std::function<void(Value, int64_t, int64_t)> visit = [&](Value v, int64_t dim, int64_t shift) {
    Operation *op = v.getDefiningOp();
    if (!op || dim < 0 || !seen.insert({v.getAsOpaquePointer(), dim, shift}).second)
      return;
    if (auto slice = dyn_cast<lm::SliceOp>(op)) {
      int64_t start = static_cast<int64_t>(slice.getDim()) == dim ? slice.getStart() : 0;
      return visit(slice.getX(), dim, shift + start);
    }
    if (auto transpose = dyn_cast<lm::TransposeOp>(op))
      return visit(transpose.getX(), transpose.getPermutation()[dim], shift);
    if (auto skew = dyn_cast<lm::SkewOp>(op))
      return visit(skew.getX(), static_cast<int64_t>(skew.getDim()) == dim ? -1 : dim, shift);
    if (auto broadcast = dyn_cast<lm::BroadcastOp>(op)) {
      auto *at = llvm::find(broadcast.getDims(), dim);
      return visit(broadcast.getX(),
                   at == broadcast.getDims().end() ? -1 : at - broadcast.getDims().begin(), shift);
    }
    int64_t start = 0;
    for (Value operand : op->getOperands()) {
      bool along =
          isa<lm::ConcatOp>(op) && static_cast<int64_t>(cast<lm::ConcatOp>(op).getDim()) == dim;
      if (along && start > shift && start - shift < extent)
        bounds.push_back(start - shift);
      if (along || isa<lm::PointwiseOp, lm::ConcatOp>(op))
        visit(operand, dim, along ? shift - start : shift);
      if (along)
        start += lm::shapeOf(operand)[dim].size;
    }
  };
  visit(value, static_cast<int64_t>(lm::shapeOf(value).size()) - 1, 0);
}

} // namespace lmc::cpu
