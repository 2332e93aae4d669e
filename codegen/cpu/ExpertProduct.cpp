// Products of a mixture of experts, as the matrix product generator's batches: an expert is a batch entry
// whose rows (or, summing over rows, whose steps) are counted at run time and looked up.
//
// Mapping: a work item is a strip of one expert's weights and all rows of that expert, so weights are read
// once, and those of an expert without rows not at all. The order in which an element is summed depends on
// shapes and, as in any product, on whether there are few rows, here of its expert; not on threads.
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Operand.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// The rows of an expert, and where an operand of the product has their elements.
class ExpertRows {
public:
  ExpertRows(Expression &x, Value order, Value starts, int64_t scratchOffset)
      : x(x), e(x.emit), rows(lm::shapeOf(order)), count(x.product(rows)),
        tableBytes(static_cast<int64_t>(llvm::alignTo(count.max * 8, 64))),
        scratchOffset(scratchOffset), i32(e.builder().getI32Type()), order(pointer(order)),
        starts(pointer(starts)) {}

  /// An operand whose rows are looked up; add() before the first enter().
  struct Operand {
    OperandView view;
    lm::Shape dims; ///< of its rows, which may be fewer
    Value base, table;
  };
  Operand add(Value value) {
    Operand operand{operandView(x, value), lm::shapeOf(value), {}, e.scratch(scratchOffset)};
    operand.dims.pop_back();
    operand.base =
        e.at(operand.view.storage, e.buffer(operand.view.buffer), operand.view.offset.emit(e));
    assert(operand.view.strides.back().is(1) && "fusion stores rows that are read in vectors");
    scratchOffset += tableBytes;
    return operand;
  }
  int64_t scratchEnd() const { return scratchOffset; }

  /// Begins an expert: looks up where its rows are. Gives their number.
  Value enter(Value expert, ArrayRef<Operand> operands) {
    first = number(starts, expert);
    Value size = e.sub(number(starts, e.add(expert, 1)), first);
    e.loop(e.i64(0), size, 1, [&](Value i) {
      Value row = at(i);
      for (const Operand &operand : operands) {
        Value own =
            operand.dims.size() == rows.size() ? row : e.rem(row, x.product(operand.dims).emit(e));
        Value place = e.i64(0);
        for (auto [index, stride] :
             llvm::zip(unflatten(x, own, operand.dims), operand.view.strides))
          place = e.add(place, e.mul(index, stride.emit(e)));
        e.store(e.i64Type(), place, operand.table, i);
      }
    });
    return size;
  }

  /// The row in place `i` of the expert.
  Value at(Value i) { return number(order, e.add(first, i)); }

  /// Neighbouring elements of the row in place `i`.
  Value load(const Operand &operand, Value i, Value column, Lanes lanes) {
    Value start = e.load(e.i64Type(), operand.table, i);
    Value elements = e.load(operand.view.storage, operand.base, e.add(start, column), lanes);
    return operand.view.element == operand.view.storage ? elements
                                                        : e.rounded(operand.view.element, elements);
  }

private:
  Value pointer(Value ids) {
    OperandView view = operandView(x, ids);
    assert(view.whole && "group_rows stores them");
    return e.at(view.storage, e.buffer(view.buffer), view.offset.emit(e));
  }
  Value number(Value ids, Value index) {
    return e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), e.load(i32, ids, index));
  }

  Expression &x;
  Emit &e;

public:
  const lm::Shape rows; ///< dimensions of all rows
  const Extent count;   ///< of all rows

private:
  const int64_t tableBytes;
  int64_t scratchOffset;
  Type i32;
  Value order, starts, first;
};

/// An operand that is loaded by a body: lanes run along its dimension of stride 1.
MatmulOperand lookedUp(Value value, Extent rowStride, Extent columnStride) {
  MatmulOperand operand;
  operand.element = operand.storage = lm::elementOf(value);
  operand.rowStride = rowStride;
  operand.columnStride = columnStride;
  operand.batchStrides.push_back(Extent(0));
  return operand;
}

