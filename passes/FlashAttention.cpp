// Why:    attention without a [T, T] matrix in memory: the forward keeps only the log-sum-exp of
//         each row, and the adjoint recomputes the scores tile by tile, in two kernels without
//         atomics.
// Before: %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout
// After:  %delta = rowsum(dout * out)
//         %dq = lm.attention_dq %q, %k, %v, %lse, %delta, %dout
//         %dk, %dv = lm.attention_dkdv %q, %k, %v, %lse, %delta, %dout
// Needs:  nothing. Leaves: no lm.attention_grad; lm.attention, attention_dq and attention_dkdv are
//         each one tiled kernel with online softmax (codegen/cpu/Attention*).
//         Numerics: reassociates (sums run tile by tile).
//         Source: Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691.
// Order:  beside decomposition, before fusion, which computes delta where it is cheapest.
#include "passes/Passes.h"

#include "ir/Dialect.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_FLASHATTENTION
#include "passes/Passes.h.inc"

namespace {

struct FlashAttention : impl::FlashAttentionBase<FlashAttention> {
  void runOnOperation() override {
    getOperation().walk([](lm::AttentionGradOp op) {
      OpBuilder builder(op);
      lm::GraphBuilder g(builder, op.getLoc());
      op->replaceAllUsesWith(op.decompose(g));
      op.erase();
    });
  }
};

} // namespace
} // namespace lmc
