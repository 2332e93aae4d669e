// The reference evaluator: runs a graph op by op in float64, without kernels, fusion or plans.
#pragma once

#include "ir/Tensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace lmc::lm {

/// Evaluates the ops of a block and returns the operands of its terminator. Shapes must be static
/// (bind symbols first). Fails after emitError (an id outside its table).
llvm::LogicalResult evaluateBlock(mlir::Block &block, llvm::ArrayRef<const Tensor *> arguments,
                                  llvm::SmallVectorImpl<Tensor> &results);

/// Evaluates a function; arguments have its argument types' shapes.
llvm::FailureOr<llvm::SmallVector<Tensor>> evaluate(mlir::func::FuncOp function,
                                                    llvm::ArrayRef<Tensor> arguments);

} // namespace lmc::lm
