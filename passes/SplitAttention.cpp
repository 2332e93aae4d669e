// Why:    a decoded token's attention reads a long cache once and has a block for each key head of each
//         sequence: 8 of an H100's 132 multiprocessors work for Llama 3 8B. Parts of the keys are
//         blocks of their own.
// Before: %out, %lse = lm.attention %q, %k, %v, %past {causal, scale}
// After:  %o, %l = lm.attention_parts %q, %k, %v, %past {causal, scale, parts = P, chunk = N}
//         %e = lm.broadcast %l                [B, T, H, P] -> [B, T, H, D, P]
//         %w = exp(%e - max(%e))              along P
//         %out = sum(%w * transpose(%o)) / sum(%w)
//         The combination is one row kernel: a row is one element of out, and its parts come in
//         rising order of P. Weights are computed for each element of out again, which costs less
//         than a third launch. The log-sum-exp is combined where somebody reads it.
// Needs:  attention over a cache with a tile's worth of queries (a decode step, a few guesses).
//         Leaves: lm.attention where it does not pay. Numerics: reassociates; the choice depends on
//         shapes and the target alone, the order of sums on nothing else.
//         Source: Dao et al. 2023, FlashDecoding.
// Order:  beside lm-flash-attention, before fusion, which makes one kernel of the combination.
#include "passes/Passes.h"

#include "ir/Dialect.h"

#include <algorithm>
#include <string>

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_SPLITATTENTION
#include "passes/Passes.h.inc"

namespace {

// The rule. A block takes a tile of query rows, heads that share keys packed into it, and one part of
// the keys. There are as many parts as give each multiprocessor two blocks, which its shared memory
// holds from sm_90 on, but none without a chunk of its own; a chunk is what one block has on its way
// at a time. Below a certain size of the cache, one head's keys and values at the largest context,
// the second launch costs more than it saves.
constexpr int64_t kBlocksOfMultiprocessor = 2;
constexpr int64_t kRowsOfBlock = 32; ///< more queries than that are a prefill
constexpr int64_t kChunkBytes = 64 << 10, kSmallestChunk = 32, kLargestChunk = 128;
constexpr int64_t kLeastBytes = 256 << 10;

/// What becomes of one attention: parts of `chunk` keys, or why it stays whole.
struct Choice {
  int64_t parts = 0, chunk = 0;
  std::string refusal;
};

class Chooser {
public:
  Chooser(func::FuncOp function, const SplitAttentionOptions &options)
      : ranges(function->getAttrOfType<DictionaryAttr>("lm.ranges")), options(options) {}

  Choice choose(lm::AttentionOp op) const {
    lm::Shape q = lm::shapeOf(op.getQ()), k = lm::shapeOf(op.getK());
    int64_t queries = largest(q[1]), headDim = largest(q[3]), keys = 1;
    for (const lm::Dim &dim : op.getKeyDims())
      keys *= largest(dim);
    if (!op.getPast())
      return {0, 0, "it is not over a cache"};
    if (!lm::elementOf(op.getK()).isIntOrFloat() || lm::elementOf(op.getK()).isInteger(8))
      return {0, 0, "its cache holds bytes"};
    if (!queries || !keys || !headDim)
      return {0, 0, "a dimension has no range"};
    if (queries > 1 && queries * (q[2].size / k[2].size) > kRowsOfBlock)
      return {0, 0, "it has " + std::to_string(queries) + " queries, which are blocks enough"};

    int64_t window = static_cast<int64_t>(op.getWindow().value_or(0));
    int64_t seen = window ? std::min(keys, window + queries - 1) : keys;
    int64_t keyBytes = 2 * headDim * lm::elementOf(op.getK()).getIntOrFloatBitWidth() / 8;
    Choice choice;
    choice.chunk = options.chunk ? int64_t(options.chunk) : chunkOf(keyBytes);
    if (options.parts) {
      choice.parts = options.parts;
      return choice;
    }
    if (seen * keyBytes < kLeastBytes)
      return {0, 0,
              "a head's keys and values are " + std::to_string(seen * keyBytes >> 10) +
                  " KiB at most"};
    int64_t batch = q[0].isStatic() ? q[0].size : 1; // as lm-flash-attention counts
    int64_t rows = queries * (q[2].size / k[2].size);
    int64_t items = batch * k[2].size * ((rows + kRowsOfBlock - 1) / kRowsOfBlock);
    choice.parts =
        std::min(kBlocksOfMultiprocessor * options.multiprocessors / items, seen / choice.chunk);
    if (choice.parts < 2)
      return {0, 0, "it has " + std::to_string(items) + " work items without"};
    return choice;
  }

private:
  static int64_t chunkOf(int64_t keyBytes) {
    int64_t chunk = kLargestChunk;
    while (chunk > kSmallestChunk && chunk * keyBytes > kChunkBytes)
      chunk /= 2;
    return chunk;
  }

  /// 0: not known.
  int64_t largest(const lm::Dim &dim) const {
    if (dim.isStatic())
      return dim.size;
    auto range = ranges ? ranges.getAs<DenseI64ArrayAttr>(dim.symbol) : DenseI64ArrayAttr();
    return range ? range[1] : 0;
  }

  DictionaryAttr ranges;
  const SplitAttentionOptions &options;
};

/// Weights of the parts [..., P] along the last dimension, and their sum.
struct Weights {
  Value top, weights, total;
  Weights(lm::GraphBuilder &g, Value lse)
      : top(g.max(lse, {-1})), weights(g.exp(g.sub(lse, g.perRow(top, lse)))),
        total(g.sumLast(weights)) {}
};

void split(lm::AttentionOp op, const Choice &choice) {
  OpBuilder b(op);
  lm::GraphBuilder g(b, op.getLoc());
  auto parts = b.create<lm::AttentionPartsOp>(
      op.getLoc(), op->getOperands(), lm::AttentionScores::of(op), choice.parts, choice.chunk);
  Value byDepth = g.transpose(parts.getOut(), {0, 1, 2, 4, 3}); // [B, T, H, D, P]
  Weights of(g, g.broadcast(parts.getLse(), lm::shapeOf(byDepth), {0, 1, 2, 4}));
  Value out = g.div(g.sumLast(g.mul(of.weights, byDepth)), of.total);
  op.getOut().replaceAllUsesWith(g.convert(out, lm::elementOf(op.getOut())));
  if (!op.getLse().use_empty()) {
    Weights ofRow(g, parts.getLse());
    op.getLse().replaceAllUsesWith(g.add(ofRow.top, g.log(ofRow.total)));
  }
  op.erase();
}

struct SplitAttention : impl::SplitAttentionBase<SplitAttention> {
  using SplitAttentionBase::SplitAttentionBase;

  void runOnOperation() override {
    SplitAttentionOptions options{multiprocessors, parts, chunk, explain};
    Chooser chooser(getOperation(), options);
    getOperation().walk([&](lm::AttentionOp op) {
      Choice choice = chooser.choose(op);
      if (explain && op.getPast())
        op->emitRemark() << "'" << lm::modelPath(op->getLoc()) << "' (lm.attention) "
                         << (choice.refusal.empty()
                                 ? "has its keys in " + std::to_string(choice.parts) +
                                       " parts, chunks of " + std::to_string(choice.chunk)
                                 : "keeps its keys together: " + choice.refusal);
      if (choice.refusal.empty())
        split(op, choice);
    });
  }
};

} // namespace
} // namespace lmc
