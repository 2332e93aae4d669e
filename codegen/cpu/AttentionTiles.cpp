// Planning, and the steps that the attention kernels share.
#include "codegen/cpu/AttentionEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cassert>

namespace lmc::cpu {

static ItemFactor itemFactor(const Extent &extent, int64_t divisor) {
  assert(extent.dims.size() <= 1);
  if (extent.isFixed())
    return {-1, static_cast<int64_t>(llvm::divideCeil(extent.factor, divisor)), 1};
  return {static_cast<int>(extent.dims[0]), extent.factor, divisor};
}

AttentionPlan planAttention(const AttentionDescription &d, AttentionKind kind,
                            const Target &target) {
  assert(d.heads % d.keyHeads == 0 && d.headDim > 0);
  AttentionPlan p;
  p.kind = kind;
  bool whole = kind == AttentionKind::Dqkv, byKeys = whole || kind == AttentionKind::DkDv;
  p.decode = kind == AttentionKind::Forward && d.queries.is(1);
  p.lanes = target.lanes();
  p.depth = llvm::alignTo(d.headDim, p.lanes);
  int64_t vectors = p.depth / p.lanes;

  // Half of the registers more or less are sums; two vectors of scores share each broadcast.
  bool many = target.vectorRegisters >= 32;
  p.productRows = many ? 12 : 6;
  p.group = 2 * p.lanes;
  for (unsigned n = 1; n <= (many ? 5 : 3); ++n)
    if (vectors % n == 0)
      p.sumVectors = n;
  p.sumColumns = std::min(8u, (many ? 24 : 12) / p.sumVectors);

  const Extent &across = byKeys ? d.keys : d.queries;
  // Rows come from memory once for each tile of columns, which for long sequences is larger. Where
  // tiles are not shared out, L2 is their limit: two packed, one as it lies, two of sums.
  int64_t most =
      whole ? std::min(across.max / 2, target.l2Bytes * 3 / 4 / (5 * 4 * p.depth)) : across.max / 8;
  most = std::clamp<int64_t>(most, 128, 512);
  p.columns = std::min<int64_t>(llvm::alignTo(most, p.group),
                                llvm::alignTo(std::max<int64_t>(across.max, 1), p.group));
  // Rows are read for every group of columns: both tiles of them stay in L1 or near.
  p.rows = std::clamp<int64_t>(target.l1Bytes / (p.depth * 4 * 2), 24, 192);
  p.rows -= p.rows % p.productRows;

  p.items = {whole ? ItemFactor{-1, 1, 1} : itemFactor(across, p.decode ? 1 : p.columns),
             itemFactor(d.batch, 1),
             {-1, byKeys || p.decode ? d.keyHeads : d.heads, 1}};

  using Area = AttentionEmitter::Area;
  int64_t sizes[AttentionEmitter::NumAreas] = {};
  // Register tiles may run past the last row.
  int64_t rowsRead = p.rows + std::max(p.productRows, p.sumColumns);
  int64_t packed = p.columns * d.headDim, rows = rowsRead * p.depth, scores = rowsRead * p.group,
          sums = p.columns * p.depth;
  bool adjoint = kind != AttentionKind::Forward;
  sizes[Area::FirstPacked] = packed;
  sizes[Area::SecondPacked] = adjoint ? packed : 0;
  sizes[Area::FirstRows] = sizes[Area::SecondRows] = rows;
  sizes[Area::FirstScores] = scores;
  sizes[Area::SecondScores] = adjoint ? scores : 0;
  sizes[Area::FirstSums] = sums;
  sizes[Area::SecondSums] = byKeys ? sums : 0;
  sizes[Area::Statistics] = AttentionEmitter::numStatistics * std::max(p.columns, p.rows);
  if (whole) {
    sizes[Area::ColumnRows] = (p.columns + p.group) * p.depth;
    sizes[Area::RowSums] = (d.heads / d.keyHeads * d.queries.max + p.sumColumns) * p.depth;
  }
  if (p.decode) {
    int64_t heads = d.heads / d.keyHeads;
    p.rows = 256;
    std::fill(std::begin(sizes), std::end(sizes), 0);
    sizes[Area::FirstPacked] = sizes[Area::FirstSums] = heads * p.depth;
    sizes[Area::FirstScores] = heads * (p.rows + p.lanes);
    sizes[Area::Statistics] = AttentionEmitter::numStatistics * heads;
    if (d.pageTokens)
      sizes[Area::Places] = 2 * (p.rows + AttentionEmitter::keysAhead);
  }
  for (int64_t size : sizes) {
    p.scratchOffsets.push_back(p.scratchBytes);
    // An odd number of cache lines apart, so that areas do not fall on the same sets.
    p.scratchBytes += llvm::alignTo(size * 4, 64) + (size ? 64 : 0);
  }
  return p;
}

// Tiles are the slowest index, so that neighbouring items have the same length.
void AttentionEmitter::forEachItem(Value extent, int64_t heads, bool lastFirst, ItemBody body) {
  Value tiles = e.ceilDiv(extent, e.i64(p.decode ? 1 : p.columns));
  Value perTile = e.mul(d.batch.emit(e), heads);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value tile = e.div(item, perTile), rest = e.rem(item, perTile);
    if (lastFirst)
      tile = e.sub(e.sub(tiles, e.i64(1)), tile);
    Value head = e.rem(rest, e.i64(heads));
    body(e.div(rest, e.i64(heads)), head, e.mul(tile, p.columns));
  });
}

