// What a mixture of experts decides before its products: which experts a row takes, and which rows an
// expert has.
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Keys.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;

namespace lmc::cpu {
namespace {

// Mapping: a work item is a row. Its keys wait in scratch; each of k rounds finds the largest key, then
// the first place that has it, and takes it out. Limit: k sweeps over a row in L1.
Schedule emitTopK(Expression &x, lm::TopKOp op) {
  Emit &e = x.emit;
  lm::Shape shape = lm::shapeOf(op.getX());
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(shape).drop_back();
  int64_t n = shape.back().size;
  Keys keys(e, Emit::computeType(lm::elementOf(op.getX())));
  unsigned width = e.lanesOf(keys.type);
  int64_t padded = llvm::alignTo(n, width);
  Value scratch = e.scratch(), zero = e.i64(0);
  auto sweep = [&](Value init, llvm::function_ref<Value(Value place, Value before)> step) {
    return e.loopCarried(zero, e.i64(padded), e.i64(width), init,
                         [&](Value place, ValueRange before) -> Emit::Values {
                           return {step(place, before[0])};
                         })[0];
  };
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    Index at;
    at.at = unflatten(x, item, rows);
    e.store(keys.type, keys.least(width), scratch, e.i64(padded - width), width);
    at.at.push_back(zero);
    e.vectorLoop(zero, e.i64(n), width, [&](Value place, Lanes lanes) {
      Expression::Scope inner(x);
      Index run = at;
      run.at.back() = place;
      run.lane = static_cast<int>(run.at.size()) - 1;
      run.lanes = lanes;
      e.store(keys.type, keys.of(x.evaluateLanes(op.getX(), run)), scratch, place, lanes);
    });
    e.loop(zero, e.i64(static_cast<int64_t>(op.getK())), 1, [&](Value round) {
      Value best = sweep(keys.least(width), [&](Value place, Value before) {
        return keys.max(before, e.load(keys.type, scratch, place, width));
      });
      best = e.splat(e.reduce(best, [&](Value a, Value b) { return keys.max(a, b); }), width);
      Value none = e.constant(keys.type, static_cast<double>(padded), width);
      Value first = sweep(none, [&](Value place, Value before) {
        Value hit =
            keys.compare(arith::CmpIPredicate::eq, e.load(keys.type, scratch, place, width), best);
        Value start = e.builder().createOrFold<arith::TruncIOp>(e.loc(), keys.type, place);
        Value places = e.builder().create<arith::AddIOp>(e.loc(), e.splat(start, width),
                                                         e.iota(keys.type, width));
        return keys.min(before, e.select(hit, places, none));
      });
      first = e.reduce(first, [&](Value a, Value b) { return keys.min(a, b); });
      Value place = e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), first);
      Expression::Scope inner(x);
      Index from = at, to = at;
      from.at.back() = place;
      to.at.back() = round;
      x.store(0, x.evaluate(op.getX(), from), to);
      x.store(1, e.builder().create<arith::TruncIOp>(e.loc(), e.builder().getI32Type(), place), to);
      e.store(keys.type, keys.least(1), scratch, place);
    });
  });
  Schedule schedule;
  schedule.items = itemsOf(x.product(rows));
  schedule.scratchBytes = padded * Emit::storageBytes(keys.type);
  schedule.flops = 2ull * x.product(rows).max * n * op.getK();
  return schedule;
}

// Mapping: one work item, a counting sort: two passes over the ids, in their order. Limit: the chain
// from one id of a group to the next, a few cycles each, beside products of whole rows.
Schedule emitGroupRows(Expression &x, lm::GroupRowsOp op) {
  Emit &e = x.emit;
  OpBuilder &b = e.builder();
  lm::Shape shape = lm::shapeOf(op.getIds());
  auto groups = static_cast<int64_t>(op.getGroups());
  Type i32 = b.getI32Type(), i64 = e.i64Type();
  Value order = e.buffer(x.body.getNumArguments()), starts = e.buffer(x.body.getNumArguments() + 1);
  Value places = e.scratch(), zero = e.i64(0);
  auto narrow = [&](Value number) -> Value {
    return b.createOrFold<arith::TruncIOp>(e.loc(), i32, number);
  };
  /// Visits every row, and moves the place of its group on by one.
  auto forEachRow = [&](llvm::function_ref<void(Value row, Value place)> visit) {
    e.loop(zero, x.product(shape).emit(e), 1, [&](Value row) {
      Expression::Scope scope(x);
      Index at;
      at.at = unflatten(x, row, shape);
      Value group = b.create<arith::ExtSIOp>(e.loc(), i64, x.evaluate(op.getIds(), at));
      Value place = e.load(i64, places, group);
      visit(row, place);
      e.store(i64, e.add(place, 1), places, group);
    });
  };
  e.loop(e.begin(), e.end(), 1, [&](Value) {
    e.loop(zero, e.i64(groups), 1, [&](Value group) { e.store(i64, zero, places, group); });
    forEachRow([](Value, Value) {}); // counts
    Value rows = e.loopCarried(zero, e.i64(groups), e.i64(1), zero,
                               [&](Value group, ValueRange before) -> Emit::Values {
                                 Value count = e.load(i64, places, group);
                                 e.store(i64, before[0], places, group);
                                 e.store(i32, narrow(before[0]), starts, group);
                                 return {e.add(before[0], count)};
                               })[0];
    e.store(i32, narrow(rows), starts, e.i64(groups));
    forEachRow([&](Value row, Value place) { e.store(i32, narrow(row), order, place); });
  });
  Schedule schedule;
  schedule.items.push_back({-1, 1, 1});
  schedule.scratchBytes = groups * 8;
  schedule.flops = 2ull * x.product(shape).max;
  return schedule;
}

} // namespace

Schedule emitRoute(Expression &x) {
  if (auto choice = opOf<lm::TopKOp>(x))
    return emitTopK(x, choice);
  return emitGroupRows(x, opOf<lm::GroupRowsOp>(x));
}

} // namespace lmc::cpu
