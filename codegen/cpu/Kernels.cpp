#include "codegen/cpu/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace lmc::cpu {

Reduction::Reduction(lm::ReduceOp op)
    : op(op), isSum(op.getKind() == "sum"), element(Emit::computeType(lm::elementOf(op.getX()))) {}

Value lowest(Emit &e, Type element, unsigned width) {
  double number = isa<FloatType>(element)
                      ? -std::numeric_limits<double>::infinity()
                      : -std::ldexp(1.0, static_cast<int>(element.getIntOrFloatBitWidth()) - 1);
  return e.constant(element, number, width);
}

Value Reduction::neutral(Emit &e, unsigned width) const {
  return isSum ? e.constant(element, 0, width) : lowest(e, element, width);
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

void storeSums(Expression &x, Value product, Value sums, ArrayRef<Value> batch, Value row,
               ArrayRef<lm::Dim> rows, Value column, Lanes lanes) {
  Expression::Scope scope(x);
  Index index;
  index.at.assign(batch.begin(), batch.end());
  llvm::append_range(index.at, unflatten(x, row, rows));
  index.lane = static_cast<int>(index.at.size());
  index.at.push_back(column);
  index.lanes = lanes;
  x.define(product, sums);
  SmallVector<Value> elements;
  for (Value output : x.body.getTerminator()->getOperands())
    elements.push_back(x.evaluateLanes(output, index));
  for (auto [output, element] : llvm::enumerate(elements))
    x.store(output, element, index);
}

Value loadBlockScale(Emit &e, const lm::BlockFormat &format, Value at, unsigned width) {
  OpBuilder &b = e.builder();
  if (format.scale == lm::BlockFormat::Scale::Half)
    return e.load(b.getF16Type(), at, e.i64(0), width);
  // 2^(x - 128): the exponent field one less than x, and 2^-127 and 2^-128 are subnormal.
  Type i32 = b.getI32Type();
  Value bits = b.create<arith::ExtUIOp>(e.loc(), Emit::vectorOf(i32, width),
                                        e.load(b.getI8Type(), at, e.i64(0), width));
  Value field = b.create<arith::SubIOp>(e.loc(), bits, e.constant(i32, 1, width));
  Value normal = b.create<arith::ShLIOp>(e.loc(), field, e.constant(i32, 23, width));
  Value small = b.create<arith::ShLIOp>(e.loc(), e.constant(i32, 0x200000, width), bits);
  Value isSmall =
      b.create<arith::CmpIOp>(e.loc(), arith::CmpIPredicate::ult, bits, e.constant(i32, 2, width));
  return b.create<arith::BitcastOp>(e.loc(), Emit::vectorOf(e.f32Type(), width),
                                    e.select(isSmall, small, normal));
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
                     .Case("route", emitRoute)
                     .Case("sample", emitSample)
                     .Default(nullptr);
  assert(emitter && "fusion made a family that no emitter knows");
  Schedule schedule = emitter(x);
  emit.endKernel();
  return schedule;
}

} // namespace lmc::cpu