AttentionEmitter::Value AttentionEmitter::statistic(int64_t which) {
  int64_t size = p.decode ? d.heads / d.keyHeads : std::max(p.columns, p.rows);
  return e.scratch(p.scratchOffsets[Statistics] + which * size * 4);
}

// scores[row][0 .. group) = sum over k of rows[row][k] * packed[column ..][k]. The last register
// tile may run past range.high, into memory that both areas have and nothing reads.
void AttentionEmitter::product(Value rows, Value packed, Value column, Value scores, Range range) {
  unsigned lanes = p.lanes, tile = p.productRows, vectors = p.group / lanes;
  unsigned unroll = d.headDim % 4 == 0 ? 4 : d.headDim % 2 == 0 ? 2 : 1;
  Value start = e.mul(column, d.headDim);
  e.loop(range.low, range.high, tile, [&](Value row) {
    Values zeros(tile * vectors, e.f32(0, lanes));
    Value rowStart = e.mul(row, p.depth);
    Values sums = e.loopCarried(
        e.i64(0), e.i64(d.headDim), e.i64(unroll), zeros, [&](Value k, mlir::ValueRange before) {
          Values next(before.begin(), before.end());
          for (unsigned u = 0; u < unroll; ++u) {
            Value at = e.add(start, e.mul(e.add(k, u), p.group));
            Values right;
            for (unsigned v = 0; v < vectors; ++v)
              right.push_back(e.load(type, packed, e.add(at, v * lanes), lanes));
            for (unsigned i = 0; i < tile; ++i) {
              Value left =
                  e.loadSplat(type, rows, e.add(e.add(rowStart, k), i * p.depth + u), lanes);
              for (unsigned v = 0; v < vectors; ++v)
                next[i * vectors + v] = e.fma(left, right[v], next[i * vectors + v]);
            }
          }
          return next;
        });
    for (unsigned i = 0; i < tile; ++i)
      for (unsigned v = 0; v < vectors; ++v)
        e.store(type, sums[i * vectors + v], scores,
                e.add(e.mul(e.add(row, i), p.group), v * lanes), lanes);
  });
}

