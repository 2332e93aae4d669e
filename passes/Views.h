// Views: ops outside kernels that show memory of other values under another type. They cost nothing
// at run time.
//   - a reshape shows its operand;
//   - a slice of leading dimensions shows its operand from an offset on;
//   - a concatenation along the leading dimension is memory that its operands are written into.
// Fusion decides which slices and concatenations become views; those that remain between kernels
// are.
#pragma once

#include "ir/Dialect.h"

#include <optional>

namespace lmc {

/// Every buffer starts at a multiple of this; a view too.
inline constexpr int64_t kBufferAlignment = 64;

inline int64_t alignedBytes(int64_t bytes) {
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

/// Bytes of a tensor at the largest extents of its symbols (`ranges` may be null where there are
/// none); i1 takes a byte an element.
int64_t largestBytes(mlir::Type type, mlir::DictionaryAttr ranges);

/// Is it a view where it stands between kernels?
bool isView(mlir::Operation *op);

/// Bytes from the start of x to a slice that lies in one piece, at a multiple of kBufferAlignment.
/// Nothing where it does not, or where a symbol decides.
std::optional<int64_t> offsetOf(lm::SliceOp slice);

/// For each operand the bytes from the start of the result, where every operand lies in one piece
/// at a multiple of kBufferAlignment and no other place is meant for it. Empty otherwise.
llvm::SmallVector<int64_t> offsetsOf(lm::ConcatOp concat);

/// The value whose memory reshapes and slices show.
mlir::Value viewedValue(mlir::Value value);

/// The view that a value is written into as a part; null: it has memory of its own.
lm::ConcatOp wholeOf(mlir::Value part);

} // namespace lmc
