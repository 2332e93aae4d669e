// The matrix product generator: C[batch][m, n] = sum over k of A[batch][m, k] * B[batch][k, n].
//
// Structure after BLIS (Van Zee & van de Geijn 2015): panels of A and B are packed into scratch, a
// register tile of fused multiply-adds runs over them. Few rows (decode) skip the packing of B and
// read it once, in its own layout. Any strides: a transpose is a description, not a copy. A B that
// was packed ahead (weights that do not change) is never packed: the tile reads it where it lies.
//
// Numerics: one fixed order of summation over k for each element. It depends on the description,
// the target and (for a symbolic m) on whether the run has few rows, but not on threads or on how
// work items are split.
#pragma once

#include "codegen/cpu/Emit.h"

#include "llvm/ADT/SmallVector.h"

#include <functional>

namespace lmc::cpu {

/// factor times the product of the kernel's symbolic dimensions named: a size, or a stride in
/// elements.
struct Extent {
  int64_t factor = 1;
  llvm::SmallVector<unsigned, 2> dims; ///< indices into the kernel's dims
  int64_t max = 1;                     ///< its value at the largest dims

  Extent(int64_t fixed = 1) : factor(fixed), max(fixed) {}
  static Extent symbolic(unsigned dim, int64_t dimMax, int64_t factor = 1) {
    Extent extent(factor);
    extent.dims.push_back(dim);
    extent.max = factor * dimMax;
    return extent;
  }
  bool isFixed() const { return dims.empty(); }
  bool is(int64_t value) const { return isFixed() && factor == value; }
  /// i64, at the insertion point.
  mlir::Value emit(Emit &e) const;
};

struct MatmulOperand {
  mlir::Type storage; ///< of an element in memory; computation is in f32 (f64 for f64)
  Extent rowStride, columnStride;
  llvm::SmallVector<Extent> batchStrides; ///< one for each batch dimension; 0 broadcasts
  mlir::Type element = storage;           ///< elements are rounded to this type as they are read
  /// > 0, for b with fixed n and k only: b lies as panels of so many columns (ir/Panels.h), shared
  /// by all batches; strides mean nothing then.
  int64_t panelWidth = 0;
};

/// Columns of the panels that the register tile reads best.
int64_t panelWidth(const Target &target);

struct MatmulDescription {
  llvm::SmallVector<Extent> batch; ///< outermost first
  Extent m, n, k;                  ///< m and n of at most one symbolic dimension each
  MatmulOperand a;                 ///< rows m, columns k
  MatmulOperand b;                 ///< rows k, columns n
  /// Each batch entry has its own number of rows (m) or of steps (k), at most the one above:
  /// MatmulBodies::enter says it.
  enum class Ragged { No, Rows, Depth } ragged = Ragged::No;

  bool hasFixedRows() const { return m.isFixed() && ragged != Ragged::Rows; }
};

/// One factor of a launch's number of items: dim < 0 ? mul : ceil(dims[dim] * mul / div), as
/// executable::Extent::Factor.
struct ItemFactor {
  int dim = -1;
  int64_t mul = 1, div = 1;
};

/// How much of A is packed at a time: the panel that the next tile needs, a block of mc x kc, or mc
/// rows over all of k.
enum class PackA { Panel, Block, Whole };

/// What the launch needs to know (items, grain, scratch), and the blocking that was chosen.
struct MatmulPlan {
  llvm::SmallVector<ItemFactor> items;
  int64_t grain = 0; ///< 0: neighbouring items share packed panels, so split evenly
  int64_t scratchBytes = 0;

  // Work items are tiles, `batch x outer x inner`; outer runs along n or along m.
  bool outerIsN = true;
  int64_t tileM = 0, tileN = 0; ///< 0: the whole extent

  // Few rows: m <= smallRows takes the path without packing of B, or one tile of panels.
  int64_t smallRows = 0; ///< 0: never
  int64_t sliceN = 0;    ///< columns whose sums are in L1 at a time

  // Packed path.
  unsigned lanes = 0;      ///< of a vector
  unsigned mr = 0, nv = 0; ///< register tile: mr rows, nv vectors
  unsigned kUnroll = 4;
  int64_t kc = 0, mc = 0, nc = 0; ///< cache blocks; kc >= k means one block
  int64_t aDepth = 0, bDepth = 0; ///< elements along k from one packed panel to the next
  bool panelByPanel = false;      ///< one panel of B after the other meets a block of A
  PackA packA = PackA::Panel;
  bool packed = false; ///< the path exists in this kernel

  int64_t nr() const { return static_cast<int64_t>(lanes) * nv; }
  llvm::SmallVector<int64_t, 3> scratchOffsets; ///< A, B, sums
};

MatmulPlan planMatmul(const MatmulDescription &description, const Target &target);

/// Optional bodies around the product.
struct MatmulBodies {
  using Load = std::function<mlir::Value(llvm::ArrayRef<mlir::Value> batch, mlir::Value row,
                                         mlir::Value column, Lanes lanes)>;
  /// Elements of an operand in their computation type; lanes run along the axis whose stride is
  /// fixed 1 (the column axis if both are), and are scalars where neither is. Masked-off lanes must
  /// be zero. May be called more than once for an element. Default: loads from the operand's
  /// pointer.
  Load loadA, loadB;

  /// Needed where the description is ragged: begins a batch entry and gives its own m or k, which may
  /// be 0.
  std::function<mlir::Value(llvm::ArrayRef<mlir::Value> batch)> enter;

  /// Applies fused pointwise ops to finished sums and stores them: `sums` holds the elements
  /// (row, column .. column + lanes.width - 1), those masked off do not exist. Called exactly once
  /// for each element; lanes.width varies from call to call.
  std::function<void(llvm::ArrayRef<mlir::Value> batch, mlir::Value row, mlir::Value column,
                     mlir::Value sums, Lanes lanes)>
      epilogue;
};

/// Writes the body for items [emit.begin(), emit.end()) into the open kernel. a, b: pointers to
/// element (0, 0) of batch 0; unused where a load body is given.
void emitMatmul(Emit &emit, const MatmulDescription &description, const MatmulPlan &plan,
                mlir::Value a, mlir::Value b, const MatmulBodies &bodies);

} // namespace lmc::cpu
