// Why:    attention without a [T, T] matrix in memory: the forward keeps only the log-sum-exp of
//         each row, and the adjoint recomputes the scores tile by tile, without atomics. One kernel
//         for the whole adjoint does so once (5 products), but its work items are only batch x key
//         heads; where those are few, dq and dk, dv are two kernels (7 products) with an item for
//         each tile.
// Before: %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout
// After:  %delta = rowsum(dout * out)
//         %dq, %dk, %dv = lm.attention_dqkv %q, %k, %v, %lse, %delta, %dout
//     or  %dq = lm.attention_dq %q, %k, %v, %lse, %delta, %dout
//         %dk, %dv = lm.attention_dkdv %q, %k, %v, %lse, %delta, %dout
// Needs:  nothing. Leaves: no lm.attention_grad; lm.attention, attention_dqkv, attention_dq and
//         attention_dkdv are each one tiled kernel with online softmax (codegen/cpu/Attention*).
//         Numerics: reassociates (sums run tile by tile); the choice depends on shapes alone.
//         Source: Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691.
// Order:  beside decomposition, before fusion, which computes delta where it is cheapest.
#include "passes/Passes.h"

#include "ir/Dialect.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_FLASHATTENTION
#include "passes/Passes.h.inc"

namespace {

/// Work items of one kernel; a symbolic batch counts as one entry.
int64_t itemsOf(lm::AttentionDqkvOp op) {
  lm::Shape k = lm::shapeOf(op.getK());
  return (k[0].isStatic() ? k[0].size : 1) * k[2].size;
}

void split(lm::AttentionDqkvOp op) {
  OpBuilder b(op);
  lm::AttentionScores scores = lm::AttentionScores::of(op);
  auto dq = b.create<lm::AttentionDqOp>(op.getLoc(), op->getOperands(), scores);
  auto rest = b.create<lm::AttentionDkDvOp>(op.getLoc(), op->getOperands(), scores);
  op->replaceAllUsesWith(ValueRange{dq, rest.getDk(), rest.getDv()});
  op.erase();
}

struct FlashAttention : impl::FlashAttentionBase<FlashAttention> {
  using FlashAttentionBase::FlashAttentionBase;

  void runOnOperation() override {
    getOperation().walk([](lm::AttentionGradOp op) {
      OpBuilder builder(op);
      lm::GraphBuilder g(builder, op.getLoc());
      op->replaceAllUsesWith(op.decompose(g));
      op.erase();
    });
    getOperation().walk([&](lm::AttentionDqkvOp op) {
      if (itemsOf(op) < items)
        split(op);
    });
  }
};

} // namespace
} // namespace lmc
