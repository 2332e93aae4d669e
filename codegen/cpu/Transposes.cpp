// Maps that read a buffer across its rows: y[i, j] = f(x[j, i], z[i, j], ...).
//
// Mapping: a work item is a block of as many rows as a vector has lanes. Squares of x are read along
// its own rows, turned in registers and kept in scratch, where the sweep over the block's rows finds
// them: every cache line of x and y is touched once. Limit: memory bandwidth.
#include "codegen/cpu/Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cpu {

Schedule emitTransposingMap(Expression &x, const CrossReads &reads) {
  Emit &e = x.emit;
  SmallVector<Value> values = outputsOf(x);
  lm::Shape space = lm::shapeOf(values.front());
  size_t last = space.size() - 1;
  unsigned width = lanesFor(x);
  lm::Dim across = space[reads.dim];
  lm::Shape outer(space.begin(), space.end() - 1);
  outer.erase(outer.begin() + reads.dim);

  Schedule schedule;
  schedule.items = itemsOf(x.extent(across), width);
  llvm::append_range(schedule.items, itemsOf(x.product(outer)));
  schedule.grain = std::max<int64_t>(1, rowsOfPiece(x, space[last]) / width);
  schedule.flops = pointwiseFlops(x, x.product(space).max);
  constexpr int64_t kWidest = 8; // bytes of an element
  schedule.scratchBytes = kWidest * width * width * static_cast<int64_t>(reads.values.size());

  auto all = llvm::to_vector(llvm::seq<unsigned>(0, values.size()));
  Value columns = x.extent(space[last]).emit(e), rows = x.extent(across).emit(e);
  Value blocks = e.ceilDiv(rows, e.i64(width)), lastColumn = e.sub(columns, e.i64(1));
  auto square = [&](size_t i) { return e.scratch(kWidest * width * width * i); };

  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value firstRow = e.mul(e.rem(item, blocks), width);
    SmallVector<Value, 4> at = unflatten(x, e.div(item, blocks), outer);
    at.insert(at.begin() + reads.dim, firstRow);
    at.push_back(e.i64(0));
    auto turn = [&](Value column, bool whole, Lanes rowLanes) {
      for (auto [number, value] : llvm::enumerate(reads.values)) {
        Emit::Values vectors;
        for (unsigned j = 0; j < width; ++j) {
          Expression::Scope scope(x);
          Index index;
          index.at = at;
          // Columns past the end repeat the last one; nothing stores them.
          Value next = e.add(column, j);
          index.at[last] = whole ? next : e.min(next, lastColumn);
          index.lane = reads.dim;
          index.lanes = rowLanes;
          vectors.push_back(x.evaluateLanes(value, index));
        }
        Type element = getElementTypeOrSelf(vectors.front().getType());
        for (auto [i, row] : llvm::enumerate(e.transpose(vectors)))
          e.store(element, row, square(number), e.i64(i * width), width);
      }
    };
    auto block = [&](Value count, Lanes rowLanes) {
      e.vectorLoop(e.i64(0), columns, width, [&](Value column, Lanes lanes) {
        turn(column, !lanes.mask, rowLanes);
        e.loop(e.i64(0), count, 1, [&](Value i) {
          Expression::Scope scope(x);
          Index index;
          index.at = at;
          index.at[reads.dim] = e.add(firstRow, i);
          index.at[last] = column;
          index.lane = static_cast<int>(last);
          index.lanes = lanes;
          for (auto [number, value] : llvm::enumerate(reads.values)) {
            Type element = Emit::computeType(lm::elementOf(value));
            x.define(value, index, e.load(element, square(number), e.mul(i, width), width));
          }
          storeAll(x, all, index);
        });
      });
    };
    if (across.isStatic() && across.size % width == 0)
      return block(e.i64(width), Lanes(width));
    Value left = e.sub(rows, firstRow);
    e.ifElse(
        e.less(left, e.i64(width)), [&] { block(left, Lanes(width, e.firstLanes(left, width))); },
        [&] { block(e.i64(width), Lanes(width)); });
  });
  return schedule;
}

} // namespace lmc::cpu
