// Writes at places that data decides: gradients of embeddings, KV caches.
#include "codegen/cpu/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Row blocks of a scatter: each goes once through all ids, so few; enough for balance.
constexpr int64_t kRowBlocks = 32;

} // namespace

// Mapping: a work item owns a block of table rows, zeroes them and adds the updates whose id falls
// into them, in the order of ids: deterministic without atomics. Limit: writing the table once.
Schedule emitScatter(Expression &x) {
  Emit &e = x.emit;
  auto op = opOf<lm::ScatterAddOp>(x);
  lm::Shape table = lm::shapeOf(op.getY()), ids = lm::shapeOf(op.getIds());
  assert(table[0].isStatic() && table[1].isStatic() && "tables are model dimensions");
  int64_t rows = table[0].size, width = table[1].size;
  int64_t block = (rows + kRowBlocks - 1) / kRowBlocks;
  unsigned lanes = e.target().lanes(32);
  Value pointer = e.buffer(x.body.getNumArguments());
  Type storage = lm::elementOf(op.getY());
  Type compute = Emit::computeType(storage);

  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value first = e.mul(item, block), end = e.min(e.add(first, block), e.i64(rows));
    e.vectorLoop(e.mul(first, width), e.mul(end, width), lanes, [&](Value at, Lanes l) {
      e.store(storage, e.constant(compute, 0, l.width), pointer, at, l);
    });
    e.loop(e.i64(0), x.product(ids).emit(e), 1, [&](Value i) {
      Expression::Scope scope(x);
      Index at;
      at.at = unflatten(x, i, ids);
      Value id =
          e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), x.evaluate(op.getIds(), at));
      Value inside = e.builder().create<arith::AndIOp>(e.loc(), e.less(e.sub(first, e.i64(1)), id),
                                                       e.less(id, end));
      e.ifThen(inside, [&] {
        Value row = e.mul(id, width);
        e.vectorLoop(e.i64(0), e.i64(width), lanes, [&](Value column, Lanes l) {
          Expression::Scope inner(x);
          Index update = at;
          update.at.push_back(column);
          update.lane = static_cast<int>(at.at.size());
          update.lanes = l;
          Value more = x.evaluateLanes(op.getUpdates(), update);
          Value place = e.add(row, column);
          e.store(storage, e.addf(e.load(storage, pointer, place, l), more), pointer, place, l);
        });
      });
    });
  });
  Schedule schedule;
  schedule.items = itemsOf(Extent(rows), block);
  schedule.flops = static_cast<uint64_t>(x.product(ids).max) * width;
  return schedule;
}

// Mapping: a work item is one new token's row. The cache is its own output (the plan updates it in
// place), so only new rows are written.
Schedule emitCacheAppend(Expression &x) {
  Emit &e = x.emit;
  auto op = opOf<lm::CacheAppendOp>(x);
  lm::Shape cache = lm::shapeOf(op.getCache()), update = lm::shapeOf(op.getUpdate());
  ArrayRef<lm::Dim> tokens = ArrayRef<lm::Dim>(update).take_front(2);
  Value pointer = e.buffer(x.body.getNumArguments());
  Type storage = lm::elementOf(op.getY());
  SmallVector<Extent, 4> strides = x.strides(cache);
  Value past =
      e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), x.evaluate(op.getPast(), Index()));
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    SmallVector<Value, 4> token = unflatten(x, item, tokens);
    e.loop(e.i64(0), x.extent(update[2]).emit(e), 1, [&](Value head) {
      Value row = e.add(e.add(e.mul(token[0], strides[0].emit(e)),
                              e.mul(e.add(past, token[1]), strides[1].emit(e))),
                        e.mul(head, strides[2].emit(e)));
      e.vectorLoop(
          e.i64(0), x.extent(update[3]).emit(e), e.target().lanes(32), [&](Value d, Lanes l) {
            Expression::Scope scope(x);
            Index at;
            at.at = {token[0], token[1], head, d};
            at.lane = 3;
            at.lanes = l;
            e.store(storage, x.evaluateLanes(op.getUpdate(), at), pointer, e.add(row, d), l);
          });
    });
  });
  Schedule schedule;
  schedule.items = itemsOf(x.product(tokens));
  return schedule;
}

} // namespace lmc::cpu
