// The column family: reductions over leading dimensions, bias and norm-weight gradients.
//
// Mapping: a work item is a strip of columns and goes through all rows, so that no partial sums
// cross work items and the order of summation is that of the rows: sums over the innermost reduced
// dimension are added up in the next one out. The strip's sums lie in the first-level cache; each
// is taken up once for kRows rows, which are read in runs long enough for the memory to read ahead.
// Limit: reading the rows once.
#include "codegen/cpu/Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Columns of a strip: 1 KiB of a row of float32. Half of that reads memory at half the speed.
constexpr int64_t kStrip = 256;
/// Rows that are added before a sum goes back to cache.
constexpr int64_t kRows = 8;

/// Strips of one width, whole vectors: even in number, for an even split.
int64_t stripWidth(int64_t columns, int64_t lanes) {
  int64_t strips = (columns + kStrip - 1) / kStrip;
  strips = strips > 1 ? (strips + 1) / 2 * 2 : columns >= kStrip / 2 ? 2 : 1;
  return llvm::alignTo((columns + strips - 1) / strips, lanes);
}

/// One strip's way through the rows.
class Strip {
public:
  Strip(Expression &x, MutableArrayRef<Reduction> ops, ArrayRef<lm::Dim> reduced, unsigned lanes,
        int64_t width)
      : x(x), e(x.emit), ops(ops), reduced(reduced), lanes(lanes), width(width) {}

  /// Of all sums of all reduced dimensions.
  int64_t scratchBytes() const { return areaBytes() * static_cast<int64_t>(reduced.size()); }

  void emit(Value firstColumn, Value columnCount, ArrayRef<Value> outerIndex) {
    first = firstColumn;
    count = columnCount;
    outer = outerIndex;
    sumOver(0, {});
    forEachVector([&](Value column, Lanes active) {
      Expression::Scope scope(x);
      for (auto [k, r] : llvm::enumerate(ops))
        x.define(r.op.getY(), load(0, k, column));
      Index index = indexOf({}, column, active);
      for (auto [output, value] : llvm::enumerate(x.body.getTerminator()->getOperands()))
        x.store(output, x.evaluateLanes(value, index), index);
    });
  }

private:
  static constexpr int64_t kWidest = 8; ///< bytes of a sum
  int64_t areaBytes() const { return static_cast<int64_t>(ops.size()) * width * kWidest; }

  Value sums(size_t level, size_t op) {
    return e.scratch(areaBytes() * level + width * kWidest * op);
  }
  Value load(size_t level, size_t op, Value column) {
    return e.load(ops[op].element, sums(level, op), column, lanes);
  }
  void store(size_t level, size_t op, Value column, Value sum) {
    e.store(ops[op].element, sum, sums(level, op), column, lanes);
  }
  void forEachVector(llvm::function_ref<void(Value column, Lanes active)> body) {
    e.vectorLoop(e.i64(0), count, lanes, body);
  }

  Index indexOf(ArrayRef<Value> row, Value column, Lanes active) {
    Index index;
    index.at.assign(row.begin(), row.end());
    llvm::append_range(index.at, outer);
    index.at.push_back(e.add(first, column));
    index.lane = static_cast<int>(index.at.size()) - 1;
    index.lanes = active;
    return index;
  }

  /// Sums of `level` from here on: those of the next level, added up, or of rows.
  void sumOver(size_t level, SmallVector<Value, 4> at) {
    e.loop(e.i64(0), e.i64(width), lanes, [&](Value column) {
      for (auto [k, r] : llvm::enumerate(ops))
        store(level, k, column, r.neutral(e, lanes));
    });
    Value extent = x.extent(reduced[level]).emit(e);
    if (level + 1 == reduced.size()) {
      Value whole = e.mul(e.div(extent, e.i64(kRows)), kRows);
      e.loop(e.i64(0), whole, kRows, [&](Value i) { addRows(level, at, i, kRows); });
      e.loop(whole, extent, 1, [&](Value i) { addRows(level, at, i, 1); });
      return;
    }
    e.loop(e.i64(0), extent, 1, [&](Value i) {
      Expression::Scope scope(x);
      SmallVector<Value, 4> deeper = at;
      deeper.push_back(i);
      sumOver(level + 1, deeper);
      e.loop(e.i64(0), e.i64(width), lanes, [&](Value column) {
        for (auto [k, r] : llvm::enumerate(ops))
          store(level, k, column, r.combine(e, load(level, k, column), load(level + 1, k, column)));
      });
    });
  }

  void addRows(size_t level, ArrayRef<Value> at, Value firstRow, int64_t rows) {
    Expression::Scope scope(x);
    SmallVector<SmallVector<Value, 4>> index;
    for (int64_t i = 0; i < rows; ++i) {
      index.emplace_back(at);
      index.back().push_back(e.add(firstRow, i));
      for (Reduction &r : ops)
        x.hoistUniform(r.op.getX(), indexOf(index.back(), e.i64(0), Lanes(lanes)));
    }
    forEachVector([&](Value column, Lanes active) {
      Emit::Values running;
      for (size_t k = 0; k < ops.size(); ++k)
        running.push_back(load(level, k, column));
      for (ArrayRef<Value> row : index) {
        Expression::Scope inner(x);
        Index here = indexOf(row, column, active);
        for (auto [k, r] : llvm::enumerate(ops))
          running[k] = r.combine(e, running[k], x.evaluateLanes(r.op.getX(), here));
      }
      for (size_t k = 0; k < ops.size(); ++k)
        store(level, k, column, running[k]);
    });
  }

  Expression &x;
  Emit &e;
  MutableArrayRef<Reduction> ops;
  ArrayRef<lm::Dim> reduced;
  unsigned lanes;
  int64_t width;
  Value first, count;
  ArrayRef<Value> outer;
};

} // namespace

Schedule emitColumn(Expression &x) {
  Emit &e = x.emit;
  ColumnSpace space(x.body);
  SmallVector<Reduction> ops(space.reductions.begin(), space.reductions.end());
  int64_t columns = space.columns;
  unsigned lanes = e.target().lanes(32);
  int64_t width = stripWidth(columns, lanes), strips = (columns + width - 1) / width;

  Strip strip(x, ops, space.leading, lanes, width);
  Schedule schedule;
  Extent items = x.product(space.outer);
  items.factor *= strips;
  items.max *= strips;
  schedule.items = itemsOf(items);
  schedule.scratchBytes = strip.scratchBytes();
  schedule.flops = x.body.getOperations().size() * x.product(space.space).max;
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    Value first = e.mul(e.rem(item, e.i64(strips)), width);
    Value count =
        columns % width == 0 ? e.i64(width) : e.min(e.i64(width), e.sub(e.i64(columns), first));
    strip.emit(first, count, unflatten(x, e.div(item, e.i64(strips)), space.outer));
  });
  return schedule;
}

} // namespace lmc::cpu