// sums[column + c] = sums[column + c] * decay[c] + sum over rows of weights[row][c] * rows[row].
void AttentionEmitter::addWeightedRows(Value weights, Value rows, Value sums, Value column,
                                       Value decay, RangeOf range) {
  int64_t parts = llvm::divideCeil(p.group, p.sumColumns);
  for (int64_t part = 0; part < parts; ++part) {
    int64_t first = p.group * part / parts, count = p.group * (part + 1) / parts - first;
    Range run = range(first, count);
    e.loop(e.i64(0), e.i64(p.depth), p.sumVectors * p.lanes, [&](Value depth) {
      auto place = [&](int64_t c, unsigned v) {
        Value row = e.mul(e.add(column, first + c), p.depth);
        return e.add(e.add(row, depth), v * p.lanes);
      };
      Values sum;
      for (int64_t c = 0; c < count; ++c) {
        Value factor;
        if (decay)
          factor = e.loadSplat(type, decay, e.add(column, first + c), p.lanes);
        for (unsigned v = 0; v < p.sumVectors; ++v) {
          Value before = e.load(type, sums, place(c, v), p.lanes);
          sum.push_back(decay ? e.mulf(before, factor) : before);
        }
      }
      sum =
          e.loopCarried(run.low, run.high, e.i64(1), sum, [&](Value row, mlir::ValueRange carried) {
            Values next(carried.begin(), carried.end()), right;
            Value at = e.add(e.mul(row, p.depth), depth);
            for (unsigned v = 0; v < p.sumVectors; ++v)
              right.push_back(e.load(type, rows, e.add(at, v * p.lanes), p.lanes));
            for (int64_t c = 0; c < count; ++c) {
              Value left =
                  e.loadSplat(type, weights, e.add(e.mul(row, p.group), first + c), p.lanes);
              for (unsigned v = 0; v < p.sumVectors; ++v)
                next[c * p.sumVectors + v] = e.fma(left, right[v], next[c * p.sumVectors + v]);
            }
            return next;
          });
      for (int64_t c = 0; c < count; ++c)
        for (unsigned v = 0; v < p.sumVectors; ++v)
          e.store(type, sum[c * p.sumVectors + v], sums, place(c, v), p.lanes);
    });
  }
}

// sums[r] += sum over c of weights[r][c] * columns[column + c]. The last register tile may run past
// range.high into other rows' sums: weights are made zero there.
void AttentionEmitter::addWeightedColumns(Value weights, Value columns, Value column, Value sums,
                                          Range range) {
  unsigned tile = p.sumColumns, unroll = 2;
  fill(e.at(type, weights, e.mul(range.high, p.group)), (tile - 1) * p.group, 0);
  e.loop(range.low, range.high, tile, [&](Value row) {
    e.loop(e.i64(0), e.i64(p.depth), p.sumVectors * p.lanes, [&](Value depth) {
      auto place = [&](unsigned r, unsigned v) {
        return e.add(e.add(e.mul(e.add(row, r), p.depth), depth), v * p.lanes);
      };
      Values sum;
      for (unsigned r = 0; r < tile; ++r)
        for (unsigned v = 0; v < p.sumVectors; ++v)
          sum.push_back(e.load(type, sums, place(r, v), p.lanes));
      sum = e.loopCarried(
          e.i64(0), e.i64(p.group), e.i64(unroll), sum, [&](Value c, mlir::ValueRange carried) {
            Values next(carried.begin(), carried.end());
            for (unsigned u = 0; u < unroll; ++u) {
              Value at = e.add(e.mul(e.add(e.add(column, c), u), p.depth), depth);
              Values right;
              for (unsigned v = 0; v < p.sumVectors; ++v)
                right.push_back(e.load(type, columns, e.add(at, v * p.lanes), p.lanes));
              for (unsigned r = 0; r < tile; ++r) {
                Value place = e.add(e.add(e.mul(e.add(row, r), p.group), c), u);
                Value left = e.loadSplat(type, weights, place, p.lanes);
                for (unsigned v = 0; v < p.sumVectors; ++v)
                  next[r * p.sumVectors + v] = e.fma(left, right[v], next[r * p.sumVectors + v]);
              }
            }
            return next;
          });
      for (unsigned r = 0; r < tile; ++r)
        for (unsigned v = 0; v < p.sumVectors; ++v)
          e.store(type, sum[r * p.sumVectors + v], sums, place(r, v), p.lanes);
    });
  });
}

