// out = softmax(scale q k^T) v: a tile of queries meets tiles of keys, with running maxima and
// sums.
#include "codegen/cpu/AttentionEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

namespace lmc::cpu {

namespace {
enum Statistic { Largest, Total, Decay }; // by query
}

// A mistaken past must not lead outside of the cache.
AttentionEmitter::Value AttentionEmitter::pastOf(const AttentionNumbers &past, Value batch) {
  if (!past.pointer)
    return e.i64(0);
  return e.max(loadNumber(past.pointer, numberOf(past, batch)), e.i64(0));
}

AttentionEmitter::Range AttentionEmitter::visibleRows(Value column, int64_t first, int64_t count,
                                                      Value ahead, Value rows) {
  if (!d.scores.causal)
    return {e.i64(0), rows};
  Value position = e.add(e.add(column, ahead), first);
  return {firstKey(position), e.max(e.min(e.add(position, count), rows), e.i64(0))};
}

void AttentionEmitter::forward(const AttentionForwardOperands &o) {
  if (p.decode)
    return decode(o);
  Value queries = d.queries.emit(e), cache = d.keys.emit(e);
  forEachItem(queries, d.heads, d.scores.causal, [&](Value batch, Value head, Value first) {
    Value past = pastOf(o.past, batch);
    Value keyHead = e.div(head, e.i64(d.heads / d.keyHeads));
    Matrix q = matrix(o.q, batch, head), k = cached(o.k, o.pages, batch, keyHead),
           v = cached(o.v, o.pages, batch, keyHead), out = matrix(o.out, batch, head),
           lse = matrix(o.lse, batch, head);
    Value count = e.min(e.i64(p.columns), e.sub(queries, first));
    Value seen = d.scores.causal  ? e.add(past, e.add(first, count))
                 : o.past.pointer ? e.add(past, queries)
                                  : cache;
    seen = e.min(seen, cache);
    packColumns(q, first, count, area(FirstPacked), packedScale());
    fill(area(FirstSums), p.columns * p.depth, 0);
    // Finite, so that what is masked off is far below it.
    fill(statistic(Largest), p.columns, -1e30);
    fill(statistic(Total), p.columns, 0);
    e.loop(firstKey(e.add(past, first)), seen, p.rows, [&](Value key) {
      Value rows = e.min(e.i64(p.rows), e.sub(seen, key));
      copyRows(k, key, rows, area(FirstRows));
      copyRows(v, key, rows, area(SecondRows));
      // Column c of this tile stands at row c + ahead.
      Value ahead = e.sub(e.add(past, first), key);
      e.loop(e.i64(0), count, p.group, [&](Value column) {
        Range range = visibleRows(column, 0, p.group, ahead, rows);
        e.ifThen(e.less(range.low, range.high), [&] {
          product(area(FirstRows), area(FirstPacked), column, area(FirstScores), range);
          Value position = e.add(column, ahead);
          atEdges({position, e.add(position, p.group)}, range,
                  [&](bool masked) { softmax(column, range, ahead, masked); });
          addWeightedRows(area(FirstScores), area(SecondRows), area(FirstSums), column,
                          statistic(Decay), [&](int64_t from, int64_t number) {
                            return visibleRows(column, from, number, ahead, rows);
                          });
        });
      });
    });
    e.loop(e.i64(0), count, p.lanes, [&](Value column) {
      Value largest = e.load(type, statistic(Largest), column, p.lanes);
      Value total = e.load(type, statistic(Total), column, p.lanes);
      Value log = e.builder().create<mlir::math::LogOp>(e.loc(), total);
      e.store(type, e.addf(largest, log), statistic(Largest), column, p.lanes);
      e.store(type, e.divf(e.f32(1, p.lanes), total), statistic(Decay), column, p.lanes);
    });
    e.loop(e.i64(0), count, 1, [&](Value column) {
      e.store(lse.storage, e.load(type, statistic(Largest), column), lse.pointer,
              indexOf(lse, e.add(first, column)));
    });
    storeSums(area(FirstSums), out, first, count,
              [&](Value column) { return e.loadSplat(type, statistic(Decay), column, p.lanes); });
  });
}

// Scores of a group become weights exp(score - largest); what was summed before decays by
// exp(largest before - largest).
void AttentionEmitter::softmax(Value column, Range range, Value ahead, bool masked) {
  unsigned lanes = p.lanes, vectors = p.group / lanes;
  Value scores = area(FirstScores);
  auto place = [&](Value row, unsigned v) { return e.add(e.mul(row, p.group), v * lanes); };
  Values before, queries;
  for (unsigned v = 0; v < vectors; ++v) {
    before.push_back(e.load(type, statistic(Largest), e.add(column, v * lanes), lanes));
    if (masked)
      queries.push_back(positions(e.add(e.add(column, ahead), v * lanes), 1));
  }
  Values largest = e.loopCarried(
      range.low, range.high, e.i64(1), before, [&](Value row, mlir::ValueRange carried) {
        Values next;
        for (unsigned v = 0; v < vectors; ++v) {
          Value x = scoreOf(e.load(type, scores, place(row, v), lanes));
          if (masked)
            x = keep(queries[v], positions(row, 0), x, -std::numeric_limits<double>::infinity());
          if (masked || isCapped())
            e.store(type, x, scores, place(row, v), lanes);
          next.push_back(larger(x, carried[v]));
        }
        return next;
      });
  Values totals;
  for (unsigned v = 0; v < vectors; ++v) {
    Value at = e.add(column, v * lanes), decay = exp(e.subf(before[v], largest[v]));
    e.store(type, largest[v], statistic(Largest), at, lanes);
    e.store(type, decay, statistic(Decay), at, lanes);
    totals.push_back(e.mulf(e.load(type, statistic(Total), at, lanes), decay));
  }
  totals = e.loopCarried(range.low, range.high, e.i64(1), totals,
                         [&](Value row, mlir::ValueRange carried) {
                           Values next;
                           for (unsigned v = 0; v < vectors; ++v) {
                             Value x = e.load(type, scores, place(row, v), lanes);
                             Value weight = exp(e.subf(x, largest[v]));
                             e.store(type, weight, scores, place(row, v), lanes);
                             next.push_back(e.addf(carried[v], weight));
                           }
                           return next;
                         });
  for (unsigned v = 0; v < vectors; ++v)
    e.store(type, totals[v], statistic(Total), e.add(column, v * lanes), lanes);
}

void emitAttentionForward(Emit &emit, const AttentionDescription &description,
                          const AttentionPlan &plan, const AttentionForwardOperands &operands) {
  AttentionEmitter(emit, description, plan).forward(operands);
}

} // namespace lmc::cpu
