// Small float64 models for pass tests, with odd, unequal sizes.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace lmc::test {

/// Sizes of one transformer block; q heads H in groups over G heads of k and v.
struct BlockSizes {
  int64_t B = 2, T = 5, H = 4, G = 4, D = 2, F = 7, V = 11;
  int64_t C() const { return H * D; }
};

/// @loss of features [B, 5] and targets [B]: two layers with biases and relu.
mlir::OwningOpRef<mlir::ModuleOp> mlp(mlir::MLIRContext &context);
/// @loss of features [37, 6] and targets [37]: `depth` residual blocks x + W2 gelu(W1 layer_norm(x)).
mlir::OwningOpRef<mlir::ModuleOp> deepMlp(mlir::MLIRContext &context, int depth);
/// @loss of tokens and targets [B, T]: learned positions, layer_norm, causal attention, gelu, tied
/// head.
mlir::OwningOpRef<mlir::ModuleOp> gptBlock(mlir::MLIRContext &context, BlockSizes sizes = {});
/// @loss of tokens and targets [B, T]: rms_norm, rope, grouped attention, swiglu, untied head.
mlir::OwningOpRef<mlir::ModuleOp> llamaBlock(mlir::MLIRContext &context, BlockSizes sizes);

} // namespace lmc::test
