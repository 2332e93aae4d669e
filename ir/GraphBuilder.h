// Short spellings for building lm graphs: adjoints, decompositions and model builders read as
// formulas.
#pragma once

#include "ir/Shape.h"

#include "mlir/IR/Builders.h"

namespace lmc::lm {

class GraphBuilder {
public:
  GraphBuilder(mlir::OpBuilder &builder, mlir::Location loc) : b(builder), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  /// The same builder at another model path.
  GraphBuilder at(llvm::StringRef path) const;

  // Constants.
  mlir::Value scalar(double value, mlir::Type element);
  mlir::Value full(double value, mlir::Type type); ///< every element of a tensor type
  mlir::Value fullLike(double value, mlir::Value like) { return full(value, like.getType()); }
  mlir::Value vector(llvm::ArrayRef<float> values); ///< f32 [n]
  mlir::Value iota(mlir::RankedTensorType type, int64_t dim);

  // Pointwise. Binary operands of different shape are broadcast as NumPy does.
  mlir::Value neg(mlir::Value x);
  mlir::Value abs(mlir::Value x);
  mlir::Value exp(mlir::Value x);
  mlir::Value expm1(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value sqrt(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);
  mlir::Value sin(mlir::Value x);
  mlir::Value cos(mlir::Value x);
  mlir::Value isFinite(mlir::Value x);
  mlir::Value convert(mlir::Value x, mlir::Type element);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value maximum(mlir::Value x, mlir::Value y);
  mlir::Value minimum(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, double y) { return add(x, scalar(y, elementOf(x))); }
  mlir::Value mul(mlir::Value x, double y) { return mul(x, scalar(y, elementOf(x))); }
  mlir::Value compare(llvm::StringRef predicate, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);

  // Shape.
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<Dim> shape);
  mlir::Value transpose(mlir::Value x, llvm::ArrayRef<int64_t> permutation);
  mlir::Value slice(mlir::Value x, int64_t dim, int64_t start, int64_t size);
  mlir::Value concat(llvm::ArrayRef<mlir::Value> xs, int64_t dim);
  mlir::Value broadcast(mlir::Value x, llvm::ArrayRef<Dim> shape, llvm::ArrayRef<int64_t> dims);
  /// Aligns trailing dimensions, as NumPy does; x itself when the shapes are equal.
  mlir::Value broadcastTo(mlir::Value x, llvm::ArrayRef<Dim> shape);
  /// [...] -> [..., C] for the shape [..., C] of `like`: one number per row.
  mlir::Value perRow(mlir::Value x, mlir::Value like);

  // Reductions; a negative dimension counts from the end.
  mlir::Value sum(mlir::Value x, llvm::ArrayRef<int64_t> dims);
  mlir::Value max(mlir::Value x, llvm::ArrayRef<int64_t> dims);
  mlir::Value sumLast(mlir::Value x) { return sum(x, {-1}); }
  mlir::Value meanLast(mlir::Value x); ///< needs a static last dimension
  mlir::Value sumAll(mlir::Value x);
  /// Sums the leading dimensions away until `x` has the rank of a [C] vector.
  mlir::Value sumLeading(mlir::Value x);

  mlir::Value matmul(mlir::Value a, mlir::Value b, bool transposeA = false,
                     bool transposeB = false);

private:
  std::pair<mlir::Value, mlir::Value> aligned(mlir::Value x, mlir::Value y);
  mlir::Value reduce(llvm::StringRef kind, mlir::Value x, llvm::ArrayRef<int64_t> dims);
};

} // namespace lmc::lm
