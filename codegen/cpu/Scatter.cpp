// Writes at places that data decides: gradients of embeddings, KV caches.
#include "codegen/cpu/Kernels.h"
#include "ir/CacheRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Row blocks of a scatter: each goes once through all ids, so few; enough for balance.
constexpr int64_t kRowBlocks = 32;

/// Vectors rounded to bytes, halves away from zero; 0 where x is beyond 127 or NaN.
Value roundedToBytes(Emit &e, Value x) {
  OpBuilder &b = e.builder();
  unsigned width = Emit::widthOf(x);
  Type i32 = Emit::vectorOf(b.getI32Type(), width);
  auto compare = [&](arith::CmpFPredicate predicate, Value value, double bound) -> Value {
    return b.create<arith::CmpFOp>(e.loc(), predicate, value, e.f32(bound, width));
  };
  Value size = b.create<math::AbsFOp>(e.loc(), x);
  x = e.select(compare(arith::CmpFPredicate::OLT, size, 127.5), x, e.f32(0, width));
  Value whole = b.create<arith::FPToSIOp>(e.loc(), i32, x);                       // towards zero
  Value rest = e.subf(x, b.create<arith::SIToFPOp>(e.loc(), x.getType(), whole)); // exact
  Value up = b.create<arith::ExtUIOp>(e.loc(), i32, compare(arith::CmpFPredicate::OGE, rest, 0.5));
  Value down =
      b.create<arith::ExtUIOp>(e.loc(), i32, compare(arith::CmpFPredicate::OLE, rest, -0.5));
  Value code = b.create<arith::SubIOp>(e.loc(), b.create<arith::AddIOp>(e.loc(), whole, up), down);
  return b.create<arith::TruncIOp>(e.loc(), Emit::vectorOf(b.getI8Type(), width), code);
}

/// Writes `count` numbers, load(i, lanes) of which are i .. i + lanes.width - 1, as one block of a
/// row (ir/CacheRows.h).
void storeBlock(Emit &e, Value block, int64_t count,
                llvm::function_ref<Value(int64_t i, Lanes lanes)> load) {
  OpBuilder &b = e.builder();
  unsigned width = e.target().lanes(32);
  SmallVector<std::pair<Value, Lanes>> parts;
  Value largest;
  for (int64_t i = 0; i < count; i += width) {
    bool isWhole = count - i >= width;
    Lanes lanes(width, isWhole ? Value() : e.firstLanes(e.i64(count - i), width));
    parts.emplace_back(load(i, lanes), lanes);
    Value size = b.create<math::AbsFOp>(e.loc(), parts.back().first);
    if (!isWhole)
      size = e.select(lanes.mask, size, e.f32(0, width));
    largest = largest ? e.maxf(largest, size) : size;
  }
  Value scale = e.divf(width > 1 ? e.reduceMax(largest) : largest, e.f32(127));
  Value isZero = b.create<arith::CmpFOp>(e.loc(), arith::CmpFPredicate::OEQ, scale, e.f32(0));
  Value inverse = e.splat(e.select(isZero, e.f32(0), e.divf(e.f32(1), scale)), width);
  e.store(b.getF16Type(), scale, block, e.i64(0));
  for (auto [i, part] : llvm::enumerate(parts))
    e.store(b.getI8Type(), roundedToBytes(e, e.mulf(part.first, inverse)), block,
            e.i64(lm::kCacheScaleBytes + i * width), part.second);
}

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
// place), so only new rows are written, of a pool those of the sequence's pages. A cache of bytes gets
// them a block at a time.
Schedule emitCacheAppend(Expression &x) {
  Emit &e = x.emit;
  auto op = opOf<lm::CacheAppendOp>(x);
  lm::Shape cache = lm::shapeOf(op.getCache()), update = lm::shapeOf(op.getUpdate());
  ArrayRef<lm::Dim> tokens = ArrayRef<lm::Dim>(update).take_front(2);
  Value pointer = e.buffer(x.body.getNumArguments());
  Type storage = lm::elementOf(op.getY());
  SmallVector<Extent, 4> strides = x.strides(cache);
  auto number = [&](Value ids, ArrayRef<Value> at) -> Value {
    Expression::Scope scope(x);
    Index index;
    index.at.assign(at.begin(), at.end());
    return e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), x.evaluate(ids, index));
  };
  auto appendHeads = [&](ArrayRef<Value> token, Value firstRow) {
    e.loop(e.i64(0), x.extent(update[2]).emit(e), 1, [&](Value head) {
      Value row = e.add(firstRow, e.mul(head, strides[2].emit(e)));
      auto load = [&](Value d, Lanes lanes) {
        Expression::Scope scope(x);
        Index at;
        at.at = {token[0], token[1], head, d};
        at.lane = 3;
        at.lanes = lanes;
        return x.evaluateLanes(op.getUpdate(), at);
      };
      if (!storage.isInteger(8)) {
        e.vectorLoop(e.i64(0), x.extent(update[3]).emit(e), e.target().lanes(32),
                     [&](Value d, Lanes lanes) {
                       e.store(storage, load(d, lanes), pointer, e.add(row, d), lanes);
                     });
        return;
      }
      auto store = [&](Value first, int64_t count) {
        Value byte = e.mul(e.div(first, e.i64(lm::kCacheBlock)), lm::kCacheBlockBytes);
        storeBlock(e, e.offset(pointer, e.add(row, byte)), count,
                   [&](int64_t i, Lanes lanes) { return load(e.add(first, i), lanes); });
      };
      int64_t D = update[3].size, whole = D / lm::kCacheBlock * lm::kCacheBlock;
      e.loop(e.i64(0), e.i64(whole), lm::kCacheBlock,
             [&](Value first) { store(first, lm::kCacheBlock); });
      if (whole < D)
        store(e.i64(whole), D - whole);
      int64_t last = lm::cacheRowBytes(D) - 1; // of an odd number of codes nothing is left behind
      if (D % 2)
        e.store(storage, e.constant(storage, 0), pointer, e.add(row, last));
    });
  };
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    SmallVector<Value, 4> token = unflatten(x, item, tokens);
    bool ofEach = !lm::shapeOf(op.getPast()).empty();
    Value past = number(op.getPast(), ofEach ? ArrayRef(token).take_front() : ArrayRef<Value>());
    Value place = e.add(e.max(past, e.i64(0)), token[1]);
    auto rowOf = [&](Value first, Value inside) {
      return e.add(e.mul(first, strides[0].emit(e)), e.mul(inside, strides[1].emit(e)));
    };
    if (!op.getPages())
      return appendHeads(token, rowOf(token[0], place));
    // A token without a page is left out.
    Value room = x.product(op.getKeyDims()).emit(e), inPage = e.i64(cache[1].size);
    e.ifThen(e.less(place, room), [&] {
      Value page = number(op.getPages(), {token[0], e.div(place, inPage)});
      Value isInPool = e.builder().create<arith::AndIOp>(e.loc(), e.less(e.i64(-1), page),
                                                         e.less(page, x.extent(cache[0]).emit(e)));
      e.ifThen(isInPool, [&] { appendHeads(token, rowOf(page, e.rem(place, inPage))); });
    });
  });
  Schedule schedule;
  schedule.items = itemsOf(x.product(tokens));
  return schedule;
}

} // namespace lmc::cpu
