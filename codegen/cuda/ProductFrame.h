// What all products of the matmul family share: which part of the result a block computes, and how its
// sums become outputs through the fused pointwise ops.
#pragma once

#include "codegen/cuda/ProductShape.h"

#include <algorithm>

namespace lmc::cuda {

inline constexpr int64_t kFewRows = 8;

/// Sizes of a block's work. rows 0: the kernel has no tiles.
struct Blocking {
  int rows = 0, columns = 0, depth = 0;
  int fewRows = 0; ///< most rows of the other way, a power of two; 0: not in this kernel
  int fewColumns = 0;
  unsigned threads = 128;  ///< that compute
  bool warpgroups = false; ///< tiles by those of sm_90a

  int pitch() const { return rows ? columns + 8 : fewColumns; }
  int rowsOfBlock() const { return rows ? rows : std::max(fewRows, static_cast<int>(kFewRows)); }
  int columnsOfGrid() const { return fewRows ? fewColumns : columns; }
};

/// A block has some rows and some columns of one batch entry.
class ProductFrame {
protected:
  ProductFrame(Expression &x, const ResultShape &of) : x(x), of(of) {}
  ProductFrame(const ProductFrame &) = delete;

  /// Finds the block's place: batch, then the longer of rows and columns, then the shorter, so that
  /// blocks that run together read the same lines of both sides. Declares `rows` and `columns`, how
  /// many of each there are, and `few` where that chooses the way.
  void enterBlock();
  /// From `sums`, [rows, pitch] in shared memory: a thread has one column of the block and every so
  /// many rows; it reads for some rows before it stores them, so that their loads run together.
  /// Elements beyond the ends repeat the last.
  void storeOutputs();
  /// What sums are kept in.
  std::string number();

  Expression &x;
  Blocking blocking;
  std::vector<GridFactor> grid;
  llvm::SmallVector<std::string, 4> batchAt;
  std::string row0, column0;

private:
  std::string count(llvm::ArrayRef<GridFactor> factors);
  void eachRow(int atOnce, llvm::function_ref<void()> inside);

  const ResultShape &of;
  std::string width;
};

} // namespace lmc::cuda
