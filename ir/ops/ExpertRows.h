// Which rows each expert of a mixture computes: what the ops that take group_rows' results share.
#pragma once

#include "ir/Dialect.h"

namespace lmc::lm {

/// The number of experts that starts [E + 1] tell; an error at `loc` for another shape.
mlir::FailureOr<int64_t> expertsOf(std::optional<mlir::Location> loc, mlir::Value starts);

/// x must be [R..., C], less some leading dimensions of R, where order is [R...]. `name` is x's in the error.
mlir::LogicalResult checkRows(std::optional<mlir::Location> loc, llvm::StringRef name,
                              mlir::Value x, mlir::Value order);

/// Calls visit(expert, row) in the order of places. Errors of `op` where order and starts are none of group_rows.
mlir::LogicalResult forEachRow(mlir::Operation *op, const Tensor &order, const Tensor &starts,
                               llvm::function_ref<void(int64_t, int64_t)> visit);

} // namespace lmc::lm
