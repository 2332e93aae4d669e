// An operand of a product or of attention, with the strides of the memory that it is read from.
#pragma once

#include "codegen/cpu/Expression.h"

namespace lmc::cpu {

struct OperandView {
  unsigned buffer; ///< of the kernel
  mlir::Type storage;
  mlir::Type element;                   ///< what elements are rounded to as they are read
  Extent offset = Extent(0);            ///< elements from the buffer's start to index 0, 0, ...
  llvm::SmallVector<Extent, 4> strides; ///< elements, for each dimension of the operand
  bool whole = true; ///< row-major and complete: leading dimensions may be merged
};

/// traceOperand() with steps as the kernel's extents.
OperandView operandView(Expression &x, mlir::Value value);

} // namespace lmc::cpu
