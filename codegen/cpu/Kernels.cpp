#include "codegen/cpu/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace lmc::cpu {

Reduction::Reduction(lm::ReduceOp op)
    : op(op), isSum(op.getKind() == "sum"), element(Emit::computeType(lm::elementOf(op.getX()))) {}

Value Reduction::neutral(Emit &e, unsigned width) const {
  if (isSum)
    return e.constant(element, 0, width);
  double lowest = isa<FloatType>(element)
                      ? -std::numeric_limits<double>::infinity()
                      : -std::ldexp(1.0, static_cast<int>(element.getIntOrFloatBitWidth()) - 1);
  return e.constant(element, lowest, width);
}

Value Reduction::combine(Emit &e, Value a, Value b) const {
  if (isa<FloatType>(element))
    return isSum ? e.addf(a, b) : e.maxf(a, b);
  OpBuilder &builder = e.builder();
  if (isSum)
    return builder.create<arith::AddIOp>(e.loc(), a, b);
  return builder.create<arith::MaxSIOp>(e.loc(), a, b);
}

Value Reduction::total(Emit &e, Value lanes) const {
  if (Emit::widthOf(lanes) == 1)
    return lanes;
  return e.reduce(lanes, [&](Value a, Value b) { return combine(e, a, b); });
}

SmallVector<ItemFactor> itemsOf(const Extent &extent, int64_t block) {
  SmallVector<ItemFactor> factors;
  if (extent.isFixed()) {
    factors.push_back({-1, (extent.factor + block - 1) / block, 1});
    return factors;
  }
  // Blocks divide the first symbolic factor; the rest multiplies.
  factors.push_back({static_cast<int>(extent.dims.front()), extent.factor, block});
  for (unsigned dim : ArrayRef(extent.dims).drop_front())
    factors.push_back({static_cast<int>(dim), 1, 1});
  return factors;
}

SmallVector<Value, 4> unflatten(Expression &x, Value flat, ArrayRef<lm::Dim> shape) {
  SmallVector<Value, 4> at(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    if (i == 0) {
      at[0] = flat;
      break;
    }
    Value extent = x.extent(shape[i]).emit(x.emit);
    at[i] = x.emit.rem(flat, extent);
    flat = x.emit.div(flat, extent);
  }
  return at;
}

Schedule emitKernel(Emit &emit, plan::KernelOp kernel, const Symbols &symbols, StringRef symbol) {
  emit.beginKernel(symbol, kernel.getLoc());
  Expression x(emit, kernel.getBody().front(), symbols);
  using Emitter = Schedule (*)(Expression &);
  auto emitter = llvm::StringSwitch<Emitter>(kernel.getFamily())
                     .Case("map", emitMap)
                     .Case("row", emitRow)
                     .Case("column", emitColumn)
                     .Case("gather", emitGather)
                     .Case("block_gather", emitBlockGather)
                     .Case("quantize", emitQuantizeRows)
                     .Case("scatter", emitScatter)
                     .Case("cache", emitCacheAppend)
                     .Case("matmul", emitProduct)
                     .Case("attention", emitAttention)
                     .Default(nullptr);
  assert(emitter && "fusion made a family that no emitter knows");
  Schedule schedule = emitter(x);
  emit.endKernel();
  return schedule;
}

} // namespace lmc::cpu
