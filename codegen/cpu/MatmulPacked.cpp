// The packed path: cache loops, packing, register tiles.
//
// Two orders of tiles. Where rows of B are contiguous (or nothing is) a block of B is packed at once,
// in long runs, and one panel of A at a time meets all of it. Where columns of B are contiguous, or B
// was packed ahead, one panel of B at a time meets a block of A: it is packed or read where it lies.
// Measured: the other way round each is 5 to 10 % slower.
//
// Packed A: panels of mr rows. Where k is contiguous a panel is [k / kUnroll][mr][kUnroll], which
// copies runs of A as they are; otherwise [k][mr]. Packed B: panels [k][nr]. Both are padded along
// k to kUnroll with zeros. Rows and columns beyond the matrix repeat the last one or are zero;
// their sums are dropped.
#include "codegen/cpu/MatmulEmitter.h"

#include <cassert>

namespace lmc::cpu {

void MatmulEmitter::packedRectangle(Value m0, Value m1, Value n0, Value n1) {
  Value zero = e.i64(0);
  auto rest = [&](Value block, Value from, Value to) { return e.min(block, e.sub(to, from)); };
  Value columnStep = isPanels() ? columnsAtOnce() : e.i64(p.nc);
  // A sum over no steps is zero, and must be stored all the same.
  Value depthEnd = d.ragged == MatmulDescription::Ragged::Depth ? e.max(k, e.i64(1)) : k;
  e.loop(m0, m1, p.mc, [&](Value i) {
    Value rows = rest(e.i64(p.mc), i, m1);
    if (p.packA == PackA::Whole)
      packRows(i, rows, zero, k);
    e.loop(n0, n1, columnStep, [&](Value j) {
      Value columns = rest(columnStep, j, n1);
      e.loop(zero, depthEnd, p.kc, [&](Value k0) {
        Value depth = rest(e.i64(p.kc), k0, k);
        if (p.packA == PackA::Block)
          packRows(i, rows, k0, depth);
        if (!p.panelByPanel)
          packB(k0, depth, j, columns);
        tiles({i, rows, k0, depth, j, columns});
      });
    });
  });
}

// Zeros in rows depth .. up to the next multiple of kUnroll of a panel that is `width` wide.
void MatmulEmitter::zeroTail(Value panel, Value depth, int64_t width) {
  Value padded = e.mul(e.ceilDiv(depth, e.i64(p.kUnroll)), p.kUnroll);
  if (Emit::constantOf(e.sub(padded, depth)) == 0)
    return;
  e.loop(e.mul(depth, width), e.mul(padded, width), 1,
         [&](Value i) { e.store(type, e.constant(type, 0), panel, i); });
}

void MatmulEmitter::packA(int64_t mr, Value panel, Value first, Value k0, Value depth) {
  Value zero = e.i64(0), lastRow = e.sub(m, e.i64(1));
  int64_t steps = p.kUnroll;
  if (aLies == Contiguous::AlongK) {
    Values row;
    for (int64_t r = 0; r < mr; ++r)
      row.push_back(e.min(e.add(first, r), lastRow));
    e.vectorLoop(zero, depth, fullLanes, [&](Value kk, Lanes lanes) {
      Value place = e.mul(kk, mr);
      for (int64_t r = 0; r < mr; ++r) {
        Value run = loadA(row[r], e.add(k0, kk), lanes);
        for (int64_t c = 0; c < fullLanes; c += steps) {
          llvm::SmallVector<int64_t> part;
          for (int64_t s = 0; s < steps; ++s)
            part.push_back(c + s);
          e.store(type, e.shuffle(run, run, part), panel, e.add(place, c * mr + r * steps), steps);
        }
      }
    });
    return;
  }
  e.loop(zero, depth, 1, [&](Value kk) {
    e.loop(zero, e.i64(mr), 1, [&](Value r) {
      Value element = loadA(e.min(e.add(first, r), lastRow), e.add(k0, kk));
      e.store(type, element, panel, e.add(e.mul(kk, mr), r));
    });
  });
  zeroTail(panel, depth, mr);
}

// All panels of some rows. Columns of A that are contiguous are read to their end.
void MatmulEmitter::packRows(Value first, Value rows, Value k0, Value depth) {
  Value zero = e.i64(0);
  int64_t mr = p.mr;
  auto panelOf = [&](Value row) { return e.at(type, packedA, e.mul(row, p.aDepth)); };
  if (aLies != Contiguous::Across)
    return e.loop(zero, rows, mr,
                  [&](Value i) { packA(mr, panelOf(i), e.add(first, i), k0, depth); });
  // Whole vectors: what runs over a panel's mr rows is overwritten by the next k, or lies in the
  // slack after the panel. Masks keep the last panels inside the matrix.
  int64_t width = (mr + fullLanes - 1) / fullLanes * fullLanes;
  Value inside = e.max(e.sub(e.add(m, mr), e.add(first, width)), zero);
  Value unmasked = e.min(e.mul(e.div(inside, e.i64(mr)), mr), rows);
  e.loop(zero, depth, 1, [&](Value kk) {
    auto copy = [&](Value i, bool masked) {
      for (int64_t r = 0; r < mr; r += fullLanes) {
        Value row = e.add(e.add(first, i), r);
        Value mask = masked ? e.firstLanes(e.sub(m, row), fullLanes) : Value();
        e.store(type, loadA(row, e.add(k0, kk), Lanes(fullLanes, mask)), panelOf(i),
                e.add(e.mul(kk, mr), r), fullLanes);
      }
    };
    e.loop(zero, unmasked, mr, [&](Value i) { copy(i, false); });
    e.loop(e.mul(e.ceilDiv(unmasked, e.i64(mr)), mr), rows, mr, [&](Value i) { copy(i, true); });
  });
  e.loop(zero, rows, mr, [&](Value i) { zeroTail(panelOf(i), depth, mr); });
}

void MatmulEmitter::packB(Value k0, Value depth, Value n0, Value columns) {
  Value zero = e.i64(0);
  int64_t nr = p.nr();
  unsigned width = bLies == Contiguous::Across ? p.lanes : 1;
  // Rows of B are long: read each to its end, write to all panels.
  Value whole = e.mul(e.div(columns, e.i64(nr)), nr);
  e.loop(zero, depth, 1, [&](Value kk) {
    Value row = e.add(k0, kk), place = e.mul(kk, nr);
    auto copy = [&](Value j, int64_t c, Lanes lanes) {
      Value index = e.add(e.add(e.mul(j, p.bDepth), place), c);
      e.store(type, loadB(row, e.add(e.add(n0, j), c), lanes), packedB, index, lanes.width);
    };
    e.loop(zero, whole, nr, [&](Value j) {
      if (width > 1) {
        for (int64_t c = 0; c < nr; c += width)
          copy(j, c, Lanes(width));
        return;
      }
      e.loop(zero, e.i64(nr), 1, [&](Value c) {
        Value index = e.add(e.add(e.mul(j, p.bDepth), place), c);
        e.store(type, loadB(row, e.add(e.add(n0, j), c)), packedB, index);
      });
    });
    if (d.n.isFixed() && d.n.factor % nr == 0)
      return;
    e.ifThen(e.less(whole, columns), [&] {
      if (width > 1) {
        for (int64_t c = 0; c < nr; c += width)
          copy(whole, c, Lanes(width, e.firstLanes(e.sub(e.sub(columns, whole), e.i64(c)), width)));
        return;
      }
      e.loop(zero, e.i64(nr), 1, [&](Value c) {
        Value column = e.min(e.add(e.add(n0, whole), c), e.sub(n, e.i64(1)));
        Value index = e.add(e.add(e.mul(whole, p.bDepth), place), c);
        e.store(type, loadB(row, column), packedB, index);
      });
    });
  });
  e.loop(zero, columns, nr,
         [&](Value j) { zeroTail(e.at(type, packedB, e.mul(j, p.bDepth)), depth, nr); });
}

// Columns of B are contiguous: squares of lanes x lanes elements are turned in registers.
void MatmulEmitter::packBTransposed(Value panel, Value k0, Value depth, Value first) {
  Value lastColumn = e.sub(n, e.i64(1));
  int64_t nr = p.nr();
  e.loop(e.i64(0), e.i64(nr), p.lanes, [&](Value j) {
    Values column;
    for (unsigned c = 0; c < p.lanes; ++c)
      column.push_back(e.min(e.add(e.add(first, j), c), lastColumn));
    e.vectorLoop(e.i64(0), depth, p.lanes, [&](Value kk, Lanes lanes) {
      Values square;
      for (Value c : column)
        square.push_back(loadB(e.add(k0, kk), c, lanes));
      square = e.transpose(square);
      for (unsigned r = 0; r < p.lanes; ++r)
        e.store(type, square[r], panel, e.add(j, e.mul(e.add(kk, r), nr)), p.lanes);
    });
  });
}

void MatmulEmitter::tiles(const Block &block) {
  Value zero = e.i64(0);
  if (p.panelByPanel) {
    e.loop(zero, block.columns, p.nr(),
           [&](Value j) { e.loop(zero, block.rows, p.mr, [&](Value i) { tile(block, i, j); }); });
    return;
  }
  e.loop(zero, block.rows, p.mr, [&](Value i) {
    e.loop(zero, block.columns, p.nr(), [&](Value j) { tile(block, i, j); });
  });
}

void MatmulEmitter::tile(const Block &block, Value i, Value j) {
  int64_t mr = p.mr, nr = p.nr();
  unsigned nv = p.nv, width = p.lanes;
  Value zero = e.i64(0), row = e.add(block.m0, i), column = e.add(block.n0, j);
  Value aPanel = packedA, bPanel = packedB;
  if (p.packA == PackA::Whole)
    aPanel = e.at(type, packedA, e.add(e.mul(i, p.aDepth), e.mul(block.k0, mr)));
  else if (p.panelByPanel || p.packA == PackA::Block)
    aPanel = e.at(type, packedA, e.mul(i, p.aDepth));
  if (isPanels())
    bPanel = panelAt(column, block.k0);
  else if (!p.panelByPanel)
    bPanel = e.at(type, packedB, e.mul(j, p.bDepth));

  // The first tile that meets a panel packs it.
  if (p.packA == PackA::Panel)
    e.ifThen(e.equal(j, zero), [&] { packA(mr, aPanel, row, block.k0, block.depth); });
  if (p.panelByPanel && !isPanels())
    e.ifThen(e.equal(i, zero), [&] { packBTransposed(bPanel, block.k0, block.depth, column); });

  // Where k takes several blocks the tile's sums wait in their own place.
  bool severalBlocks = d.k.max > p.kc;
  // They lie in the order in which tiles() visits them.
  Value waitingAt =
      p.panelByPanel ? e.add(e.mul(j, p.mc), e.mul(i, nr)) : e.add(e.mul(i, p.nc), e.mul(j, mr));
  Value place = severalBlocks ? e.at(type, sums, waitingAt) : sums;
  auto zeros = [&] { return Values(mr * nv, e.constant(type, 0, width)); };
  auto waiting = [&] {
    Values values;
    for (int64_t v = 0; v < mr * nv; ++v)
      values.push_back(e.load(type, place, e.i64(v * width), width));
    return values;
  };
  Values sum = severalBlocks ? e.choose(e.equal(block.k0, zero), zeros, waiting) : zeros();

  // What the next tile needs comes a line a step: more at a time would hold up the panels of this
  // one on their way from the second cache.
  Value count = e.ceilDiv(block.depth, e.i64(p.kUnroll));
  auto multiplied = [&](bool nextRows) {
    auto ahead = [&](Value step) {
      if (severalBlocks)
        e.prefetch(type, place, e.add(e.mul(e.min(step, e.i64(mr * nv)), width), mr * nr), true);
      if (nextRows)
        prefetchRows(e.add(row, mr), block.k0, step);
      if (isPanels())
        prefetchNext(block, i, bPanel, count, step);
    };
    return multiply(mr, aPanel, isPanels() ? d.b.storage : type, bPanel, count, sum, ahead);
  };
  if (p.packA == PackA::Panel) {
    // The next rows of A are packed after this tile, if that one is in the first column.
    Value packsNext = p.panelByPanel ? e.equal(j, zero) : e.less(block.columns, e.add(j, nr + 1));
    sum = e.choose(packsNext, [&] { return multiplied(true); }, [&] { return multiplied(false); });
  } else {
    sum = multiplied(false);
  }

  for (int64_t v = 0; v < mr * nv; ++v)
    e.store(type, sum[v], place, e.i64(v * width), width);
  Value isLast = severalBlocks ? e.equal(e.add(block.k0, block.depth), k) : e.i1(true);
  e.ifThen(isLast, [&] {
    finish(place, nr, e.min(e.i64(mr), e.sub(block.rows, i)),
           e.min(e.i64(nr), e.sub(block.columns, j)), row, column);
  });
}

// The part of rows first .. first + mr - 1 of A that step `step` of multiply() brings.
void MatmulEmitter::prefetchRows(Value first, Value k0, Value step) {
  int64_t line = kLine / Emit::storageBytes(d.a.storage), steps = p.kUnroll, mr = p.mr;
  Value column = e.add(k0, e.mul(step, steps));
  // A line is as long as several steps, which share the rows.
  int64_t turns = std::max<int64_t>(1, line / steps), each = (mr + turns - 1) / turns;
  Value row = e.add(first, e.mul(e.rem(step, e.i64(turns)), each));
  for (int64_t r = 0; r < each; ++r)
    prefetchA(e.add(row, r), column);
}

MatmulEmitter::Values MatmulEmitter::multiply(int64_t mr, Value aPanel, mlir::Type bStorage,
                                              Value bPanel, Value count, Values sum,
                                              llvm::function_ref<void(Value step)> ahead) {
  int64_t nr = p.nr(), steps = p.kUnroll;
  unsigned nv = p.nv, width = p.lanes;
  return e.loopCarried(e.i64(0), count, e.i64(1), sum, [&](Value step, mlir::ValueRange carried) {
    Values next(carried.begin(), carried.end());
    Value aPlace = e.mul(step, steps * mr), bPlace = e.mul(step, steps * nr);
    ahead(step);
    for (int64_t s = 0; s < steps; ++s) {
      Values right;
      for (unsigned v = 0; v < nv; ++v)
        right.push_back(e.load(bStorage, bPanel, e.add(bPlace, s * nr + v * width), width));
      for (int64_t r = 0; r < mr; ++r) {
        int64_t index = aLies == Contiguous::AlongK ? r * steps + s : s * mr + r;
        Value left = e.loadSplat(type, aPanel, e.add(aPlace, index), width);
        for (unsigned v = 0; v < nv; ++v)
          next[r * nv + v] = e.fma(left, right[v], next[r * nv + v]);
      }
    }
    return next;
  });
}

} // namespace lmc::cpu
