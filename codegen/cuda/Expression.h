// Elements of tensor values inside a kernel, as statements of C++: views become index arithmetic,
// pointwise ops become expressions. The one place where a kernel's region turns into text; the
// emitters of the families (Map.cpp, Row.cpp) write loops around it.
#pragma once

#include "codegen/KernelBody.h"
#include "codegen/cuda/Kernel.h"
#include "ir/Dialect.h"

#include <fmt/format.h>
#include <map>

namespace lmc::cuda {

/// A product of dimensions.
struct Extent {
  int64_t factor = 1, max = 1;
  std::vector<std::string> symbols;
  bool is(int64_t value) const { return symbols.empty() && factor == value; }
};

/// One name or literal for each dimension of a value. `lane` is the dimension a loop runs along, or
/// -1: what does not depend on it is computed before the loop.
struct Index {
  llvm::SmallVector<std::string, 4> at;
  int lane = -1;
};

class Expression {
public:
  Expression(mlir::Block &body, const Ranges &ranges, llvm::StringRef name,
             llvm::StringRef architecture);

  mlir::Block &body;
  /// Does the target have tensor maps and products of warpgroups (device/hopper.cuh)?
  const bool hasWarpgroups;
  /// The number of this block.
  std::string block = "blockIdx.x";

  // --- values

  /// A name or literal for the element of `value` at `index`; statements that compute it are
  /// written here.
  std::string evaluate(mlir::Value value, const Index &index);
  /// Writes now what does not depend on the lane dimension.
  void hoistUniform(mlir::Value value, const Index &index);
  /// What evaluate() returns for `value`, whatever the index, until the scope ends.
  void define(mlir::Value value, std::string name);
  /// Stores an output's element; `output` counts the results of the kernel.
  void store(unsigned output, const std::string &element, const Index &index);
  std::string input(unsigned number) const { return "x" + std::to_string(number); }
  std::string output(unsigned number) const { return "y" + std::to_string(number); }
  /// The name of a tensor map that the kernel takes.
  std::string tensorMap(TensorMap map);
  mlir::Value outputValue(unsigned number) { return body.getTerminator()->getOperand(number); }
  unsigned numOutputs() { return body.getTerminator()->getNumOperands(); }
  /// Converts between what is stored and what is computed with.
  static std::string loaded(mlir::Type element, const std::string &stored);
  static std::string stored(mlir::Type element, const std::string &computed);

  // --- text

  void line(const std::string &text);
  /// "for (...) {", what `inside` writes, `end`. What is evaluated inside is forgotten after it.
  void braces(const std::string &head, llvm::function_ref<void()> inside,
              const std::string &end = "}");
  /// A name for an expression of that type; equal expressions of a scope share one.
  std::string name(const std::string &type, const std::string &expression);
  /// A name nobody else has.
  std::string fresh() { return "v" + std::to_string(nextName++); }

  // --- index arithmetic in index_t, folded where numbers are known

  std::string add(const std::string &a, const std::string &b);
  std::string mul(const std::string &a, const std::string &b);
  std::string div(const std::string &a, const std::string &b);
  std::string rem(const std::string &a, const std::string &b);
  Extent product(llvm::ArrayRef<lm::Dim> shape) const;
  std::string text(const Extent &extent);
  /// Where an element lies in a row-major tensor.
  std::string offset(llvm::ArrayRef<lm::Dim> shape, const Index &index);
  /// The indices of a shape at flat position `flat`.
  llvm::SmallVector<std::string, 4> unflatten(const std::string &flat,
                                              llvm::ArrayRef<lm::Dim> shape);

  /// What was written, as a kernel's body or as part of one. Extents are there as extent_SYMBOL.
  std::string scope() const;
  /// The finished kernel, under `comment`.
  Kernel finish(llvm::StringRef comment, std::vector<GridFactor> grid, unsigned block,
                unsigned minBlocks = 0);

private:
  std::string compute(mlir::Value value, const Index &index);
  std::string load(const std::string &pointer, mlir::RankedTensorType type, const Index &index);
  std::string constant(lm::ConstantOp op, const Index &index);
  std::string iota(lm::IotaOp op, const Index &index);
  std::string concat(lm::ConcatOp op, const Index &index);
  std::string gather(lm::GatherOp op, const Index &index);
  std::string skew(lm::SkewOp op, const Index &index);
  std::string innerReduce(lm::ReduceOp op, const Index &index);
  std::string pointwise(mlir::Operation *op, const Index &index);
  std::optional<Index> viewIndex(mlir::Operation *op, const Index &index);
  std::string dim(const std::string &symbol);

  void remember(const std::string &key, const std::string &name);

  const Ranges &ranges;
  std::string kernelName;
  std::vector<std::string> symbols; ///< in the order of the kernel's parameters
  std::vector<std::string> used;    ///< symbols whose extents the text needs
  std::vector<TensorMap> maps;
  std::string tables, statements, indexType;
  unsigned indent = 1, nextName = 0, nextTable = 0;
  std::map<std::string, std::string> known; ///< expression or (value, index) -> name
  std::vector<std::pair<std::string, std::optional<std::string>>> undo;
};

/// A reduction as text: each thread adds up a part of the elements in a variable.
struct Reduction {
  Reduction(lm::ReduceOp op);
  void start(Expression &x);                       ///< declares `sum`
  void combine(Expression &x, const Index &index); ///< adds the element at `index` to it

  lm::ReduceOp op;
  std::string type, neutral, combiner; ///< "float", "0.0f", "lmc::Sum"
  std::string sum;
};

/// Blocks of `block` elements that cover an extent.
std::vector<GridFactor> gridOf(const Extent &extent, int64_t block = 1);

// One emitter a family; each writes the body of a kernel and says how it is launched.
struct Launch {
  std::vector<GridFactor> grid;
  unsigned block;
  std::string mapping;      ///< for the comment above the kernel
  unsigned sharedBytes = 0; ///< dynamic shared memory
  unsigned minBlocks = 0;   ///< that registers must leave room for on a multiprocessor; 0: any
};
Launch emitMap(Expression &x);          ///< Map.cpp: pointwise over any index map; gather
Launch emitRow(Expression &x);          ///< Row.cpp: pointwise and reductions along rows
Launch emitColumn(Expression &x);       ///< Column.cpp: reductions over leading dimensions
Launch emitScatter(Expression &x);      ///< Scatter.cpp: adds rows at places that ids name
Launch emitCacheAppend(Expression &x);  ///< Scatter.cpp: writes behind the past of a cache
Launch emitProduct(Expression &x);      ///< Product.cpp: products with an epilogue
Launch emitBlockProduct(Expression &x); ///< BlockProduct.cpp: the same with block-quantised weights
Launch emitQuantizeRows(Expression &x); ///< Blocks.cpp: rows as bytes
Launch emitBlockGather(Expression &x);  ///< Blocks.cpp: rows of a block-quantised table
Launch emitSample(Expression &x);       ///< Sample.cpp: an id drawn from each row of logits
Launch emitAttention(Expression &x);    ///< Attention.cpp: attention and its adjoints

} // namespace lmc::cuda
