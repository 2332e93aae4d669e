// Values that get another element type, and the signatures that follow from their types.
#pragma once

#include "ir/Dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace lmc {

/// Gives the function the types of its body's arguments and of what the body returns.
void updateSignature(mlir::func::FuncOp function);

/// `type` with other elements.
mlir::RankedTensorType withElement(mlir::Type type, mlir::Type element);

/// The cache is of `type`, before and after the update [B, T, G, D] that it now takes. Readers are
/// the caller's.
void retypeCache(lm::CacheAppendOp append, mlir::RankedTensorType type, mlir::Value update);

} // namespace lmc
