// Parameters that every program of an inference executable only reads, and how they may be stored in
// another layout than the one that their names stand for.
#pragma once

#include "ir/Dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

#include <optional>
#include <string>

namespace lmc {

/// A parameter as every program has it.
struct StoredWeight {
  llvm::SmallVector<mlir::BlockArgument> arguments;
  llvm::SmallVector<lm::MatmulOp> products; ///< that read it as their right side
  llvm::SmallVector<lm::GatherOp> gathers;  ///< that read it as their table
  llvm::SmallVector<lm::ExpertMatmulOp>
      expertProducts;   ///< that read it as the experts' matrices [E, ., .]
  std::string otherUse; ///< what else is done with it; empty: nothing

  mlir::RankedTensorType type() const {
    return mlir::cast<mlir::RankedTensorType>(arguments.front().getType());
  }
  /// Is the matrix [columns, depth] to its products, those of experts too? Null where they do not agree, or
  /// there are none.
  std::optional<bool> transposed() const;

  /// kStored of the arguments; null where they have none.
  mlir::TypeAttr storedElement() const;

  /// Gives the arguments the stored type; kPlain and kPlainTransposed keep the other.
  void storeAs(mlir::RankedTensorType stored, bool transposed);
};

/// By name, in the order of the arguments.
llvm::MapVector<mlir::StringAttr, StoredWeight> storedWeights(mlir::ModuleOp module);

} // namespace lmc
