#include "codegen/cuda/ProductShape.h"

#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace lmc::cuda {

std::string ProductSide::type() const {
  return fmt::format("lmc::Operand<{}, {}, {}, {}>", storageType(storage()),
                     storageType(traced.element), alongDepth, chunk);
}

void ResultShape::describe(Expression &x, Value value, size_t numBatch) {
  result = value;
  y = lm::shapeOf(value);
  batch = ArrayRef<lm::Dim>(y).take_front(numBatch);
  rows = ArrayRef<lm::Dim>(y).drop_back().drop_front(numBatch);
  m = x.product(rows);
  // A grid divides the first symbol: the longest one leaves the fewest blocks without rows.
  llvm::StringMap<int64_t> most;
  for (const lm::Dim &dim : rows)
    if (!dim.isStatic())
      most[dim.symbol.getValue()] = x.product(dim).max;
  llvm::sort(m.symbols, [&](const std::string &one, const std::string &other) {
    int64_t here = most.lookup(one), there = most.lookup(other);
    return here != there ? here > there : one < other;
  });
  n = x.product(y.back());
}

ProductShape::ProductShape(Expression &x) {
  for (Operation &inner : x.body)
    if (auto found = dyn_cast<lm::MatmulOp>(inner))
      op = found;
  a.traced = traceOperand(op.getA());
  b.traced = traceOperand(op.getB());
  lm::Shape shapeA = lm::shapeOf(op.getA());
  bool shared = lm::shapeOf(op.getB()).size() == 2;
  // Leading dimensions of a shared right side are more rows where the left side lies densely.
  size_t leading = lm::shapeOf(op.getY()).size() - 2;
  ResultShape::describe(x, op.getY(), shared && a.traced.whole ? 0 : leading);
  k = x.product(op.getTransposeA() ? shapeA[shapeA.size() - 2] : shapeA.back());
  describeSide(x, a, m, op.getTransposeA(), /*batched=*/true);
  describeSide(x, b, n, !op.getTransposeB(), !shared);
}

/// Steps of an operand [batch.., across, depth], or with the two swapped, and how memory runs.
void ProductShape::describeSide(Expression &x, ProductSide &side, const Extent &size, bool swapped,
                                bool batched) {
  auto steps = ArrayRef<lm::Shape>(side.traced.steps);
  side.across = x.product(steps[steps.size() - (swapped ? 1 : 2)]);
  side.depth = x.product(steps[steps.size() - (swapped ? 2 : 1)]);
  for (size_t i = 0; i < batch.size(); ++i) {
    Extent none;
    none.factor = none.max = 0;
    side.batch.push_back(batched ? x.product(steps[i]) : none);
  }
  if (side.storage().isF64() && side.traced.element.isBF16())
    fail("'{}': products for CUDA do not round f64 to bf16; round to f32 first",
         lm::modelPath(op.getLoc()));
  side.alongDepth = side.depth.is(1) || !side.across.is(1);
  if (!side.depth.is(1) && !side.across.is(1))
    return;
  // Buffers begin at multiples of 16 bytes; a chunk does where every step to it is one.
  side.chunk = 16 / (side.storage().getIntOrFloatBitWidth() / 8);
  auto align = [&](int64_t step) {
    while (step % side.chunk)
      side.chunk /= 2;
  };
  const Extent &lines = side.alongDepth ? size : k;
  if (!lines.is(1))
    align((side.alongDepth ? side.across : side.depth).factor);
  for (auto [i, step] : llvm::enumerate(side.batch))
    if (!x.product(batch[i]).is(1))
      align(step.factor);
  for (auto &[start, step] : side.traced.starts)
    align(start * x.product(step).factor);
}

} // namespace lmc::cuda
