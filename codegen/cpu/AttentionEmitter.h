// Inside of the attention generator; its interface is Attention.h.
//
// All kernels are made of the same steps. One side of the scores, the item's `columns`, is
// packed transposed, so that lanes run along it; the other side passes in tiles of `rows` that are
// copied as they lie. Then product() gives scores [rows, group], the kernel turns them into weights
// in place, and addWeightedRows() adds weights^T x rows to sums [columns, depth]. Softmax
// statistics belong to columns in the forward kernel, so that no step reduces across lanes.
#pragma once

#include "codegen/cpu/Attention.h"

namespace lmc::cpu {

class AttentionEmitter {
public:
  using Value = mlir::Value;
  using Values = Emit::Values;

  AttentionEmitter(Emit &emit, const AttentionDescription &description, const AttentionPlan &plan)
      : e(emit), d(description), p(plan), type(emit.f32Type()) {}

  void forward(const AttentionForwardOperands &operands);
  void dq(const AttentionDqOperands &operands);
  void dkdv(const AttentionDkDvOperands &operands);
  void dqkv(const AttentionDqkvOperands &operands);

  /// Scratch areas, in floats. First and second: columns packed (q, dout | k, v), rows (k, v | q,
  /// dout), scores, sums, statistics of columns or rows; k as it lies and sums of all queries (dq);
  /// where a tile's rows lie in a pool of pages (i64, decode).
  enum Area {
    FirstPacked,
    SecondPacked,
    FirstRows,
    SecondRows,
    FirstScores,
    SecondScores,
    FirstSums,
    SecondSums,
    Statistics,
    ColumnRows,
    RowSums,
    Places,
    NumAreas
  };
  static constexpr int64_t numStatistics = 3;
  static constexpr int64_t keysAhead = 12; ///< of decode, to prefetch

private:
  struct Matrix { // [tokens, D] of one batch entry and head
    mlir::Type storage;
    Value pointer, base, stride;
    // Of a paged cache; null: rows lie `stride` apart.
    Value pages, firstPage, nextPage, pageStride;
    // Where rows firstPlace .. lastPlace lie in the pool, in strides; null: to be looked up.
    Value places, firstPlace, lastPlace;
  };
  struct Range {
    Value low, high;
  };

  using RangeOf = llvm::function_ref<Range(int64_t first, int64_t count)>;
  using ItemBody = llvm::function_ref<void(Value batch, Value head, Value firstColumn)>;

  // AttentionTiles.cpp
  void forEachItem(Value extent, int64_t heads, bool lastFirst, ItemBody body);
  Matrix matrix(const AttentionOperand &operand, Value batch, Value head);
  /// The same of keys or values, which may lie in pages.
  Matrix cached(const AttentionOperand &operand, const AttentionNumbers &pages, Value batch,
                Value head);
  Value loadNumber(Value pointer, Value index); ///< an i32 as i64
  /// The index of a sequence's first number.
  Value pageOf(const Matrix &of, Value number); ///< in the pool
  /// Looks up the places of rows first .. first + count - 1; k and v are of one shape.
  void findPlaces(Matrix &k, Matrix &v, Value first, Value count);
  Value numberOf(const AttentionNumbers &numbers, Value batch);
  Value area(Area which) { return e.scratch(p.scratchOffsets[which]); }
  Value statistic(int64_t which);
  Value rowSums(Value row) { return e.at(type, area(RowSums), e.mul(row, p.depth)); }
  Value indexOf(const Matrix &of, Value row);
  /// Vectors of a row, with the mask for its end in memory (scratch rows are padded).
  void alongDepth(llvm::function_ref<void(int64_t at, Lanes memory)> body);
  void packColumns(const Matrix &from, Value first, Value count, Value to, double factor);
  void prefetchRow(const Matrix &of, Value row);
  /// Numbers at .. at + p.lanes - 1 of the row that begins at `index`, as alongDepth() asks for them.
  Value loadRow(const Matrix &of, Value index, int64_t at, Lanes memory);
  void copyRows(const Matrix &from, Value first, Value count, Value to);
  void copyStatistic(const Matrix &from, Value first, Value count, Value to);
  void fill(Value pointer, int64_t count, double value);
  void product(Value rows, Value packed, Value column, Value scores, Range range);
  void addWeightedRows(Value weights, Value rows, Value sums, Value column, Value decay,
                       RangeOf range);
  void addWeightedColumns(Value weights, Value columns, Value column, Value sums, Range range);
  void storeSums(Value sums, const Matrix &to, Value first, Value count,
                 llvm::function_ref<Value(Value row)> factor);
  Value exp(Value x);
  Value larger(Value x, Value y);
  Value positions(Value first, int64_t step); ///< i32: first, first + step, ...; step 0 or 1
  /// x where the query sees the key; both as positions().
  Value keep(Value query, Value key, Value x, double otherwise);
  /// The first key that the query at this position sees.
  Value firstKey(Value position);
  /// Emits `body` for tiles that see all of each other, and for those where some pair is masked.
  void atEdges(Range queries, Range keys, llvm::function_ref<void(bool masked)> body);

  // Scores. What product() gives is scale q k, with a soft cap divided by that.
  bool isCapped() const { return d.scores.softCap != 0; }
  double packedScale() const {
    return isCapped() ? d.scores.scale / d.scores.softCap : d.scores.scale;
  }
  Value scoreOf(Value product);
  struct Weight {
    Value p, slope; ///< P, and d score / d (scale q k); null where that is 1
  };
  Weight weightOf(Value product, Value logSumExp);

  // AttentionForward.cpp
  void softmax(Value column, Range range, Value ahead, bool masked);
  /// Rows that some of the columns column + first .. column + first + count - 1 see; high < low: none.
  Range visibleRows(Value column, int64_t first, int64_t count, Value ahead, Value rows);
  Value pastOf(const AttentionNumbers &past, Value batch);

  // AttentionBackward.cpp
  /// dk and dv of the tile of keys that begins at `first`; adds to the sums of dq where there is
  /// one.
  void keyTile(const AttentionDkDvOperands &operands, Value batch, Value keyHead, Value first);
  void weightsByQuery(Value column, Range range, Value ahead, bool masked);
  void weightsByKey(Value column, Range range, Value ahead, bool masked);

  // AttentionDecode.cpp
  void decode(const AttentionForwardOperands &operands);
  bool areRows(const AttentionOperand &pool) const;
  Value decodeScore(Value head, Value row); ///< its index in FirstScores
  void decodeScores(const Matrix &k, Value key, Value rows);
  void decodeSoftmax(Value head, Value rows);
  void decodeSums(const Matrix &v, Value key, Value rows);

  Emit &e;
  const AttentionDescription &d;
  const AttentionPlan &p;
  mlir::Type type;
};

} // namespace lmc::cpu
