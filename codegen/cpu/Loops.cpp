// The map and row families: one sweep over an iteration space, vectors along its last dimension.
//
// Mapping: a work item is one row (all but the last dimension), or a block of elements where the
// whole space is contiguous. A row kernel makes one pass over its row for each level of reductions
// that depend on each other, then one that stores; rows stay in the first-level cache between
// passes. Maps that read across rows: Transposes.cpp. Limit: memory bandwidth, or the polynomials of exp and tanh.
#include "codegen/cpu/Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Elements of a flat work item: small enough to balance, large enough to hide its start.
constexpr int64_t kFlatBlock = 4096;
/// Elements that a worker takes at once: some ten microseconds, so that the shares of a worker that
/// is slow or away are taken over in time.
constexpr int64_t kPiece = 64 << 10;
/// Independent accumulators of a reduction, to hide the latency of an addition.
constexpr unsigned kAccumulators = 4;

} // namespace

SmallVector<Value> outputsOf(Expression &x) {
  return llvm::to_vector(x.body.getTerminator()->getOperands());
}

unsigned lanesFor(Expression &x) {
  unsigned bits = 32;
  for (Operation &op : x.body)
    for (Value operand : op.getOperands())
      if (Type element = lm::elementOf(operand); element.getIntOrFloatBitWidth() == 64)
        bits = 64;
  return x.emit.target().lanes(bits);
}

void storeAll(Expression &x, ArrayRef<unsigned> outputs, const Index &index) {
  SmallVector<Value> values = outputsOf(x), elements;
  for (unsigned output : outputs)
    elements.push_back(x.evaluateLanes(values[output], index));
  for (auto [output, element] : llvm::zip_equal(outputs, elements))
    x.store(output, element, index);
}

int64_t rowsOfPiece(Expression &x, const lm::Dim &row) {
  return std::max<int64_t>(1, kPiece / std::max<int64_t>(1, x.extent(row).max));
}

uint64_t pointwiseFlops(Expression &x, int64_t elements) {
  uint64_t ops = 0;
  for (Operation &op : x.body)
    ops += isa<lm::PointwiseOp, lm::ReduceOp>(op);
  return ops * elements;
}

namespace {

/// The pass over one row that stores full-size outputs.
void storeRow(Expression &x, ArrayRef<unsigned> outputs, ArrayRef<Value> row, const lm::Dim &last) {
  if (outputs.empty())
    return;
  Emit &e = x.emit;
  SmallVector<Value> values = outputsOf(x);
  unsigned width = lanesFor(x);
  SmallVector<int64_t> bounds = {0};
  for (unsigned output : outputs)
    x.collectSegments(values[output], last.isStatic() ? last.size : INT64_MAX, bounds);
  llvm::sort(bounds);
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  Index index;
  index.at.assign(row.begin(), row.end());
  index.at.push_back(e.i64(0));
  index.lane = static_cast<int>(row.size());
  index.lanes = Lanes(width);
  for (unsigned output : outputs)
    x.hoistUniform(values[output], index);
  for (size_t i = 0; i < bounds.size(); ++i) {
    bool final = i + 1 == bounds.size();
    Value upper = final ? x.extent(last).emit(e) : e.i64(bounds[i + 1]);
    index.low = bounds[i];
    index.high = final ? (last.isStatic() ? last.size : INT64_MAX) : bounds[i + 1];
    e.vectorLoop(e.i64(bounds[i]), upper, width, [&](Value at, Lanes lanes) {
      Expression::Scope scope(x);
      Index here = index;
      here.at.back() = at;
      here.lanes = lanes;
      storeAll(x, outputs, here);
    });
  }
}

/// One pass over a row for reductions that do not depend on each other; defines their results.
void reduceRow(Expression &x, ArrayRef<lm::ReduceOp> ops, ArrayRef<Value> row,
               const lm::Dim &last) {
  Emit &e = x.emit;
  unsigned width = lanesFor(x);
  SmallVector<Reduction> accumulators;
  for (lm::ReduceOp op : ops)
    accumulators.emplace_back(op);
  Index index;
  index.at.assign(row.begin(), row.end());
  index.at.push_back(e.i64(0));
  index.lane = static_cast<int>(row.size());
  index.lanes = Lanes(width);
  for (lm::ReduceOp op : ops)
    x.hoistUniform(op.getX(), index);

  Value extent = x.extent(last).emit(e);
  auto elements = [&](Reduction a, Value at, Lanes lanes) {
    Index here = index;
    here.at.back() = at;
    here.lanes = lanes;
    return x.evaluateLanes(a.op.getX(), here);
  };
  // Long strides with independent accumulators, then single vectors, then a masked rest.
  int64_t stride = static_cast<int64_t>(width) * kAccumulators;
  Value mainEnd = e.mul(e.div(extent, e.i64(stride)), stride);
  Value fullEnd = e.mul(e.div(extent, e.i64(width)), width);
  Emit::Values inits;
  for (const Reduction &a : accumulators)
    inits.append(kAccumulators, a.neutral(e, width));
  Emit::Values sums =
      e.loopCarried(e.i64(0), mainEnd, e.i64(stride), inits, [&](Value at, ValueRange carried) {
        Emit::Values next;
        for (auto [i, a] : llvm::enumerate(accumulators))
          for (unsigned u = 0; u < kAccumulators; ++u) {
            Expression::Scope scope(x);
            Value more = elements(a, e.add(at, static_cast<int64_t>(u) * width), Lanes(width));
            next.push_back(a.combine(e, carried[i * kAccumulators + u], more));
          }
        return next;
      });
  Emit::Values single;
  for (auto [i, a] : llvm::enumerate(accumulators)) {
    auto at = [&](unsigned u) { return sums[i * kAccumulators + u]; };
    single.push_back(a.combine(e, a.combine(e, at(0), at(1)), a.combine(e, at(2), at(3))));
  }
  single = e.loopCarried(mainEnd, fullEnd, e.i64(width), single, [&](Value at, ValueRange carried) {
    Expression::Scope scope(x);
    Emit::Values next;
    for (auto [a, sum] : llvm::zip_equal(accumulators, carried))
      next.push_back(a.combine(e, sum, elements(a, at, Lanes(width))));
    return next;
  });
  Value rest = e.sub(extent, fullEnd);
  if (!(Emit::constantOf(rest) == 0)) {
    Expression::Scope scope(x);
    if (width > 1) {
      Lanes lanes(width, e.firstLanes(rest, width));
      for (auto [a, sum] : llvm::zip_equal(accumulators, single))
        sum = a.combine(e, sum,
                        e.select(lanes.mask, elements(a, fullEnd, lanes), a.neutral(e, width)));
    }
  }
  for (auto [a, sum] : llvm::zip_equal(accumulators, single)) {
    x.define(a.op.getY(), a.total(e, sum));
  }
}

} // namespace

