// Rows of queries, keys and values: where they lie, in one piece or in pages, and how they come from there into tiles.
#include "codegen/cpu/AttentionEmitter.h"
#include "ir/CacheRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cassert>

namespace lmc::cpu {

/// Rows of one head lie far apart, so no processor sees the next ones coming.
constexpr int64_t kRowsAhead = 12;

AttentionEmitter::Matrix AttentionEmitter::matrix(const AttentionOperand &operand, Value batch,
                                                  Value head) {
  Value base =
      e.add(e.mul(batch, operand.batchStride.emit(e)), e.mul(head, operand.headStride.emit(e)));
  if (operand.offset)
    base = e.add(base, operand.offset);
  return {operand.storage,
          operand.pointer,
          base,
          operand.tokenStride.emit(e),
          {},
          {},
          {},
          {},
          {},
          {},
          {}};
}

AttentionEmitter::Matrix AttentionEmitter::cached(const AttentionOperand &operand,
                                                  const AttentionNumbers &pages, Value batch,
                                                  Value head) {
  if (!pages.pointer)
    return matrix(operand, batch, head);
  Matrix rows = matrix(operand, e.i64(0), head);
  rows.pages = pages.pointer;
  rows.firstPage = numberOf(pages, batch);
  rows.nextPage = pages.stride.emit(e);
  rows.pageStride = operand.batchStride.emit(e);
  return rows;
}

AttentionEmitter::Value AttentionEmitter::loadNumber(Value pointer, Value index) {
  mlir::OpBuilder &b = e.builder();
  return b.create<mlir::arith::ExtSIOp>(e.loc(), b.getI64Type(),
                                        e.load(b.getI32Type(), pointer, index));
}

AttentionEmitter::Value AttentionEmitter::numberOf(const AttentionNumbers &numbers, Value batch) {
  Value first = e.mul(batch, numbers.batchStride.emit(e));
  return numbers.offset ? e.add(first, numbers.offset) : first;
}

AttentionEmitter::Value AttentionEmitter::indexOf(const Matrix &of, Value row) {
  if (!of.pages)
    return e.add(of.base, e.mul(row, of.stride));
  if (of.places) {
    Value place = e.load(e.i64Type(), of.places, e.sub(row, of.firstPlace));
    return e.add(of.base, e.mul(place, of.stride));
  }
  Value tokens = e.i64(d.pageTokens), page = pageOf(of, e.div(row, tokens));
  return e.add(e.add(of.base, e.mul(page, of.pageStride)), e.mul(e.rem(row, tokens), of.stride));
}

// A mistaken page must not lead outside of the pool.
AttentionEmitter::Value AttentionEmitter::pageOf(const Matrix &of, Value number) {
  Value entry = e.add(of.firstPage, e.mul(number, of.nextPage));
  Value page = e.max(loadNumber(of.pages, entry), e.i64(0));
  return e.min(page, e.sub(d.poolPages.emit(e), e.i64(1)));
}

void AttentionEmitter::findPlaces(Matrix &k, Matrix &v, Value first, Value count) {
  Value tokens = e.i64(d.pageTokens), end = e.add(first, count);
  e.loop(e.div(first, tokens), e.ceilDiv(end, tokens), 1, [&](Value number) {
    Value page = pageOf(k, number), begin = e.mul(number, tokens);
    Value shift = e.sub(e.mul(page, tokens), begin);
    e.loop(e.max(begin, first), e.min(e.add(begin, tokens), end), 1, [&](Value row) {
      e.store(e.i64Type(), e.add(row, shift), area(Places), e.sub(row, first));
    });
  });
  for (Matrix *of : {&k, &v}) {
    of->places = area(Places);
    of->firstPlace = first;
    of->lastPlace = e.sub(end, e.i64(1));
  }
}

void AttentionEmitter::alongDepth(llvm::function_ref<void(int64_t at, Lanes memory)> body) {
  for (int64_t at = 0; at < p.depth; at += p.lanes) {
    int64_t left = d.headDim - at;
    body(at, left >= p.lanes
                 ? Lanes(p.lanes)
                 : Lanes(p.lanes, p.lanes == 1 ? Value() : e.firstLanes(e.i64(left), p.lanes)));
  }
}

// By groups: [group][D][p.group]. Columns past the end repeat the last one; nothing reads them.
void AttentionEmitter::packColumns(const Matrix &from, Value first, Value count, Value to,
                                   double factor) {
  unsigned lanes = p.lanes;
  Value last = e.add(first, e.sub(count, e.i64(1)));
  e.loop(e.i64(0), count, p.group, [&](Value group) {
    Value start = e.mul(group, d.headDim);
    e.loop(e.i64(0), e.i64(p.group), lanes, [&](Value v) {
      Values index;
      for (unsigned i = 0; i < lanes; ++i)
        index.push_back(indexOf(from, e.min(e.add(e.add(e.add(first, group), v), i), last)));
      auto block = [&](Value k, Lanes memory, unsigned wanted) {
        Values rows;
        for (unsigned i = 0; i < lanes; ++i)
          rows.push_back(e.load(from.storage, from.pointer, e.add(index[i], k), memory));
        rows = e.transpose(rows);
        for (unsigned i = 0; i < wanted; ++i) {
          Value x = factor == 1 ? rows[i] : e.mulf(rows[i], e.f32(factor, lanes));
          Value place = e.add(e.mul(e.add(k, i), p.group), v);
          e.store(type, x, to, e.add(start, place), lanes);
        }
      };
      int64_t whole = d.headDim / lanes * lanes, rest = d.headDim - whole;
      e.loop(e.i64(0), e.i64(whole), lanes, [&](Value k) { block(k, Lanes(lanes), lanes); });
      if (rest)
        block(e.i64(whole), Lanes(lanes, e.firstLanes(e.i64(rest), lanes)), rest);
    });
  });
}

void AttentionEmitter::prefetchRow(const Matrix &of, Value row) {
  if (of.pages) // behind the last row the table has no page
    row = e.min(row, of.places ? of.lastPlace : e.sub(d.keys.emit(e), e.i64(1)));
  Value index = indexOf(of, row);
  int64_t line = 64 / Emit::storageBytes(of.storage);
  int64_t elements = of.storage.isInteger(8) ? lm::cacheRowBytes(d.headDim) : d.headDim;
  for (int64_t at = 0; at < elements; at += line)
    e.prefetch(of.storage, of.pointer, e.add(index, at));
}

// Codes times their scale are exact in f32: what is computed on is what the row stands for.
AttentionEmitter::Value AttentionEmitter::loadRow(const Matrix &of, Value index, int64_t at,
                                                  Lanes memory) {
  if (!of.storage.isInteger(8))
    return e.load(of.storage, of.pointer, e.add(index, at), memory);
  assert(lm::kCacheBlock % p.lanes == 0 && "a vector has one scale");
  mlir::OpBuilder &b = e.builder();
  Value block = e.add(index, at / lm::kCacheBlock * lm::kCacheBlockBytes);
  Value codes = e.load(of.storage, of.pointer,
                       e.add(block, lm::kCacheScaleBytes + at % lm::kCacheBlock), memory);
  codes = b.create<mlir::arith::ExtSIOp>(e.loc(), Emit::vectorOf(b.getI32Type(), p.lanes), codes);
  Value numbers = b.create<mlir::arith::SIToFPOp>(e.loc(), Emit::vectorOf(type, p.lanes), codes);
  Value scale = e.loadSplat(b.getF16Type(), e.offset(of.pointer, block), e.i64(0), p.lanes);
  return e.mulf(numbers, scale);
}

void AttentionEmitter::copyRows(const Matrix &from, Value first, Value count, Value to) {
  e.loop(e.i64(0), count, 1, [&](Value row) {
    Value index = indexOf(from, e.add(first, row)), place = e.mul(row, p.depth);
    prefetchRow(from, e.add(e.add(first, row), kRowsAhead));
    alongDepth([&](int64_t at, Lanes memory) {
      e.store(type, loadRow(from, index, at, memory), to, e.add(place, at), p.lanes);
    });
  });
}

void AttentionEmitter::copyStatistic(const Matrix &from, Value first, Value count, Value to) {
  e.loop(e.i64(0), count, 1, [&](Value i) {
    e.store(type, e.load(from.storage, from.pointer, indexOf(from, e.add(first, i))), to, i);
  });
}

void AttentionEmitter::fill(Value pointer, int64_t count, double value) {
  e.loop(e.i64(0), e.i64(count), p.lanes,
         [&](Value i) { e.store(type, e.f32(value, p.lanes), pointer, i, p.lanes); });
}

} // namespace lmc::cpu
