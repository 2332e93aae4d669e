// One query a head against the cache: every key and value is read once, for all heads that share
// it. Mapping: an item is a key head. Limit: reading the cache.
#include "codegen/cpu/AttentionEmitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <algorithm>
#include <limits>

namespace lmc::cpu {

namespace {
enum Statistic { Largest, Total, Decay }; // by query head

} // namespace

/// Do pages follow one another as their tokens do?
bool AttentionEmitter::areRows(const AttentionOperand &pool) const {
  return pool.batchStride.isFixed() && pool.tokenStride.isFixed() &&
         pool.batchStride.factor == d.pageTokens * pool.tokenStride.factor;
}

void AttentionEmitter::decode(const AttentionForwardOperands &o) {
  int64_t heads = d.heads / d.keyHeads;
  Value cache = d.keys.emit(e);
  forEachItem(e.i64(1), d.keyHeads, false, [&](Value batch, Value keyHead, Value) {
    Value past = pastOf(o.past, batch);
    Value seen = o.past.pointer || d.scores.causal ? e.min(e.add(past, 1), cache) : cache;
    Value firstHead = e.mul(keyHead, heads), zero = e.i64(0);
    Matrix k = cached(o.k, o.pages, batch, keyHead), v = cached(o.v, o.pages, batch, keyHead);
    for (int64_t head = 0; head < heads; ++head) {
      Matrix q = matrix(o.q, batch, e.add(firstHead, head));
      alongDepth([&](int64_t at, Lanes memory) {
        Value x = e.load(q.storage, q.pointer, e.add(q.base, at), memory);
        e.store(type, e.mulf(x, e.f32(packedScale(), p.lanes)), area(FirstPacked),
                e.i64(head * p.depth + at), p.lanes);
      });
      e.store(type, e.f32(-1e30), statistic(Largest), e.i64(head));
      e.store(type, e.f32(0), statistic(Total), e.i64(head));
    }
    // Both are pools as they lie: a row's place in one is that in the other.
    bool inPlaces = d.pageTokens > 0 && areRows(o.k) && areRows(o.v);
    fill(area(FirstSums), heads * p.depth, 0);
    e.loop(firstKey(past), seen, p.rows, [&](Value key) {
      Value rows = e.min(e.i64(p.rows), e.sub(seen, key));
      Matrix keys = k, values = v; // of this tile
      if (inPlaces)
        findPlaces(keys, values, key, e.min(e.i64(p.rows + keysAhead), e.sub(cache, key)));
      decodeScores(keys, key, rows);
      e.loop(zero, e.i64(heads), 1, [&](Value head) { decodeSoftmax(head, rows); });
      decodeSums(values, key, rows);
    });
    for (int64_t head = 0; head < heads; ++head) {
      Value total = e.load(type, statistic(Total), e.i64(head));
      Value log = e.builder().create<mlir::math::LogOp>(e.loc(), total);
      Matrix lse = matrix(o.lse, batch, e.add(firstHead, head));
      e.store(lse.storage, e.addf(e.load(type, statistic(Largest), e.i64(head)), log), lse.pointer,
              lse.base);
      Value factor = e.splat(e.divf(e.f32(1), total), p.lanes);
      Matrix out = matrix(o.out, batch, e.add(firstHead, head));
      alongDepth([&](int64_t at, Lanes memory) {
        Value x = e.load(type, area(FirstSums), e.i64(head * p.depth + at), p.lanes);
        e.store(out.storage, e.mulf(x, factor), out.pointer, e.add(out.base, at), memory);
      });
    }
  });
}

AttentionEmitter::Value AttentionEmitter::decodeScore(Value head, Value row) {
  return e.add(e.mul(head, p.rows + p.lanes), row);
}

// Some keys by some heads at a time, so that sums are in flight and each vector of a key is loaded
// once for the heads.
void AttentionEmitter::decodeScores(const Matrix &k, Value key, Value rows) {
  int64_t heads = d.heads / d.keyHeads, together = std::min<int64_t>(heads, 4);
  int64_t keys = 8 / llvm::PowerOf2Ceil(together);
  Value last = e.sub(rows, e.i64(1));
  e.loop(e.i64(0), rows, keys, [&](Value row) {
    Values index;
    for (int64_t i = 0; i < keys; ++i) {
      Value at = e.add(key, e.min(e.add(row, i), last));
      index.push_back(indexOf(k, at));
      prefetchRow(k, e.add(at, keysAhead));
    }
    for (int64_t first = 0; first < heads; first += together) {
      int64_t count = std::min(together, heads - first);
      Values sums(keys * count, e.f32(0, p.lanes));
      alongDepth([&](int64_t at, Lanes memory) {
        Values right;
        for (int64_t i = 0; i < keys; ++i)
          right.push_back(loadRow(k, index[i], at, memory));
        for (int64_t h = 0; h < count; ++h) {
          Value left = e.load(type, area(FirstPacked), e.i64((first + h) * p.depth + at), p.lanes);
          for (int64_t i = 0; i < keys; ++i)
            sums[h * keys + i] = e.fma(left, right[i], sums[h * keys + i]);
        }
      });
      for (int64_t h = 0; h < count; ++h)
        for (int64_t i = 0; i < keys; ++i)
          e.store(type, e.reduceAdd(sums[h * keys + i]), area(FirstScores),
                  decodeScore(e.i64(first + h), e.add(row, i)));
    }
  });
}

void AttentionEmitter::decodeSoftmax(Value head, Value rows) {
  Value zero = e.i64(0), width = e.i64(p.lanes);
  if (isCapped())
    e.loop(zero, rows, width, [&](Value row) {
      Value at = decodeScore(head, row);
      e.store(type, scoreOf(e.load(type, area(FirstScores), at, p.lanes)), area(FirstScores), at,
              p.lanes);
    });
  // Whole vectors: the rest weighs nothing.
  e.store(type, e.f32(-std::numeric_limits<double>::infinity(), p.lanes), area(FirstScores),
          decodeScore(head, rows), p.lanes);
  Value before = e.load(type, statistic(Largest), head);
  Value most = e.loopCarried(zero, rows, width, {e.splat(before, p.lanes)},
                             [&](Value row, mlir::ValueRange carried) -> Values {
                               Value x =
                                   e.load(type, area(FirstScores), decodeScore(head, row), p.lanes);
                               return {larger(x, carried[0])};
                             })[0];
  Value largest = e.reduceMax(most), splat = e.splat(largest, p.lanes);
  Value sum = e.loopCarried(zero, rows, width, {e.f32(0, p.lanes)},
                            [&](Value row, mlir::ValueRange carried) -> Values {
                              Value at = decodeScore(head, row);
                              Value x = e.load(type, area(FirstScores), at, p.lanes);
                              Value weight = exp(e.subf(x, splat));
                              e.store(type, weight, area(FirstScores), at, p.lanes);
                              return {e.addf(carried[0], weight)};
                            })[0];
  Value decay = exp(e.subf(before, largest));
  Value total = e.fma(e.load(type, statistic(Total), head), decay, e.reduceAdd(sum));
  e.store(type, largest, statistic(Largest), head);
  e.store(type, decay, statistic(Decay), head);
  e.store(type, total, statistic(Total), head);
}

void AttentionEmitter::decodeSums(const Matrix &v, Value key, Value rows) {
  int64_t heads = d.heads / d.keyHeads, together = std::min<int64_t>(heads, 4);
  int64_t vectors = p.depth / p.lanes;
  int64_t budget = e.target().vectorRegisters >= 32 ? 20 : 10;
  int64_t wide = std::clamp<int64_t>(budget / together, 1, vectors);
  for (int64_t first = 0; first < heads; first += together) {
    int64_t count = std::min(together, heads - first);
    for (int64_t start = 0; start < vectors; start += wide) {
      int64_t number = std::min(wide, vectors - start);
      auto place = [&](int64_t h, int64_t n) {
        return e.i64((first + h) * p.depth + (start + n) * p.lanes);
      };
      Values sums;
      for (int64_t h = 0; h < count; ++h)
        for (int64_t n = 0; n < number; ++n)
          sums.push_back(e.mulf(e.load(type, area(FirstSums), place(h, n), p.lanes),
                                e.loadSplat(type, statistic(Decay), e.i64(first + h), p.lanes)));
      sums =
          e.loopCarried(e.i64(0), rows, e.i64(1), sums, [&](Value row, mlir::ValueRange carried) {
            Values next(carried.begin(), carried.end()), right;
            Value index = indexOf(v, e.add(key, row));
            if (first == 0 && start == 0)
              prefetchRow(v, e.add(e.add(key, row), keysAhead));
            alongDepth([&](int64_t at, Lanes memory) {
              if (at >= start * p.lanes && at < (start + number) * p.lanes)
                right.push_back(loadRow(v, index, at, memory));
            });
            for (int64_t h = 0; h < count; ++h) {
              Value left =
                  e.loadSplat(type, area(FirstScores), decodeScore(e.i64(first + h), row), p.lanes);
              for (int64_t n = 0; n < number; ++n)
                next[h * number + n] = e.fma(left, right[n], next[h * number + n]);
            }
            return next;
          });
      for (int64_t h = 0; h < count; ++h)
        for (int64_t n = 0; n < number; ++n)
          e.store(type, sums[h * number + n], area(FirstSums), place(h, n), p.lanes);
    }
  }
}

} // namespace lmc::cpu
