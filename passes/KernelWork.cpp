#include "passes/KernelWork.h"

#include "ir/Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"

#include <algorithm>

using namespace mlir;

namespace lmc {
namespace {

/// Steps of a pointwise op's scalar form that need a special function unit.
unsigned exponentialsOf(lm::PointwiseOp op) {
  auto scalar = [](Value value) { return lm::elementOf(value); };
  Block form;
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&form);
  for (Value operand : op->getOperands())
    form.addArgument(scalar(operand), op->getLoc());
  op.scalarForm(builder, op->getLoc(), ValueRange(form.getArguments()), scalar(op->getResult(0)));
  return llvm::count_if(form, [](Operation &step) {
    bool isCheap = isa<math::FmaOp, math::AbsFOp>(step);
    return isa<arith::DivFOp>(step) || (isa<math::MathDialect>(step.getDialect()) && !isCheap);
  });
}

class Counter {
public:
  Counter(KernelWork &work, llvm::function_ref<int64_t(StringRef)> largest)
      : work(work), largest(largest) {}

  void count(Operation &op) {
    for (Value operand : op.getOperands())
      work.isDouble |= lm::elementOf(operand).isF64();
    if (auto matmul = dyn_cast<lm::MatmulOp>(op)) {
      lm::Shape a = lm::shapeOf(matmul.getA());
      double k = extent(matmul.getTransposeA() ? a[a.size() - 2] : a.back());
      addProduct(matmul.getA(), 2 * elements(matmul.getY()) * k);
    } else if (auto experts = dyn_cast<lm::ExpertMatmulOp>(op)) {
      double k = extent(lm::shapeOf(experts.getX()).back());
      addProduct(experts.getX(), 2 * elements(experts.getY()) * k);
    } else if (auto outer = dyn_cast<lm::ExpertOuterOp>(op)) {
      double mn =
          extent(lm::shapeOf(outer.getA()).back()) * extent(lm::shapeOf(outer.getB()).back());
      addProduct(outer.getA(), 2 * elements(outer.getOrder()) * mn);
    } else if (auto blocks = dyn_cast<lm::BlockMatmulOp>(op)) {
      double k = extent(lm::shapeOf(blocks.getCodes()).back());
      addProduct(blocks.getCodes(), 2 * elements(blocks.getY()) * k);
    } else if (auto blocks = dyn_cast<lm::ExpertBlockMatmulOp>(op)) {
      double k = extent(lm::shapeOf(blocks.getCodes()).back());
      addProduct(blocks.getCodes(), 2 * elements(blocks.getY()) * k);
    } else if (auto attention = dyn_cast<lm::AttentionOp>(op)) {
      countAttention(attention, 2);
    } else if (auto parts = dyn_cast<lm::AttentionPartsOp>(op)) {
      countAttention(parts, 2);
    } else if (auto dq = dyn_cast<lm::AttentionDqOp>(op)) {
      countAttention(dq, 3);
    } else if (auto dkdv = dyn_cast<lm::AttentionDkDvOp>(op)) {
      countAttention(dkdv, 4);
    } else if (auto all = dyn_cast<lm::AttentionDqkvOp>(op)) {
      countAttention(all, 5);
    } else if (auto pointwise = dyn_cast<lm::PointwiseOp>(op)) {
      double count = elements(op.getResult(0));
      work.pointwiseFlops += count;
      work.exponentials += count * exponentialsOf(pointwise);
    } else if (isa<lm::ReduceOp>(op)) {
      work.pointwiseFlops += elements(op.getOperand(0));
    } else if (auto sample = dyn_cast<lm::SampleOp>(op)) {
      work.pointwiseFlops += 20 * elements(sample.getLogits()); // a weight, without filters
    } else if (auto scatter = dyn_cast<lm::ScatterAddOp>(op)) {
      work.pointwiseFlops += elements(scatter.getUpdates());
    }
  }

  /// What the kernel reads of one of its inputs: all of it, unless every reader takes a part.
  double bytesReadOf(BlockArgument input) const {
    double sum = 0;
    for (OpOperand &use : input.getUses()) {
      Operation *op = use.getOwner();
      bool isTable = isa<lm::GatherOp>(op) && use.getOperandNumber() == 0;
      if (auto gather = dyn_cast<lm::BlockGatherOp>(op); gather && use.getOperandNumber() == 0) {
        sum += elements(gather.getIds()) * bytes(input) / static_cast<double>(gather.getColumns());
        continue;
      }
      bool isCache = isa<lm::CacheAppendOp>(op) && use.getOperandNumber() == 0;
      if (isTable || isa<lm::SliceOp>(op))
        sum += bytes(op->getResult(0));
      else if (auto experts = dyn_cast<lm::ExpertMatmulOp>(op); experts && input == experts.getW())
        sum += bytesOfExperts(input, experts.getOrder());
      else if (auto blocks = dyn_cast<lm::ExpertBlockMatmulOp>(op);
               blocks && input == blocks.getWeights())
        sum += bytesOfExperts(input, blocks.getOrder());
      else if (auto attention = dyn_cast<lm::AttentionOp>(op);
               attention && (input == attention.getK() || input == attention.getV()))
        sum += bytesOfKeys(input, attention);
      else if (auto parts = dyn_cast<lm::AttentionPartsOp>(op);
               parts && (input == parts.getK() || input == parts.getV()))
        sum += bytesOfKeys(input, parts);
      else if (!isCache)
        sum += bytes(input);
    }
    return std::min(sum, bytes(input));
  }

