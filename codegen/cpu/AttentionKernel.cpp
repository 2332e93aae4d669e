// The attention family: describes a kernel's attention and its operands' strides to the generator
// (Attention.h).
#include "codegen/cpu/Attention.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Operand.h"
#include "runtime/Error.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Operands are read where they lie, which may be slices of a fused projection.
class Operands {
public:
  Operands(Expression &x, Operation *op) : x(x), op(op) {}

  AttentionOperand input(Value value) const {
    OperandView view = operandView(x, value);
    return {x.emit.buffer(view.buffer),
            view.offset.emit(x.emit),
            view.storage,
            view.strides[0],
            view.strides[1],
            view.strides[2]};
  }
  /// past or pages: numbers of each sequence, or one for all.
  AttentionNumbers numbers(Value value) const {
    if (!value)
      return {};
    OperandView view = operandView(x, value);
    AttentionNumbers numbers{x.emit.buffer(view.buffer), view.offset.emit(x.emit)};
    if (!view.strides.empty())
      numbers.batchStride = view.strides[0];
    if (view.strides.size() > 1)
      numbers.stride = view.strides[1];
    return numbers;
  }
  AttentionOperand output(unsigned number) const {
    Value value = op->getResult(number);
    SmallVector<Extent, 4> strides = x.strides(lm::shapeOf(value));
    return {x.emit.buffer(x.body.getNumArguments() + number),
            {},
            lm::elementOf(value),
            strides[0],
            strides[1],
            strides[2]};
  }

private:
  Expression &x;
  Operation *op;
};

template <typename Op> AttentionDescription describe(Expression &x, Op op) {
  lm::Shape q = lm::shapeOf(op.getQ()), k = lm::shapeOf(op.getK());
  AttentionDescription d;
  d.batch = x.extent(q[0]);
  d.queries = x.extent(q[1]);
  d.keys = x.extent(k[1]);
  d.heads = q[2].size;
  d.keyHeads = k[2].size;
  d.headDim = q[3].size;
  d.scores = lm::AttentionScores::of(op).over(d.keys.max);
  return d;
}

Schedule scheduleOf(const AttentionDescription &d, const AttentionPlan &plan, unsigned products) {
  Schedule schedule;
  schedule.items = plan.items;
  schedule.grain = plan.grain;
  schedule.scratchBytes = plan.scratchBytes;
  lm::VisibleKeys visible(d.queries.max, d.keys.max, d.keys.max - d.queries.max, d.scores);
  double pairs = static_cast<double>(d.batch.max * d.heads) * visible.pairs();
  schedule.flops = static_cast<uint64_t>(2.0 * products * pairs * static_cast<double>(d.headDim));
  return schedule;
}

} // namespace

Schedule emitAttention(Expression &x) {
  Emit &e = x.emit;
  for (Operation &inner : x.body) {
    Operands at(x, &inner);
    if (isa<lm::AttentionPartsOp>(inner))
      fail("no kernel for '{}' ({}) on the CPU: parts of keys are blocks of a GPU; use "
           "lm.attention, or compile for --target cuda",
           lm::modelPath(inner.getLoc()), inner.getName().getStringRef().str());
    if (auto op = dyn_cast<lm::AttentionOp>(inner)) {
      AttentionDescription d = describe(x, op);
      if (op.getPages()) {
        lm::Shape pool = lm::shapeOf(op.getK());
        d.poolPages = x.extent(pool[0]);
        d.pageTokens = pool[1].size;
        d.keys = x.product(op.getKeyDims());
        d.scores = lm::AttentionScores::of(op).over(d.keys.max);
      }
      AttentionPlan plan = planAttention(d, AttentionKind::Forward, e.target());
      emitAttentionForward(e, d, plan,
                           {at.input(op.getQ()), at.input(op.getK()), at.input(op.getV()),
                            at.output(0), at.output(1), at.numbers(op.getPast()),
                            at.numbers(op.getPages())});
      return scheduleOf(d, plan, 2);
    }
    if (auto op = dyn_cast<lm::AttentionDqOp>(inner)) {
      AttentionDescription d = describe(x, op);
      AttentionPlan plan = planAttention(d, AttentionKind::Dq, e.target());
      emitAttentionDq(e, d, plan,
                      {at.input(op.getQ()), at.input(op.getK()), at.input(op.getV()),
                       at.input(op.getLse()), at.input(op.getDelta()), at.input(op.getDout()),
                       at.output(0)});
      return scheduleOf(d, plan, 3);
    }
    if (auto op = dyn_cast<lm::AttentionDkDvOp>(inner)) {
      AttentionDescription d = describe(x, op);
      AttentionPlan plan = planAttention(d, AttentionKind::DkDv, e.target());
      emitAttentionDkDv(e, d, plan,
                        {at.input(op.getQ()), at.input(op.getK()), at.input(op.getV()),
                         at.input(op.getLse()), at.input(op.getDelta()), at.input(op.getDout()),
                         at.output(0), at.output(1)});
      return scheduleOf(d, plan, 4);
    }
    if (auto op = dyn_cast<lm::AttentionDqkvOp>(inner)) {
      AttentionDescription d = describe(x, op);
      AttentionPlan plan = planAttention(d, AttentionKind::Dqkv, e.target());
      emitAttentionDqkv(
          e, d, plan,
          {{at.input(op.getQ()), at.input(op.getK()), at.input(op.getV()), at.input(op.getLse()),
            at.input(op.getDelta()), at.input(op.getDout()), at.output(1), at.output(2)},
           at.output(0)});
      return scheduleOf(d, plan, 5);
    }
  }
  llvm_unreachable("an attention kernel holds an attention");
}

} // namespace lmc::cpu
