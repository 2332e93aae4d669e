// Work items, the path for few rows and the epilogue. The packed path is in MatmulPacked.cpp.
#include "codegen/cpu/MatmulEmitter.h"

#include "llvm/Support/MathExtras.h"

#include <cassert>

namespace lmc::cpu {

void emitMatmul(Emit &emit, const MatmulDescription &description, const MatmulPlan &plan,
                mlir::Value a, mlir::Value b, const MatmulBodies &bodies) {
  MatmulEmitter(emit, description, plan, a, b, bodies).items();
}

MatmulEmitter::MatmulEmitter(Emit &emit, const MatmulDescription &description,
                             const MatmulPlan &plan, Value a, Value b, const MatmulBodies &bodies)
    : e(emit), d(description), p(plan), bodies(bodies), type(Emit::computeType(d.a.storage)),
      fullLanes(emit.lanesOf(type)), aFirst(a), bFirst(b) {
  auto lies = [](const Extent &alongK, const Extent &across) {
    return alongK.is(1)   ? Contiguous::AlongK
           : across.is(1) ? Contiguous::Across
                          : Contiguous::Neither;
  };
  aLies = lies(d.a.columnStride, d.a.rowStride);
  // With both strides 1 (one row or one column) lanes run along the column axis, n.
  bLies = d.b.columnStride.is(1) ? Contiguous::Across : lies(d.b.rowStride, d.b.columnStride);
  m = d.m.emit(e);
  n = d.n.emit(e);
  k = d.k.emit(e);
  aRow = d.a.rowStride.emit(e);
  aColumn = d.a.columnStride.emit(e);
  bRow = d.b.rowStride.emit(e);
  bColumn = d.b.columnStride.emit(e);
  assert(d.a.batchStrides.size() == d.batch.size() && d.b.batchStrides.size() == d.batch.size());
  for (size_t i = 0; i < d.batch.size(); ++i) {
    batchSizes.push_back(d.batch[i].emit(e));
    aBatch.push_back(d.a.batchStrides[i].emit(e));
    bBatch.push_back(d.b.batchStrides[i].emit(e));
  }
  packedA = e.scratch(p.scratchOffsets[0]);
  packedB = e.scratch(p.scratchOffsets[1]);
  sums = e.scratch(p.scratchOffsets[2]);
}

MatmulEmitter::Value MatmulEmitter::loadA(Value row, Value column, Lanes lanes) {
  if (bodies.loadA)
    return bodies.loadA(batch, row, column, lanes);
  Value elements = e.load(d.a.storage, a, e.add(e.mul(row, aRow), e.mul(column, aColumn)), lanes);
  return d.a.element == d.a.storage ? elements : e.rounded(d.a.element, elements);
}

MatmulEmitter::Value MatmulEmitter::loadB(Value row, Value column, Lanes lanes) {
  if (bodies.loadB)
    return bodies.loadB(batch, row, column, lanes);
  Value elements = e.load(d.b.storage, b, e.add(e.mul(row, bRow), e.mul(column, bColumn)), lanes);
  return d.b.element == d.b.storage ? elements : e.rounded(d.b.element, elements);
}

// Streams are too short for the processor to see them coming. Harmless beyond the end.
void MatmulEmitter::prefetchA(Value row, Value column) {
  if (!bodies.loadA)
    e.prefetch(d.a.storage, a, e.add(e.mul(row, aRow), e.mul(column, aColumn)), false, 2);
}

void MatmulEmitter::prefetchB(Value row, Value column) {
  if (!bodies.loadB)
    e.prefetch(d.b.storage, b, e.add(e.mul(row, bRow), e.mul(column, bColumn)), false, 2);
}

// Items are numbered batch, then outer, then inner.
void MatmulEmitter::items() {
  Value tilesM = p.tileM ? e.ceilDiv(m, e.i64(p.tileM)) : e.i64(1);
  Value tilesN = p.tileN ? e.ceilDiv(n, e.i64(p.tileN)) : e.i64(1);
  Value perBatch = e.mul(tilesM, tilesN);
  Value count = e.i64(1);
  for (Value size : batchSizes)
    count = e.mul(count, size);
  bool single = Emit::constantOf(count) == 1;
  Value first = single ? e.i64(0) : e.div(e.begin(), perBatch);
  Value last = single ? e.i64(1) : e.ceilDiv(e.end(), perBatch);
  e.loop(first, last, 1, [&](Value index) {
    enterBatch(index);
    Value start = e.mul(index, perBatch);
    auto own = [&] {
      batchItems(e.max(e.sub(e.begin(), start), e.i64(0)), e.min(e.sub(e.end(), start), perBatch));
    };
    d.ragged == MatmulDescription::Ragged::Rows ? e.ifThen(e.less(e.i64(0), m), own) : own();
  });
}

void MatmulEmitter::enterBatch(Value index) {
  batch.assign(batchSizes.size(), Value());
  Value aOffset = e.i64(0), bOffset = e.i64(0);
  for (size_t i = batchSizes.size(); i-- > 0;) {
    batch[i] = i == 0 ? index : e.rem(index, batchSizes[i]);
    index = i == 0 ? index : e.div(index, batchSizes[i]);
    aOffset = e.add(aOffset, e.mul(batch[i], aBatch[i]));
    bOffset = e.add(bOffset, e.mul(batch[i], bBatch[i]));
  }
  a = bodies.loadA ? aFirst : e.at(d.a.storage, aFirst, aOffset);
  b = bodies.loadB ? bFirst : e.at(d.b.storage, bFirst, bOffset);
  if (d.ragged != MatmulDescription::Ragged::No)
    (d.ragged == MatmulDescription::Ragged::Rows ? m : k) = bodies.enter(batch);
}

// A run of items is a part of one outer strip, whole strips (one rectangle, so that packed panels
// are shared), and a part of the last.
void MatmulEmitter::batchItems(Value low, Value high) {
  int64_t outerTile = p.outerIsN ? p.tileN : p.tileM, innerTile = p.outerIsN ? p.tileM : p.tileN;
  Value outerSize = p.outerIsN ? n : m, innerSize = p.outerIsN ? m : n;
  auto emitRectangle = [&](Value o0, Value o1, Value i0, Value i1) {
    auto scale = [&](Value tile, int64_t size, Value limit) {
      return size ? e.min(e.mul(tile, size), limit) : e.min(e.mul(tile, limit), limit);
    };
    o0 = scale(o0, outerTile, outerSize);
    o1 = scale(o1, outerTile, outerSize);
    i0 = scale(i0, innerTile, innerSize);
    i1 = scale(i1, innerTile, innerSize);
    p.outerIsN ? rectangle(i0, i1, o0, o1) : rectangle(o0, o1, i0, i1);
  };
  if (innerTile == 0)
    return emitRectangle(low, high, e.i64(0), e.i64(1));
  Value inner = e.ceilDiv(innerSize, e.i64(innerTile));
  Value zero = e.i64(0);
  Value headOuter = e.div(low, inner), headInner = e.rem(low, inner);
  Value wholeFirst = e.ceilDiv(low, inner), wholeLast = e.div(high, inner);
  Value tailInner = e.rem(high, inner);
  e.loop(zero, e.i64(3), 1, [&](Value part) {
    Value isHead = e.equal(part, zero), isWhole = e.equal(part, e.i64(1));
    Value headRest = e.sub(high, e.mul(headOuter, inner));
    Value hasHead = e.less(zero, headInner), hasTail = e.less(zero, tailInner);
    // The tail is the head where both are in one strip.
    Value tailIsNew = e.select(e.less(wholeLast, wholeFirst), e.i64(0), e.i64(1));
    Value headCount = e.select(hasHead, e.i64(1), zero);
    Value tailCount = e.select(hasTail, tailIsNew, zero);
    Value o0 = e.select(isHead, headOuter, e.select(isWhole, wholeFirst, wholeLast));
    Value o1 = e.select(isHead, e.add(headOuter, headCount),
                        e.select(isWhole, wholeLast, e.add(wholeLast, tailCount)));
    Value i0 = e.select(isHead, headInner, zero);
    Value i1 = e.select(isHead, e.min(inner, headRest), e.select(isWhole, inner, tailInner));
    e.ifThen(e.less(o0, o1), [&] { emitRectangle(o0, o1, i0, i1); });
  });
}

void MatmulEmitter::rectangle(Value m0, Value m1, Value n0, Value n1) {
  if (p.smallRows == 0)
    return packedRectangle(m0, m1, n0, n1);
  if (d.hasFixedRows())
    return fewRows(d.m.factor, n0, n1);
  // The number of rows is known at run time: a body for 1, 2, 4, ... rows; rows
  // beyond m repeat the last.
  std::function<void(unsigned)> choose = [&](unsigned rows) {
    e.ifElse(
        e.less(e.i64(rows), m),
        [&] {
          if (rows < p.smallRows)
            choose(std::min<unsigned>(2 * rows, p.smallRows));
          else if (p.packed)
            packedRectangle(m0, m1, n0, n1);
        },
        [&] { fewRows(rows, n0, n1); });
  };
  choose(1);
}

// --- few rows: B is read once, in its own layout

void MatmulEmitter::fewRows(unsigned rows, Value n0, Value n1) {
  if (isPanels())
    return fewRowsOfPanels(rows, n0, n1);
  copyRows(rows);
  e.loop(n0, n1, p.sliceN, [&](Value slice) {
    Value columns = e.min(e.i64(p.sliceN), e.sub(n1, slice));
    bLies == Contiguous::Across ? sumAlongN(rows, slice, columns) : sumAlongK(rows, slice, columns);
    finish(sums, p.sliceN, e.min(m, e.i64(rows)), columns, e.i64(0), slice);
  });
}

static int64_t rowDepth(const MatmulDescription &d, unsigned lanes) {
  return static_cast<int64_t>(llvm::alignTo(d.k.max, lanes));
}

// A as [rows, depth] in scratch, zeros after k.
void MatmulEmitter::copyRows(unsigned rows) {
  int64_t depth = rowDepth(d, fullLanes);
  for (unsigned r = 0; r < rows; ++r) {
    Value row = d.hasFixedRows() ? e.i64(r) : e.min(e.i64(r), e.sub(m, e.i64(1)));
    auto place = [&](Value column) { return e.add(column, r * depth); };
    if (aLies == Contiguous::AlongK) {
      e.vectorLoop(e.i64(0), k, fullLanes, [&](Value column, Lanes lanes) {
        e.store(type, loadA(row, column, lanes), packedA, place(column), lanes.width);
      });
      continue;
    }
    e.loop(e.i64(0), k, 1,
           [&](Value column) { e.store(type, loadA(row, column), packedA, place(column)); });
    e.loop(k, e.mul(e.ceilDiv(k, e.i64(fullLanes)), fullLanes), 1,
           [&](Value column) { e.store(type, e.constant(type, 0), packedA, place(column)); });
  }
}

// Rows of B stream through while a slice of C waits in L1.
void MatmulEmitter::sumAlongN(unsigned rows, Value n0, Value columns) {
  int64_t depth = rowDepth(d, fullLanes);
  Value zero = e.i64(0);
  for (unsigned r = 0; r < rows; ++r)
    e.loop(zero, columns, fullLanes, [&](Value j) {
      e.store(type, e.constant(type, 0, fullLanes), sums, e.add(j, r * p.sliceN), fullLanes);
    });
  auto step = [&](Value k0, unsigned unroll) {
    llvm::SmallVector<Values> factors(rows);
    for (unsigned r = 0; r < rows; ++r)
      for (unsigned u = 0; u < unroll; ++u)
        factors[r].push_back(e.loadSplat(type, packedA, e.add(k0, r * depth + u), fullLanes));
    e.vectorLoop(zero, columns, fullLanes, [&](Value j, Lanes lanes) {
      Values sum;
      for (unsigned r = 0; r < rows; ++r)
        sum.push_back(e.load(type, sums, e.add(j, r * p.sliceN), fullLanes));
      for (unsigned u = 0; u < unroll; ++u) {
        prefetchB(e.add(k0, u + unroll), e.add(n0, j));
        Value row = loadB(e.add(k0, u), e.add(n0, j), lanes);
        for (unsigned r = 0; r < rows; ++r)
          sum[r] = e.fma(factors[r][u], row, sum[r]);
      }
      for (unsigned r = 0; r < rows; ++r)
        e.store(type, sum[r], sums, e.add(j, r * p.sliceN), fullLanes);
    });
  };
  unsigned unroll = rows <= 2 ? 8 : 4;
  Value whole = e.mul(e.div(k, e.i64(unroll)), unroll);
  e.loop(zero, whole, unroll, [&](Value k0) { step(k0, unroll); });
  e.loop(whole, k, 1, [&](Value k0) { step(k0, 1); });
}

// Each column of B is contiguous: some columns at a time, lanes along k, one reduction at the end.
void MatmulEmitter::sumAlongK(unsigned rows, Value n0, Value columns) {
  int64_t depth = rowDepth(d, fullLanes);
  unsigned group =
      llvm::bit_floor(std::clamp<unsigned>(e.target().vectorRegisters * 3 / 4 / rows, 1, 8));
  int64_t ahead = 1024 / Emit::storageBytes(d.b.storage);
  group = std::min<unsigned>(group, llvm::bit_floor(static_cast<uint64_t>(p.sliceN)));
  e.loop(e.i64(0), columns, group, [&](Value j) {
    Values column;
    for (unsigned c = 0; c < group; ++c)
      column.push_back(e.min(e.add(e.add(n0, j), c), e.sub(n, e.i64(1))));
    Values sum(rows * group, e.constant(type, 0, fullLanes));
    auto step = [&](Value k0, mlir::ValueRange before, Lanes lanes) {
      Values next(before.begin(), before.end()), left;
      for (unsigned r = 0; r < rows; ++r)
        left.push_back(e.load(type, packedA, e.add(k0, r * depth), fullLanes));
      for (unsigned c = 0; c < group; ++c) {
        prefetchB(e.add(k0, ahead), column[c]);
        Value right = loadB(k0, column[c], lanes);
        for (unsigned r = 0; r < rows; ++r)
          next[r * group + c] = e.fma(left[r], right, next[r * group + c]);
      }
      return next;
    };
    Value rest = e.rem(k, e.i64(fullLanes)), whole = e.sub(k, rest);
    sum = e.loopCarried(
        e.i64(0), whole, e.i64(fullLanes), sum,
        [&](Value k0, mlir::ValueRange carried) { return step(k0, carried, Lanes(fullLanes)); });
    if (Emit::constantOf(rest) != 0)
      sum = step(whole, sum, Lanes(fullLanes, e.firstLanes(rest, fullLanes)));
    for (unsigned r = 0; r < rows; ++r)
      for (unsigned c = 0; c < group; ++c)
        e.store(type, e.reduceAdd(sum[r * group + c]), sums, e.add(j, r * p.sliceN + c));
  });
}

// --- the end

void MatmulEmitter::finish(Value sums, int64_t stride, Value rows, Value columns, Value m0,
                           Value n0) {
  unsigned width = p.lanes;
  auto apply = [&](Value row, Value column, Lanes lanes) {
    Value sum = e.load(type, sums, e.add(e.mul(row, stride), column), lanes.width);
    bodies.epilogue(batch, e.add(m0, row), e.add(n0, column), sum, lanes);
  };
  if (stride != p.nr()) {
    e.loop(e.i64(0), rows, 1, [&](Value row) {
      e.vectorLoop(e.i64(0), columns, width,
                   [&](Value column, Lanes lanes) { apply(row, column, lanes); });
    });
    return;
  }
  // A register tile: a few vectors and no loop over them, unless the matrix ends inside.
  auto wholeRows = [&] {
    e.loop(e.i64(0), rows, 1, [&](Value row) {
      for (int64_t j = 0; j < stride; j += width)
        apply(row, e.i64(j), Lanes(width));
    });
  };
  auto maskedRows = [&] {
    e.loop(e.i64(0), rows, 1, [&](Value row) {
      e.loop(e.i64(0), columns, width,
             [&](Value j) { apply(row, j, Lanes(width, e.firstLanes(e.sub(columns, j), width))); });
    });
  };
  if (d.n.isFixed() && d.n.factor % stride == 0)
    return wholeRows();
  e.ifElse(e.equal(columns, e.i64(stride)), wholeRows, maskedRows);
}

} // namespace lmc::cpu
