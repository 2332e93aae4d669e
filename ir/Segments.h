// Joined kernels: several kernels over different tensors as one, whose parts, the segments, have nothing
// to do with each other. A region holds them one after the other; `segments` of lm.kernel and plan.kernel
// says which operands are whose.
#pragma once

#include "ir/Shape.h"

#include "mlir/IR/Block.h"
#include "mlir/IR/BuiltinAttributes.h"

#include <memory>
#include <optional>

namespace lmc {

/// The operands of a kernel by segment. Segments with equal bodies follow one another; of their inputs
/// those that all of them share come first, then each segment's own. Outputs are each segment's own.
class Segments {
public:
  /// Of one body: how many segments, and their operands.
  struct Body {
    int64_t segments, shared, inputs, outputs;
  };

  /// Four numbers a body, as Body has them; null: one segment that has all operands.
  explicit Segments(mlir::DenseI64ArrayAttr attribute);
  static mlir::DenseI64ArrayAttr attribute(mlir::MLIRContext *context, llvm::ArrayRef<Body> bodies);

  static constexpr int kShared = -1; ///< several segments read it
  int ofInput(unsigned input) const;
  int ofOutput(unsigned output) const;

  int64_t count() const;
  int64_t numInputs() const; ///< of a joined kernel
  int64_t numOutputs() const;

  llvm::SmallVector<Body, 2> bodies;
};

/// What is computed from `arguments` to `results`, all of it static, with symbols in place of extents:
/// parts that differ in nothing else have the same.
///   map: pointwise ops over one space, read where it is written; the space becomes [n].
///   row: one reduction of the last dimension of such ops, which is the result; the space becomes
///        [rows, columns], the result [rows].
/// Numbers for all (scalars) stay. The block ends in lm.yield. Null for everything else.
struct WithoutExtents {
  std::unique_ptr<mlir::Block> body;
  std::string text;      ///< equal where bodies are
  int64_t rows, columns; ///< map: 1, n
};
std::optional<WithoutExtents> withoutExtents(llvm::StringRef family,
                                             llvm::ArrayRef<mlir::BlockArgument> arguments,
                                             llvm::ArrayRef<mlir::Value> results);

} // namespace lmc
