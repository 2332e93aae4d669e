// Shapes whose dimensions are numbers or named symbols.
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

namespace lmc::lm {

/// One extent: a number, or a symbol whose range the function declares in `lm.ranges`.
struct Dim {
  int64_t size = mlir::ShapedType::kDynamic;
  mlir::StringAttr symbol;

  Dim(int64_t size) : size(size) {}
  Dim(mlir::StringAttr symbol) : symbol(symbol) {}
  bool isStatic() const { return !symbol; }
  bool operator==(const Dim &other) const = default;
};

using Shape = llvm::SmallVector<Dim, 4>;

/// The shape of a ranked tensor; a dynamic dimension without a name gets the symbol "?".
Shape shapeOf(mlir::Type type);
inline Shape shapeOf(mlir::Value value) { return shapeOf(value.getType()); }

mlir::Type elementOf(mlir::Value value);

/// In which products, reductions and statistics of `element` are accumulated: f32 for bf16 and f16,
/// else the same.
mlir::Type accumulatorOf(mlir::Type element);

/// tensor<...xelement>, with the symbols' names as its encoding.
mlir::RankedTensorType tensorType(llvm::ArrayRef<Dim> shape, mlir::Type element);

/// "[4, T, 64]", as messages show shapes.
std::string toString(llvm::ArrayRef<Dim> shape);

/// The product of the numbers, and the symbols in order; equal for shapes of equally many elements.
std::pair<int64_t, llvm::SmallVector<mlir::StringAttr>> elementCount(llvm::ArrayRef<Dim> shape);

/// The element count of a static type.
int64_t staticSize(mlir::Type type);

} // namespace lmc::lm
