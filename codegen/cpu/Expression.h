// Elements of tensor values inside a kernel: views become index arithmetic, pointwise ops become
// vector instructions. The one place where a kernel's region turns into scalars and vectors; loops
// (Loops.h), product epilogues and reductions ask it for the elements they store.
#pragma once

#include "codegen/KernelBody.h"
#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Matmul.h"
#include "ir/Dialect.h"

#include "llvm/ADT/StringMap.h"

namespace lmc::cpu {

/// One index for each dimension of a value. Lanes run along dimension `lane`, where `at` is the
/// first lane's; -1: one scalar. [low, high) bounds the lane dimension's index where known, so that
/// concat can choose its operand at compile time (it reads lane by lane otherwise).
struct Index {
  llvm::SmallVector<mlir::Value, 4> at;
  int lane = -1;
  Lanes lanes;
  int64_t low = 0, high = INT64_MAX;

  void shiftBounds(int64_t by) {
    low += by;
    if (high != INT64_MAX)
      high += by;
  }
};

class Expression {
public:
  /// Block arguments of `body` are the kernel's buffers 0, 1, ...
  Expression(Emit &emit, mlir::Block &body, const Symbols &symbols);

  Emit &emit;
  mlir::Block &body;
  const Symbols &symbols;

  /// Elements of `value` at `index`: a scalar (lane < 0, or where lanes would all be equal) or a
  /// vector.
  mlir::Value evaluate(mlir::Value value, const Index &index);
  /// The same, with equal lanes spread out where index has lanes.
  mlir::Value evaluateLanes(mlir::Value value, const Index &index);
  /// Evaluates now every part that does not depend on the lane dimension, so that loops over it
  /// find it ready.
  void hoistUniform(mlir::Value value, const Index &index);

  /// What evaluate() returns for `value`, whatever the index, until the scope ends: results of
  /// reductions and products.
  void define(mlir::Value value, mlir::Value elements);
  /// The same at one index only.
  void define(mlir::Value value, const Index &index, mlir::Value elements);

  /// Values made inside a scope are forgotten at its end; one scope for each emitted region.
  class Scope {
  public:
    explicit Scope(Expression &owner) : owner(owner), size(owner.known.size()) {}
    ~Scope() { owner.known.resize(size); }

  private:
    Expression &owner;
    size_t size;
  };

  /// Stores an output's elements; `output` counts the results of the kernel.
  void store(unsigned output, mlir::Value elements, const Index &index);

  Extent extent(const lm::Dim &dim) const;
  /// Product of extents [first, end) of a shape.
  Extent product(llvm::ArrayRef<lm::Dim> shape) const;
  /// Elements from one index of dimension i to the next, of a row-major tensor.
  llvm::SmallVector<Extent, 4> strides(llvm::ArrayRef<lm::Dim> shape) const;

  /// Bounds inside [0, extent of the last dimension) where `value` reads another concat operand.
  void collectSegments(mlir::Value value, int64_t extent, llvm::SmallVectorImpl<int64_t> &bounds);

private:
  struct Known {
    mlir::Value value;
    bool everywhere;
    llvm::SmallVector<mlir::Value, 4> at;
    int lane;
    mlir::Value elements;
  };

  mlir::Value lookup(mlir::Value value, const Index &index);
  mlir::Value compute(mlir::Value value, const Index &index);
  mlir::Value loadFrom(mlir::Value pointer, mlir::RankedTensorType type, const Index &index);
  mlir::Value constant(lm::ConstantOp op, const Index &index);
  mlir::Value iota(lm::IotaOp op, const Index &index);
  mlir::Value pointwise(mlir::Operation *op, const Index &index);
  mlir::Value concat(lm::ConcatOp op, const Index &index);
  mlir::Value concatLaneByLane(lm::ConcatOp op, llvm::ArrayRef<int64_t> starts, const Index &index);
  mlir::Value gather(lm::GatherOp op, const Index &index);
  mlir::Value skew(lm::SkewOp op, const Index &index);
  mlir::Value skewLaneByLane(lm::SkewOp op, const Index &index);
  mlir::Value innerReduce(lm::ReduceOp op, const Index &index);
  std::optional<Index> viewIndex(mlir::Operation *op, const Index &index);

  llvm::SmallVector<Known> known;
};

} // namespace lmc::cpu
