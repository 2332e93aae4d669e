// The map family: one sweep over an iteration space, vectors along its last dimension; and what
// other sweeps share with it.
//
// Mapping: a work item is one row (all but the last dimension), or a block of elements where the
// whole space is contiguous. Maps that read across rows: Transposes.cpp. Limit: memory bandwidth, or
// the polynomials of exp and tanh.
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

void storeRow(Expression &x, ArrayRef<unsigned> outputs, ArrayRef<Value> row, const lm::Dim &last,
              llvm::function_ref<void(const Index &)> prepare) {
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
      if (prepare)
        prepare(here);
      storeAll(x, outputs, here);
    });
  }
}

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

} // namespace lmc::cpu
