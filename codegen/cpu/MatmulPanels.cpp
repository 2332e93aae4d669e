// B packed ahead: the register tile reads panels of weights where they are stored.
//
// Few rows are one tile over all of k: the panels are one stream through memory, as long as the
// worker's share. More rows take the packed path (MatmulPacked.cpp) without its copies of B; while
// the tiles of one piece of a panel are computed, the next piece comes from memory.
#include "codegen/cpu/MatmulEmitter.h"

#include "ir/Panels.h"

namespace lmc::cpu {

static lm::Panels panelsOf(const MatmulDescription &d) {
  return {d.k.factor, d.n.factor, d.b.panelWidth};
}

// `column` starts a panel, `k0` is a multiple of kPanelSteps.
MatmulEmitter::Value MatmulEmitter::panelAt(Value column, Value k0) {
  lm::Panels panels = panelsOf(d);
  Value place = e.mul(e.div(column, e.i64(panels.width)), panels.panelSize());
  return e.at(d.b.storage, b, e.add(place, e.mul(k0, panels.width)));
}

void MatmulEmitter::fewRowsOfPanels(unsigned rows, Value n0, Value n1) {
  Value zero = e.i64(0);
  int64_t nr = p.nr();
  packA(rows, packedA, zero, zero, k);
  int64_t bytes = Emit::storageBytes(d.b.storage), step = p.kUnroll * nr;
  // Far enough for memory, near enough for the second cache. Beyond the end it is harmless.
  int64_t distance = 4096 / bytes;
  e.loop(n0, n1, nr, [&](Value j) {
    Value panel = panelAt(j, zero);
    auto ahead = [&](Value at) {
      for (int64_t line = 0; line < step; line += kLine / bytes)
        e.prefetch(d.b.storage, panel, e.add(e.mul(at, step), distance + line), false, 3);
    };
    Values sum(rows * p.nv, e.constant(type, 0, p.lanes));
    sum = multiply(rows, packedA, d.b.storage, panel, e.ceilDiv(k, e.i64(p.kUnroll)), sum, ahead);
    for (unsigned v = 0; v < sum.size(); ++v)
      e.store(type, sum[v], sums, e.i64(v * p.lanes), p.lanes);
    finish(sums, nr, e.min(m, e.i64(rows)), e.min(e.i64(nr), e.sub(n1, j)), zero, j);
  });
}

// While all of A stays in the second cache panels are read one after the other, in the order in
// which they lie. A larger A passes through the caches once for p.nc columns.
MatmulEmitter::Value MatmulEmitter::columnsAtOnce() {
  int64_t bytes = Emit::storageBytes(type);
  int64_t rows = p.packA == PackA::Whole ? e.target().l2Bytes / 2 / (d.k.factor * bytes) : 0;
  if (d.hasFixedRows())
    return e.i64(d.m.factor <= rows ? p.nr() : p.nc);
  return e.select(e.less(e.i64(rows), m), e.i64(p.nc), e.i64(p.nr()));
}

// The piece [depth, nr] after this one is spread over the steps of the first two tiles.
void MatmulEmitter::prefetchNext(const Block &block, Value i, Value bPanel, Value steps,
                                 Value step) {
  int64_t nr = p.nr(), line = kLine / Emit::storageBytes(d.b.storage);
  int64_t part = std::max(line, p.kUnroll * nr / 2);
  Value oneByOne = e.equal(columnsAtOnce(), e.i64(nr));
  Value piece = e.mul(block.depth, nr);
  Value next = e.select(oneByOne, piece, e.i64(panelsOf(d).panelSize()));
  Value at = e.mul(e.add(e.mul(e.div(i, e.i64(p.mr)), steps), step), part);
  at = e.add(next, e.min(at, piece));
  for (int64_t offset = 0; offset < part; offset += line)
    e.prefetch(d.b.storage, bPanel, e.add(at, offset), false, 2);
}

} // namespace lmc::cpu
