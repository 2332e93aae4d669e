// Declarations of all passes (Passes.td) and of what they share.
#pragma once

#include "ir/plan/Plan.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace lmc {

// Attributes on the arguments and results of a program's function:
//   lm.name     checkpoint name, input or output name
//   lm.role     parameter | gradient | moment | cache | input | output | state
//   lm.updates  on a result: index of the argument whose buffer it takes over (donation)
// and on the function: lm.ranges = {T = array<i64: 1, 128>}.
inline constexpr llvm::StringLiteral kName = "lm.name";
inline constexpr llvm::StringLiteral kRole = "lm.role";
inline constexpr llvm::StringLiteral kUpdates = "lm.updates";

/// Has argument `index` this lm.role?
inline bool hasRole(mlir::func::FuncOp function, unsigned index, llvm::StringRef role) {
  auto own = function.getArgAttrOfType<mlir::StringAttr>(index, kRole);
  return own && own.getValue() == role;
}

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace lmc
