// The adjoints of attention, from the scores' log-sum-exp: weights are computed again, tile by
// tile.
#include "codegen/cpu/AttentionEmitter.h"

namespace lmc::cpu {

namespace {
enum Statistic { LogSumExp, Delta }; // by query
}

// Columns are queries, rows are keys.
void AttentionEmitter::dq(const AttentionDqOperands &o) {
  Value queries = d.queries.emit(e), keys = d.keys.emit(e);
  forEachItem(queries, d.heads, d.scores.causal, [&](Value batch, Value head, Value first) {
    Value keyHead = e.div(head, e.i64(d.heads / d.keyHeads));
    Matrix q = matrix(o.q, batch, head), k = matrix(o.k, batch, keyHead),
           v = matrix(o.v, batch, keyHead), dout = matrix(o.dout, batch, head),
           dq = matrix(o.dq, batch, head);
    Value count = e.min(e.i64(p.columns), e.sub(queries, first));
    Value seen = d.scores.causal ? e.min(e.add(first, count), keys) : keys;
    packColumns(q, first, count, area(FirstPacked), packedScale());
    packColumns(dout, first, count, area(SecondPacked), 1);
    copyStatistic(matrix(o.lse, batch, head), first, count, statistic(LogSumExp));
    copyStatistic(matrix(o.delta, batch, head), first, count, statistic(Delta));
    fill(area(FirstSums), p.columns * p.depth, 0);
    e.loop(firstKey(first), seen, p.rows, [&](Value key) {
      Value rows = e.min(e.i64(p.rows), e.sub(seen, key));
      copyRows(k, key, rows, area(FirstRows));
      copyRows(v, key, rows, area(SecondRows));
      Value ahead = e.sub(first, key); // column c stands at row c + ahead
      e.loop(e.i64(0), count, p.group, [&](Value column) {
        Range range = visibleRows(column, 0, p.group, ahead, rows);
        e.ifThen(e.less(range.low, range.high), [&] {
          product(area(FirstRows), area(FirstPacked), column, area(FirstScores), range);
          product(area(SecondRows), area(SecondPacked), column, area(SecondScores), range);
          Value position = e.add(column, ahead);
          atEdges({position, e.add(position, p.group)}, range,
                  [&](bool masked) { weightsByQuery(column, range, ahead, masked); });
          addWeightedRows(area(SecondScores), area(FirstRows), area(FirstSums), column, {},
                          [&](int64_t from, int64_t number) {
                            return visibleRows(column, from, number, ahead, rows);
                          });
        });
      });
    });
    storeSums(area(FirstSums), dq, first, count,
              [&](Value) { return e.f32(d.scores.scale, p.lanes); });
  });
}

// dP in SecondScores becomes dS.
void AttentionEmitter::weightsByQuery(Value column, Range range, Value ahead, bool masked) {
  unsigned lanes = p.lanes;
  for (unsigned v = 0; v < p.group / lanes; ++v) {
    Value at = e.add(column, v * lanes);
    Value lse = e.load(type, statistic(LogSumExp), at, lanes);
    Value delta = e.load(type, statistic(Delta), at, lanes);
    Value query = masked ? positions(e.add(at, ahead), 1) : Value();
    e.loop(range.low, range.high, 1, [&](Value row) {
      Value place = e.add(e.mul(row, p.group), v * lanes);
      Weight weight = weightOf(e.load(type, area(FirstScores), place, lanes), lse);
      Value x = e.subf(e.load(type, area(SecondScores), place, lanes), delta);
      x = e.mulf(weight.p, x);
      if (weight.slope)
        x = e.mulf(x, weight.slope);
      if (masked)
        x = keep(query, positions(row, 0), x, 0);
      e.store(type, x, area(SecondScores), place, lanes);
    });
  }
}

// Columns are keys, rows are queries; the query heads of a key head follow one another.
void AttentionEmitter::keyTile(const AttentionDkDvOperands &o, Value batch, Value keyHead,
                               Value first) {
  Value queries = d.queries.emit(e), keys = d.keys.emit(e);
  int64_t perKeyHead = d.heads / d.keyHeads;
  bool withDq = p.kind == AttentionKind::Dqkv;
  Matrix k = matrix(o.k, batch, keyHead), v = matrix(o.v, batch, keyHead),
         dk = matrix(o.dk, batch, keyHead), dv = matrix(o.dv, batch, keyHead);
  Value count = e.min(e.i64(p.columns), e.sub(keys, first));
  packColumns(k, first, count, area(FirstPacked), packedScale());
  if (withDq) {
    copyRows(k, first, count, area(ColumnRows));
    // Packed columns past the end repeat the last one: their weights must not count.
    fill(e.at(type, area(ColumnRows), e.mul(count, p.depth)), p.group * p.depth, 0);
  }
  packColumns(v, first, count, area(SecondPacked), 1);
  fill(area(FirstSums), p.columns * p.depth, 0);
  fill(area(SecondSums), p.columns * p.depth, 0);
  // Queries that see some of the columns column .. column + number - 1, of keys at `start`.
  auto seenBy = [&](Value start, Value column, Value number, Value end) -> Range {
    if (!d.scores.causal)
      return {e.i64(0), end};
    Value key = e.add(start, column);
    if (d.scores.window)
      end = e.min(end, e.add(e.add(key, number), d.scores.window - 1));
    return {e.min(e.max(key, e.i64(0)), end), end};
  };
  Range seen = seenBy(first, e.i64(0), count, queries);
  e.loop(e.i64(0), e.i64(perKeyHead), 1, [&](Value inGroup) {
    Value head = e.add(e.mul(keyHead, perKeyHead), inGroup);
    Matrix q = matrix(o.q, batch, head), dout = matrix(o.dout, batch, head);
    e.loop(seen.low, seen.high, p.rows, [&](Value query) {
      Value rows = e.min(e.i64(p.rows), e.sub(seen.high, query));
      copyRows(q, query, rows, area(FirstRows));
      copyRows(dout, query, rows, area(SecondRows));
      copyStatistic(matrix(o.lse, batch, head), query, rows, statistic(LogSumExp));
      copyStatistic(matrix(o.delta, batch, head), query, rows, statistic(Delta));
      Value ahead = e.sub(first, query); // column c stands at row c + ahead
      e.loop(e.i64(0), count, p.group, [&](Value column) {
        Range range = seenBy(ahead, column, e.i64(p.group), rows);
        e.ifThen(e.less(range.low, range.high), [&] {
          product(area(FirstRows), area(FirstPacked), column, area(FirstScores), range);
          product(area(SecondRows), area(SecondPacked), column, area(SecondScores), range);
          Value key = e.add(column, ahead);
          atEdges(range, {key, e.add(key, p.group)},
                  [&](bool masked) { weightsByKey(column, range, ahead, masked); });
          auto rangeOf = [&](int64_t from, int64_t number) {
            return seenBy(ahead, e.add(column, from), e.i64(number), rows);
          };
          addWeightedRows(area(FirstScores), area(SecondRows), area(SecondSums), column, {},
                          rangeOf);
          addWeightedRows(area(SecondScores), area(FirstRows), area(FirstSums), column, {},
                          rangeOf);
          if (withDq)
            addWeightedColumns(area(SecondScores), area(ColumnRows), column,
                               rowSums(e.add(e.mul(inGroup, queries), query)), range);
        });
      });
    });
  });
  storeSums(area(FirstSums), dk, first, count,
            [&](Value) { return e.f32(d.scores.scale, p.lanes); });
  storeSums(area(SecondSums), dv, first, count, [&](Value) { return e.f32(1, p.lanes); });
}

void AttentionEmitter::dkdv(const AttentionDkDvOperands &o) {
  forEachItem(d.keys.emit(e), d.keyHeads, false,
              [&](Value batch, Value keyHead, Value first) { keyTile(o, batch, keyHead, first); });
}

// Tiles of keys in rising order, which is the order of dq's sums.
void AttentionEmitter::dqkv(const AttentionDqkvOperands &o) {
  Value queries = d.queries.emit(e), keys = d.keys.emit(e);
  int64_t perKeyHead = d.heads / d.keyHeads;
  forEachItem(e.i64(1), d.keyHeads, false, [&](Value batch, Value keyHead, Value) {
    e.loop(e.i64(0), e.mul(queries, perKeyHead), 1,
           [&](Value row) { fill(rowSums(row), p.depth, 0); });
    e.loop(e.i64(0), keys, p.columns, [&](Value first) { keyTile(o, batch, keyHead, first); });
    e.loop(e.i64(0), e.i64(perKeyHead), 1, [&](Value inGroup) {
      Value head = e.add(e.mul(keyHead, perKeyHead), inGroup);
      storeSums(rowSums(e.mul(inGroup, queries)), matrix(o.dq, batch, head), e.i64(0), queries,
                [&](Value) { return e.f32(d.scores.scale, p.lanes); });
    });
  });
}

// Scores become P, dP becomes dS.
void AttentionEmitter::weightsByKey(Value column, Range range, Value ahead, bool masked) {
  unsigned lanes = p.lanes, vectors = p.group / lanes;
  Values key;
  for (unsigned v = 0; v < vectors && masked; ++v)
    key.push_back(positions(e.add(e.add(column, ahead), v * lanes), 1));
  e.loop(range.low, range.high, 1, [&](Value row) {
    Value lse = e.loadSplat(type, statistic(LogSumExp), row, lanes);
    Value delta = e.loadSplat(type, statistic(Delta), row, lanes);
    for (unsigned v = 0; v < vectors; ++v) {
      Value place = e.add(e.mul(row, p.group), v * lanes);
      Weight weight = weightOf(e.load(type, area(FirstScores), place, lanes), lse);
      if (masked)
        weight.p = keep(positions(row, 0), key[v], weight.p, 0);
      Value x = e.subf(e.load(type, area(SecondScores), place, lanes), delta);
      x = e.mulf(weight.p, x);
      if (weight.slope)
        x = e.mulf(x, weight.slope);
      e.store(type, weight.p, area(FirstScores), place, lanes);
      e.store(type, x, area(SecondScores), place, lanes);
    }
  });
}

void emitAttentionDq(Emit &emit, const AttentionDescription &description, const AttentionPlan &plan,
                     const AttentionDqOperands &operands) {
  AttentionEmitter(emit, description, plan).dq(operands);
}

void emitAttentionDkDv(Emit &emit, const AttentionDescription &description,
                       const AttentionPlan &plan, const AttentionDkDvOperands &operands) {
  AttentionEmitter(emit, description, plan).dkdv(operands);
}

void emitAttentionDqkv(Emit &emit, const AttentionDescription &description,
                       const AttentionPlan &plan, const AttentionDqkvOperands &operands) {
  AttentionEmitter(emit, description, plan).dqkv(operands);
}

} // namespace lmc::cpu
