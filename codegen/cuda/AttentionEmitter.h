// What the attention family's files share: the class that prints a kernel's call of the device library.
#pragma once

#include "codegen/cuda/Attention.h"
#include "codegen/cuda/Expression.h"

namespace lmc::cuda {

class AttentionEmitter {
public:
  /// `past` and `pages` may be null.
  AttentionEmitter(Expression &x, mlir::Operation *op, mlir::Value q, mlir::Value k,
                   const lm::AttentionScores &scores, mlir::Value past = {},
                   mlir::Value pages = {});

  Launch forward(lm::AttentionOp op);
  Launch parts(lm::AttentionPartsOp op);
  Launch dq(lm::AttentionDqOp op);
  Launch dkdv(lm::AttentionDkDvOp op);

private:
  using Operation = mlir::Operation;
  using Type = mlir::Type;
  using Value = mlir::Value;
  using StringRef = llvm::StringRef;
  template <typename T> using ArrayRef = llvm::ArrayRef<T>;

  /// An operand traced through slices, transposes and conversions to the buffer where it lies.
  /// Offsets and strides in elements.
  struct View {
    std::string buffer;
    Type storage;
    llvm::SmallVector<Extent> offsets, strides;
    std::string start; ///< further elements to go, as text; empty: none
    lm::Shape shape;
    unsigned argument = 0; ///< of the kernel, of inputs
    bool isOutput = false;
  };

  void begin(const AttentionSchedule &which, int64_t decodeRows, int64_t chunk = 0);
  /// Which tile of which head this block has, what its queries see, and what becomes of scores.
  void enterBlock(bool outerIsQueries, int outer);
  void declareChain();
  void call(ArrayRef<StringRef> operands, ArrayRef<std::string> extents,
            const std::string &moreTemplateArguments);
  Launch launch(const std::string &mapping) const;
  std::string asOnSm80(StringRef mapping, StringRef whyNot) const;

  // AttentionOperands.cpp
  View input(Value value);
  View output(unsigned number);
  View viewOf(std::string buffer, Value value, bool isOutput, unsigned argument = 0);
  /// Of a result [B, T, H, parts, ...], this block's part.
  View ofPart(View view) const;
  /// Bytes that are aligned and contiguous wherever a row of the view is cut into such pieces.
  int chunkOf(const View &view) const;
  /// lmc::Rows of one batch entry and one head.
  void declare(StringRef name, const View &view, const std::string &head, int64_t packedHeads = 1);
  void declareInputs(Value q, Value k, Value v, Value lse, Value delta, Value dout);
  void declareStatistics(Value lse, Value delta);
  /// Keys and values of a key head. `aligned`: tiles begin at multiples of their rows.
  void declareKeys(Value k, Value v, bool aligned);
  /// Dimensions head_dim, heads, tokens, batch; a box has 64 elements of `lines` tokens of one head.
  TensorMap mapOf(Value operand, int lines);

  // AttentionWarpgroups.cpp: the tiles of sm_90a.
  /// Why they do not fit; empty: they do.
  StringRef whyNotWarpgroups(ArrayRef<Value> operands);
  StringRef whyNotAdjointOfWarpgroups(ArrayRef<Value> operands);
  Launch forwardOfWarpgroups(lm::AttentionOp op);
  Launch dqOfWarpgroups(lm::AttentionDqOp op);
  Launch dkdvOfWarpgroups(lm::AttentionDkDvOp op);
  WarpgroupAdjointTile beginWarpgroups(const AttentionSchedule &which);
  std::string maps(ArrayRef<Value> operands, int lines);
  void callTiles(const AttentionSchedule &which, ArrayRef<std::string> extents,
                 const std::string &maps, StringRef results);

  Expression &x;
  Operation *op;
  lm::Shape q, k;
  Type element;
  lm::Shape keyDims; ///< whose product is S
  lm::AttentionScores scores;
  Value past, pages;                   ///< null where there are none
  int64_t heads, keyHeads, packed = 1; ///< packed: query heads in the rows of a tile
  int64_t numParts = 1;                ///< of the keys

  const AttentionSchedule *schedule = nullptr;
  AttentionTile tile;
  unsigned sharedBytes = 0;
  std::vector<GridFactor> grid;
  std::string first, batch, queryHead, keyHead, part = "0";
};

} // namespace lmc::cuda
