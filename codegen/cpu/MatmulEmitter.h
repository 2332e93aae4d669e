// Inside of the matrix product generator; its interface is Matmul.h.
#pragma once

#include "codegen/cpu/Matmul.h"

namespace lmc::cpu {

class MatmulEmitter {
public:
  using Value = mlir::Value;
  using Values = Emit::Values;

  MatmulEmitter(Emit &emit, const MatmulDescription &description, const MatmulPlan &plan, Value a,
                Value b, const MatmulBodies &bodies);

  /// Cuts [begin, end) into rectangles of C and computes each.
  void items();

private:
  static constexpr int64_t kLine = 64; ///< bytes of a cache line

  /// How neighbouring elements of an operand lie in memory, which decides how it is packed.
  enum class Contiguous { AlongK, Across, Neither };

  void batchItems(Value low, Value high);
  void enterBatch(Value index);
  void rectangle(Value m0, Value m1, Value n0, Value n1);

  // Matmul.cpp: few rows.
  void fewRows(unsigned rows, Value n0, Value n1);
  void copyRows(unsigned rows);
  void sumAlongN(unsigned rows, Value n0, Value columns);
  void sumAlongK(unsigned rows, Value n0, Value columns);

  // MatmulPacked.cpp
  void packedRectangle(Value m0, Value m1, Value n0, Value n1);
  void packA(int64_t mr, Value panel, Value firstRow, Value k0, Value depth);
  void packRows(Value first, Value rows, Value k0, Value depth);
  void packB(Value k0, Value depth, Value n0, Value columns);
  void packBTransposed(Value panel, Value k0, Value depth, Value firstColumn);
  void zeroTail(Value panel, Value depth, int64_t width);
  struct Block { // of one step of the cache loops
    Value m0, rows, k0, depth, n0, columns;
  };
  void tiles(const Block &block);
  void tile(const Block &block, Value i, Value j);
  /// `sum` plus the products of `count` steps of kUnroll along panels of A (mr rows) and of B.
  /// `ahead(step)` may prefetch.
  Values multiply(int64_t mr, Value aPanel, mlir::Type bStorage, Value bPanel, Value count,
                  Values sum, llvm::function_ref<void(Value step)> ahead);
  void prefetchRows(Value first, Value k0, Value step);

  // MatmulPanels.cpp: B was packed ahead.
  bool isPanels() const { return d.b.panelWidth > 0; }
  void fewRowsOfPanels(unsigned rows, Value n0, Value n1);
  Value columnsAtOnce();
  Value panelAt(Value column, Value k0);
  void prefetchNext(const Block &block, Value i, Value bPanel, Value steps, Value step);

  /// Hands the sums at `sums` [rows, stride] to the epilogue, row by row.
  void finish(Value sums, int64_t stride, Value rows, Value columns, Value m0, Value n0);
  Value loadA(Value row, Value column, Lanes lanes = {});
  Value loadB(Value row, Value column, Lanes lanes = {});
  void prefetchA(Value row, Value column);
  void prefetchB(Value row, Value column);

  Emit &e;
  const MatmulDescription &d;
  const MatmulPlan &p;
  const MatmulBodies &bodies;
  mlir::Type type;    // of sums and packed elements
  unsigned fullLanes; // of a vector register
  Contiguous aLies, bLies;

  Value a, b; // of the current batch
  const Value aFirst, bFirst;
  Value m, n, k, aRow, aColumn, bRow, bColumn;
  Values batchSizes, aBatch, bBatch;
  Values batch; // indices
  Value packedA, packedB, sums;
};

} // namespace lmc::cpu
