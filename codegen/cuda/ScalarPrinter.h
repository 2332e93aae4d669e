// Scalar forms (arith and math on scalars) as C++ expressions. The CUDA twin of what the CPU's
// lowering does with the same ops.
#pragma once

#include "mlir/IR/Operation.h"

#include <string>

namespace lmc::cuda {

/// The C++ type a kernel computes in: float for f32, bf16 and f16, double, int, long long, bool.
std::string computeType(mlir::Type element);
/// The MLIR type of the same: f32 for narrower floats.
mlir::Type computedAs(mlir::Type element);
/// The type in memory. Throws Error for element types that kernels for CUDA do not read yet (f16).
std::string storageType(mlir::Type element);

/// A literal of the compute type that reads back as exactly this value.
std::string literal(mlir::Type element, double value);
std::string literal(mlir::Type element, const llvm::APInt &value);

/// One op of a scalar form as an expression of its operands (names or literals).
std::string printScalar(mlir::Operation *op, llvm::ArrayRef<std::string> operands);

} // namespace lmc::cuda
