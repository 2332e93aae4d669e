// Evaluates scalar forms (arith and math on scalars) in float64: the evaluator's only pointwise
// code.
#pragma once

#include "ir/Tensor.h"

#include "mlir/IR/Operation.h"

namespace lmc::lm {

/// The result of a pointwise op, its scalar form built on f64 (integers on i64) and interpreted for
/// each element. Operands have one shape.
Tensor interpretPointwise(mlir::Operation *op, llvm::ArrayRef<const Tensor *> operands);

} // namespace lmc::lm
