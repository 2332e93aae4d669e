// The lm dialect and its ops.
#pragma once

#include "ir/AttentionScores.h"
#include "ir/GraphBuilder.h"
#include "ir/PagedCache.h"
#include "ir/Shape.h"
#include "ir/Tensor.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/Dialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/Attributes.h.inc"

#include "ir/Interfaces.h.inc"

#define GET_OP_CLASSES
#include "ir/Ops.h.inc"

namespace lmc::lm {

/// The model path an op stands for, from its location: "layers.3.attn.q_proj"; fused locations give
/// the first path, "" means unknown.
std::string modelPath(mlir::Location loc);

/// emitError for an op that has no adjoint, with its model path and the reason.
llvm::LogicalResult notDifferentiable(mlir::Operation *op, llvm::StringRef reason);

} // namespace lmc::lm