// to[first + r] = sums[r] * factor(r).
void AttentionEmitter::storeSums(Value sums, const Matrix &to, Value first, Value count,
                                 llvm::function_ref<Value(Value row)> factor) {
  e.loop(e.i64(0), count, 1, [&](Value row) {
    Value by = factor(row), index = indexOf(to, e.add(first, row));
    alongDepth([&](int64_t at, Lanes memory) {
      Value x = e.load(type, sums, e.add(e.mul(row, p.depth), at), p.lanes);
      e.store(to.storage, e.mulf(x, by), to.pointer, e.add(index, at), memory);
    });
  });
}

AttentionEmitter::Value AttentionEmitter::exp(Value x) {
  return e.builder().create<mlir::math::ExpOp>(e.loc(), x);
}

// Scores are numbers or the sums become NaN anyway: one instruction is enough.
AttentionEmitter::Value AttentionEmitter::larger(Value x, Value y) {
  mlir::OpBuilder &b = e.builder();
  return e.select(b.create<mlir::arith::CmpFOp>(e.loc(), mlir::arith::CmpFPredicate::OGT, x, y), x,
                  y);
}

AttentionEmitter::Value AttentionEmitter::positions(Value first, int64_t step) {
  mlir::OpBuilder &b = e.builder();
  mlir::Type i32 = b.getI32Type();
  Value start = b.createOrFold<mlir::arith::TruncIOp>(e.loc(), i32, first);
  Value splat = e.splat(start, p.lanes);
  return step == 0
             ? splat
             : b.create<mlir::arith::AddIOp>(e.loc(), splat, e.iota(i32, p.lanes)).getResult();
}

AttentionEmitter::Value AttentionEmitter::keep(Value query, Value key, Value x, double otherwise) {
  using Predicate = mlir::arith::CmpIPredicate;
  mlir::OpBuilder &b = e.builder();
  Value visible;
  if (d.scores.window) { // keys behind the query are far ahead without a sign
    Value back = b.create<mlir::arith::SubIOp>(e.loc(), query, key);
    Value window = positions(e.i64(d.scores.window), 0);
    visible = b.create<mlir::arith::CmpIOp>(e.loc(), Predicate::ult, back, window);
  } else {
    visible = b.create<mlir::arith::CmpIOp>(e.loc(), Predicate::sge, query, key);
  }
  return e.select(visible, x, e.f32(otherwise, p.lanes));
}

AttentionEmitter::Value AttentionEmitter::firstKey(Value position) {
  if (!d.scores.window)
    return e.i64(0);
  return e.max(e.sub(position, e.i64(d.scores.window - 1)), e.i64(0));
}

void AttentionEmitter::atEdges(Range queries, Range keys,
                               llvm::function_ref<void(bool masked)> body) {
  if (!d.scores.causal)
    return body(false);
  // The last key against the first query; the first key against the last query.
  Value hidden = e.sub(e.sub(keys.high, e.i64(1)), queries.low);
  if (d.scores.window)
    hidden = e.max(hidden, e.sub(queries.high, e.add(keys.low, d.scores.window)));
  e.ifElse(e.less(e.i64(0), hidden), [&] { body(true); }, [&] { body(false); });
}

AttentionEmitter::Value AttentionEmitter::scoreOf(Value product) {
  if (!isCapped())
    return product;
  Value share = e.builder().create<mlir::math::TanhOp>(e.loc(), product);
  return e.mulf(share, e.f32(d.scores.softCap, p.lanes));
}

AttentionEmitter::Weight AttentionEmitter::weightOf(Value product, Value logSumExp) {
  if (!isCapped())
    return {exp(e.subf(product, logSumExp)), {}};
  Value share = e.builder().create<mlir::math::TanhOp>(e.loc(), product);
  Value score = e.mulf(share, e.f32(d.scores.softCap, p.lanes));
  return {exp(e.subf(score, logSumExp)), e.subf(e.f32(1, p.lanes), e.mulf(share, share))};
}

} // namespace lmc::cpu
