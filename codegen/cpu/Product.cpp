// The matmul family: describes a kernel's product to the generator (Matmul.h) and applies the fused
// pointwise ops to each finished vector of sums.
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Operand.h"

using namespace mlir;

namespace lmc::cpu {

Schedule emitProduct(Expression &x) {
  Emit &e = x.emit;
  if (auto block = opOf<lm::BlockMatmulOp>(x))
    return emitBlockProduct(x, block);
  if (auto blocks = opOf<lm::ExpertBlockMatmulOp>(x))
    return emitExpertBlockProduct(x, blocks);
  if (auto experts = opOf<lm::ExpertMatmulOp>(x))
    return emitExpertMatmul(x, experts);
  if (auto outer = opOf<lm::ExpertOuterOp>(x))
    return emitExpertOuter(x, outer);
  auto op = opOf<lm::MatmulOp>(x);
  lm::Shape y = lm::shapeOf(op.getY());
  size_t rank = y.size();
  OperandView a = operandView(x, op.getA()), b = operandView(x, op.getB());
  lm::Shape shapeA = lm::shapeOf(op.getA());
  bool packed = op.getPanelColumns().has_value();
  bool shared = packed || lm::shapeOf(op.getB()).size() == 2;

  // Leading dimensions of a shared right side are more rows where the left side lies densely; the
  // generator takes a number of rows with at most one symbol.
  auto symbols = llvm::count_if(ArrayRef<lm::Dim>(y).drop_back(),
                                [](const lm::Dim &dim) { return !dim.isStatic(); });
  bool merged = shared && a.whole && rank > 2 && symbols <= 1;
  ArrayRef<lm::Dim> batch = merged ? ArrayRef<lm::Dim>() : ArrayRef<lm::Dim>(y).drop_back(2);
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(y).drop_back().drop_front(batch.size());

  MatmulDescription d;
  for (auto [i, dim] : llvm::enumerate(batch)) {
    d.batch.push_back(x.extent(dim));
    d.a.batchStrides.push_back(a.strides[i]);
    d.b.batchStrides.push_back(shared ? Extent(0) : b.strides[i]);
  }
  d.m = x.product(rows);
  d.n = x.extent(y.back());
  d.k = x.extent(op.getTransposeA() ? shapeA[shapeA.size() - 2] : shapeA.back());
  auto last = [](OperandView &view, bool transposed, MatmulOperand &operand) {
    size_t n = view.strides.size();
    operand.storage = view.storage;
    operand.element = view.element;
    operand.rowStride = view.strides[transposed ? n - 1 : n - 2];
    operand.columnStride = view.strides[transposed ? n - 2 : n - 1];
  };
  last(a, op.getTransposeA(), d.a);
  if (packed) {
    d.b.storage = b.storage;
    d.b.panelWidth = lm::shapeOf(op.getB()).back().size;
  } else {
    last(b, op.getTransposeB(), d.b);
  }

  MatmulPlan plan = planMatmul(d, e.target());
  MatmulBodies bodies;
  bodies.epilogue = [&](ArrayRef<Value> batchAt, Value row, Value column, Value sums, Lanes lanes) {
    storeSums(x, op.getY(), sums, batchAt, row, rows, column, lanes);
  };
  Value pointerA = e.at(a.storage, e.buffer(a.buffer), a.offset.emit(e));
  Value pointerB = e.at(b.storage, e.buffer(b.buffer), b.offset.emit(e));
  emitMatmul(e, d, plan, pointerA, pointerB, bodies);

  Schedule schedule;
  schedule.items = plan.items;
  schedule.grain = plan.grain;
  schedule.scratchBytes = plan.scratchBytes;
  int64_t batches = 1;
  for (const Extent &extent : d.batch)
    batches *= extent.max;
  schedule.flops = 2ull * batches * d.m.max * d.n.max * d.k.max;
  return schedule;
}

} // namespace lmc::cpu
