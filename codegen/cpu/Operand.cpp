#include "codegen/cpu/Operand.h"

using namespace mlir;

namespace lmc::cpu {

OperandView operandView(Expression &x, Value value) {
  TracedOperand traced = traceOperand(value);
  OperandView view;
  view.buffer = traced.buffer.getArgNumber();
  view.storage = lm::elementOf(traced.buffer);
  view.element = traced.element;
  view.whole = traced.whole;
  for (const lm::Shape &step : traced.steps)
    view.strides.push_back(x.product(step));
  assert(traced.starts.size() <= 1 && "slices of one operand are merged by canonicalisation");
  for (auto &[start, step] : traced.starts) {
    view.offset = x.product(step);
    view.offset.factor *= start;
    view.offset.max *= start;
  }
  return view;
}

} // namespace lmc::cpu