Schedule finished(const MatmulPlan &plan, const ExpertRows &rows, int64_t perRow) {
  Schedule schedule;
  schedule.items = plan.items;
  schedule.grain = plan.grain;
  schedule.scratchBytes = rows.scratchEnd();
  schedule.flops = 2ull * rows.count.max * perRow;
  return schedule;
}

} // namespace

Schedule emitExpertMatmul(Expression &x, lm::ExpertMatmulOp op) {
  Emit &e = x.emit;
  lm::Shape w = lm::shapeOf(op.getW());
  OperandView weights = operandView(x, op.getW());
  MatmulDescription d;
  d.batch = {Extent(w[0].size)};
  d.ragged = MatmulDescription::Ragged::Rows;
  d.m = x.product(lm::shapeOf(op.getOrder()));
  d.k = Extent(w[op.getTransposeB() ? 2 : 1].size);
  d.n = Extent(w[op.getTransposeB() ? 1 : 2].size);
  d.a = lookedUp(op.getX(), Extent(0), Extent(1));
  d.b.storage = weights.storage;
  d.b.element = weights.element;
  d.b.batchStrides.push_back(weights.strides[0]);
  d.b.rowStride = weights.strides[op.getTransposeB() ? 2 : 1];
  d.b.columnStride = weights.strides[op.getTransposeB() ? 1 : 2];
  MatmulPlan plan = planMatmul(d, e.target());

  ExpertRows rows(x, op.getOrder(), op.getStarts(), plan.scratchBytes);
  ExpertRows::Operand left = rows.add(op.getX());
  MatmulBodies bodies;
  bodies.enter = [&](ArrayRef<Value> expert) { return rows.enter(expert[0], left); };
  bodies.loadA = [&](ArrayRef<Value>, Value row, Value column, Lanes lanes) {
    return rows.load(left, row, column, lanes);
  };
  bodies.epilogue = [&](ArrayRef<Value>, Value row, Value column, Value sums, Lanes lanes) {
    storeSums(x, op.getY(), sums, {}, rows.at(row), rows.rows, column, lanes);
  };
  Value base = e.at(weights.storage, e.buffer(weights.buffer), weights.offset.emit(e));
  emitMatmul(e, d, plan, {}, base, bodies);
  return finished(plan, rows, d.k.factor * d.n.factor);
}

Schedule emitExpertOuter(Expression &x, lm::ExpertOuterOp op) {
  Emit &e = x.emit;
  lm::Shape y = lm::shapeOf(op.getY());
  MatmulDescription d;
  d.batch = {Extent(y[0].size)};
  d.ragged = MatmulDescription::Ragged::Depth;
  d.m = Extent(y[1].size);
  d.n = Extent(y[2].size);
  d.k = x.product(lm::shapeOf(op.getOrder()));
  d.a = lookedUp(op.getA(), Extent(1), Extent(0));
  d.b = lookedUp(op.getB(), Extent(0), Extent(1));
  MatmulPlan plan = planMatmul(d, e.target());

  ExpertRows rows(x, op.getOrder(), op.getStarts(), plan.scratchBytes);
  const ExpertRows::Operand operands[] = {rows.add(op.getA()), rows.add(op.getB())};
  MatmulBodies bodies;
  bodies.enter = [&](ArrayRef<Value> expert) { return rows.enter(expert[0], operands); };
  bodies.loadA = [&](ArrayRef<Value>, Value m, Value place, Lanes lanes) {
    return rows.load(operands[0], place, m, lanes);
  };
  bodies.loadB = [&](ArrayRef<Value>, Value place, Value n, Lanes lanes) {
    return rows.load(operands[1], place, n, lanes);
  };
  ArrayRef<lm::Dim> ofMatrix = ArrayRef<lm::Dim>(y).slice(1, 1);
  bodies.epilogue = [&](ArrayRef<Value> expert, Value row, Value column, Value sums, Lanes lanes) {
    storeSums(x, op.getY(), sums, expert, row, ofMatrix, column, lanes);
  };
  emitMatmul(e, d, plan, {}, {}, bodies);
  return finished(plan, rows, d.m.factor * d.n.factor);
}

} // namespace lmc::cpu