Schedule emitMap(Expression &x) {
  Emit &e = x.emit;
  SmallVector<Value> values = outputsOf(x);
  lm::Shape space = lm::shapeOf(values.front());
  auto all = llvm::to_vector(llvm::seq<unsigned>(0, values.size()));
  Extent elements = x.product(space);
  Schedule schedule;
  schedule.flops = pointwiseFlops(x, elements.max);
  if (space.empty()) {
    schedule.items = itemsOf(Extent(1));
    e.loop(e.begin(), e.end(), 1, [&](Value) {
      Expression::Scope scope(x);
      storeAll(x, all, Index());
    });
    return schedule;
  }
  if (isFlat(x.body, space)) {
    // Addresses through a flat view: index 0 everywhere but in the last dimension, which may run
    // over.
    schedule.items = itemsOf(elements, kFlatBlock);
    schedule.grain = kPiece / kFlatBlock;
    Value total = elements.emit(e);
    Value first = e.mul(e.begin(), kFlatBlock);
    Value last = e.min(e.mul(e.end(), kFlatBlock), total);
    Index index;
    index.at.assign(space.size(), e.i64(0));
    index.lane = static_cast<int>(space.size()) - 1;
    index.lanes = Lanes(lanesFor(x));
    Expression::Scope scope(x);
    for (Value value : values)
      x.hoistUniform(value, index);
    e.vectorLoop(first, last, index.lanes.width, [&](Value at, Lanes lanes) {
      Expression::Scope inner(x);
      Index here = index;
      here.at.back() = at;
      here.lanes = lanes;
      storeAll(x, all, here);
    });
    return schedule;
  }
  if (std::optional<CrossReads> reads = crossReads(x.body, space); reads && lanesFor(x) > 1)
    return emitTransposingMap(x, *reads);
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(space).drop_back();
  schedule.items = itemsOf(x.product(rows));
  schedule.grain = rowsOfPiece(x, space.back());
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    storeRow(x, all, unflatten(x, item, rows), space.back());
  });
  return schedule;
}

Schedule emitGather(Expression &x) { return emitMap(x); }

Schedule emitRow(Expression &x) {
  Emit &e = x.emit;
  SmallVector<SmallVector<lm::ReduceOp>> levels = reductionLevels(x.body);
  lm::Shape space = lm::shapeOf(levels.front().front().getX());
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(space).drop_back();
  SmallVector<Value> values = outputsOf(x);
  SmallVector<unsigned> full, perRow;
  for (auto [i, value] : llvm::enumerate(values))
    (lm::shapeOf(value).size() == space.size() ? full : perRow).push_back(i);

  Schedule schedule;
  schedule.items = itemsOf(x.product(rows));
  schedule.grain = rowsOfPiece(x, space.back());
  schedule.flops = pointwiseFlops(x, x.product(space).max);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    SmallVector<Value, 4> row = unflatten(x, item, rows);
    for (ArrayRef<lm::ReduceOp> level : levels)
      reduceRow(x, level, row, space.back());
    Index statistic;
    statistic.at = row;
    SmallVector<Value> statistics;
    for (unsigned output : perRow)
      statistics.push_back(x.evaluate(values[output], statistic));
    storeRow(x, full, row, space.back());
    for (auto [output, value] : llvm::zip_equal(perRow, statistics))
      x.store(output, value, statistic);
  });
  return schedule;
}

} // namespace lmc::cpu
