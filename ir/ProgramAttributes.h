// How programs (functions of an lm module) name what goes in and out. Attributes on arguments and
// results:
//   lm.name     checkpoint name, input or output name
//   lm.role     parameter | gradient | moment | cache | input | output | state
//   lm.blocks   on a parameter: the block format (ir/BlockPanels.h) that its values are quantised in
//   lm.stored   on a parameter: a shorter float that holds each of its values (what its file has)
//   lm.plain    on a packed parameter (lm-pack-weights): the type of the tensor that has its name
//   lm.plain_transposed  on a packed parameter: that tensor is [columns, depth]
//   lm.updates  on a result: index of the argument whose buffer it takes over (donation)
// and on the function: lm.ranges = {T = array<i64: 1, 128>}.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringRef.h"

namespace lmc {

inline constexpr llvm::StringLiteral kName = "lm.name";
inline constexpr llvm::StringLiteral kRole = "lm.role";
inline constexpr llvm::StringLiteral kBlocks = "lm.blocks";
inline constexpr llvm::StringLiteral kStored = "lm.stored";
inline constexpr llvm::StringLiteral kPlain = "lm.plain";
inline constexpr llvm::StringLiteral kPlainTransposed = "lm.plain_transposed";
inline constexpr llvm::StringLiteral kUpdates = "lm.updates";

/// Has argument `index` this lm.role?
inline bool hasRole(mlir::func::FuncOp function, unsigned index, llvm::StringRef role) {
  auto own = function.getArgAttrOfType<mlir::StringAttr>(index, kRole);
  return own && own.getValue() == role;
}

} // namespace lmc