  double bytesWrittenOf(Value output) const {
    auto append = output.getDefiningOp<lm::CacheAppendOp>();
    return append ? bytesOfTokens(output, append.getUpdate()) : bytes(output);
  }

private:
  /// What the tokens [B, T, ...] of `like` take in a cache or a pool of pages.
  double bytesOfTokens(Value cache, Value like) const {
    lm::Shape rows = lm::shapeOf(cache), tokens = lm::shapeOf(like);
    return bytes(cache) / extent(rows[0]) / extent(rows[1]) * extent(tokens[0]) * extent(tokens[1]);
  }

  /// Of the experts' matrices that so many rows take at most.
  double bytesOfExperts(Value weights, Value order) const {
    return bytes(weights) * std::min(1.0, elements(order) / extent(lm::shapeOf(weights)[0]));
  }

  /// `products`: matrix products over the pairs of queries and keys.
  template <typename Op> void countAttention(Op op, int products) {
    lm::Shape q = lm::shapeOf(op.getQ());
    lm::AttentionScores modifiers = lm::AttentionScores::of(op);
    double scores = extent(q[0]) * extent(q[2]) * visibleTo(op).pairs();
    addProduct(op.getQ(), 2 * products * scores * extent(q[3]));
    work.exponentials += scores * (modifiers.softCap ? 2 : 1);
  }

  /// The last query sees the last key.
  template <typename Op> lm::VisibleKeys visibleTo(Op op) const {
    int64_t queries = sizeOf(lm::shapeOf(op.getQ())[1]), keys = 1;
    for (const lm::Dim &dim : keyDims(op))
      keys *= sizeOf(dim);
    return {queries, keys, keys - queries, lm::AttentionScores::of(op)};
  }
  template <typename Op> static lm::Shape keyDims(Op op) {
    if constexpr (requires { op.getKeyDims(); })
      return op.getKeyDims();
    else
      return {lm::shapeOf(op.getK())[1]};
  }
  /// What attention reads of its keys or values: with a window a share of them, of a pool the pages
  /// of its sequences.
  template <typename Op> double bytesOfKeys(Value keys, Op op) const {
    lm::VisibleKeys visible = visibleTo(op);
    auto read = static_cast<double>(visible.end(visible.queries - 1) - visible.begin(0));
    lm::Shape rows = lm::shapeOf(keys);
    return bytes(keys) / extent(rows[0]) / extent(rows[1]) * extent(lm::shapeOf(op.getQ())[0]) *
           read;
  }

  void addProduct(Value operand, double flops) {
    // Dot products of bytes run outside the matrix units, too.
    bool isNarrow = lm::elementOf(operand).getIntOrFloatBitWidth() == 16;
    (isNarrow ? work.matrixFlops : work.productFlops) += flops;
  }

  int64_t sizeOf(const lm::Dim &dim) const {
    return dim.isStatic() ? dim.size : largest(dim.symbol.getValue());
  }
  double extent(const lm::Dim &dim) const { return static_cast<double>(sizeOf(dim)); }
  double elements(Value value) const {
    double count = 1;
    for (const lm::Dim &dim : lm::shapeOf(value))
      count *= extent(dim);
    return count;
  }
  double bytes(Value value) const {
    return elements(value) * std::max(8u, lm::elementOf(value).getIntOrFloatBitWidth()) / 8;
  }

  KernelWork &work;
  llvm::function_ref<int64_t(StringRef)> largest;
};

} // namespace

KernelWork::KernelWork(Block &body, llvm::function_ref<int64_t(StringRef)> largest) {
  Counter counter(*this, largest);
  for (Operation &op : body.without_terminator())
    counter.count(op);
  for (BlockArgument input : body.getArguments())
    bytesRead += counter.bytesReadOf(input);
  for (Value output : body.getTerminator()->getOperands())
    bytesWritten += counter.bytesWrittenOf(output);
}

} // namespace lmc
