#include "ir/Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/TypeUtilities.h"

#include <limits>

using namespace mlir;

namespace lmc::lm {
namespace {

constexpr int kRounds = 10;
constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kKeyStep0 = 0x9E3779B9, kKeyStep1 = 0xBB67AE85;

/// Tensors of the evaluator hold integers as doubles, signed.
uint32_t wordOf(double value) { return static_cast<uint32_t>(static_cast<int64_t>(value)); }

/// Word 0 of Philox4x32-10 as a signed number.
double evaluateWord(uint32_t index, uint32_t key0, uint32_t key1, uint32_t step, uint32_t stream) {
  uint32_t c0 = index, c1 = 0, c2 = stream, c3 = step;
  for (int round = 0; round < kRounds; ++round) {
    uint64_t even = uint64_t(kMultiplier0) * c0, odd = uint64_t(kMultiplier1) * c2;
    c0 = static_cast<uint32_t>(odd >> 32) ^ c1 ^ key0;
    c2 = static_cast<uint32_t>(even >> 32) ^ c3 ^ key1;
    c1 = static_cast<uint32_t>(odd);
    c3 = static_cast<uint32_t>(even);
    key0 += kKeyStep0;
    key1 += kKeyStep1;
  }
  return static_cast<int32_t>(c0);
}

/// A constant word of the element type and width of `like`, i32 or i64, scalar or vector.
Value word(OpBuilder &b, Location loc, Type like, uint32_t value) {
  Type element = getElementTypeOrSelf(like);
  APInt bits = APInt(64, value).zextOrTrunc(element.getIntOrFloatBitWidth());
  TypedAttr attr = IntegerAttr::get(element, bits);
  if (auto vector = dyn_cast<VectorType>(like))
    attr = DenseElementsAttr::get(vector, bits);
  return b.create<arith::ConstantOp>(loc, attr);
}

} // namespace

// ---- random_bits -------------------------------------------------------------------------------

LogicalResult RandomBitsOp::verify() {
  for (Value scalar : getOperands())
    if (!shapeOf(scalar).empty())
      return emitOpError() << "keys and step must be scalars, got " << toString(shapeOf(scalar));
  // Indices are i32. Those of a symbol's range may wrap: none comes twice among 2^32 elements.
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  int64_t elements = 1;
  Shape shape = shapeOf(getBits());
  for (auto [i, dim] : llvm::enumerate(shape)) {
    if (!dim.isStatic() && i > 0)
      return emitOpError() << "extents behind the first must be static, got " << toString(shape);
    int64_t extent = dim.isStatic() ? std::max<int64_t>(dim.size, 1) : 1;
    if (extent > most / elements)
      return emitOpError() << "more than 2^31 - 1 elements: " << toString(shape);
    elements *= extent;
  }
  return success();
}

LogicalResult RandomBitsOp::evaluate(ArrayRef<const Tensor *> operands,
                                     SmallVectorImpl<Tensor> &results) {
  Tensor bits(cast<RankedTensorType>(getBits().getType()).getShape());
  uint32_t key0 = wordOf(operands[0]->data[0]), key1 = wordOf(operands[1]->data[0]);
  uint32_t step = wordOf(operands[2]->data[0]);
  for (int64_t i = 0; i < bits.size(); ++i)
    bits.data[i] = evaluateWord(static_cast<uint32_t>(i), key0, key1, step, getStream());
  results.push_back(std::move(bits));
  return success();
}

SmallVector<Value> RandomBitsOp::decompose(GraphBuilder &g) {
  auto type = cast<RankedTensorType>(getBits().getType());
  Shape shape = shapeOf(type);
  Value index;
  int64_t stride = 1;
  for (int64_t dim = static_cast<int64_t>(shape.size()) - 1; dim >= 0; --dim) {
    Value along = g.iota(type, dim);
    if (stride > 1)
      along = g.mul(along, g.full(static_cast<double>(stride), type));
    index = index ? g.add(index, along) : along;
    stride *= shape[dim].isStatic() ? shape[dim].size : 1;
  }
  if (!index)
    index = g.full(0, type);
  auto everywhere = [&](Value scalar) { return g.broadcast(scalar, shape, {}); };
  return {g.b.create<PhiloxOp>(g.loc, index, everywhere(getKey0()), everywhere(getKey1()),
                               everywhere(getStep()), getStreamAttr())};
}

LogicalResult RandomBitsOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return success(); // integers from integers
}

// ---- philox ------------------------------------------------------------------------------------

LogicalResult PhiloxOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  types.push_back(op.getIndex().getType());
  for (Value other : op.getOperands().drop_front())
    if (other.getType() != op.getIndex().getType())
      return emitOptionalError(loc, "operands must have one type, got ", op.getIndex().getType(),
                               " and ", other.getType(), "; broadcast explicitly");
  return success();
}

LogicalResult PhiloxOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  Tensor bits(operands[0]->shape);
  for (int64_t i = 0; i < bits.size(); ++i) {
    auto at = [&](int operand) { return wordOf(operands[operand]->data[i]); };
    bits.data[i] = evaluateWord(at(0), at(1), at(2), at(3), getStream());
  }
  results.push_back(std::move(bits));
  return success();
}

Value PhiloxOp::scalarForm(OpBuilder &b, Location loc, ValueRange a, Type type) {
  Type wide = b.getI64Type();
  if (auto vector = dyn_cast<VectorType>(type))
    wide = vector.clone(wide);
  // Both halves of a 64-bit product of 32-bit words.
  auto multiply = [&](uint32_t multiplier, Value x) {
    Value product = b.create<arith::MulIOp>(loc, b.create<arith::ExtUIOp>(loc, wide, x),
                                            word(b, loc, wide, multiplier));
    Value high = b.create<arith::ShRUIOp>(loc, product, word(b, loc, wide, 32));
    return std::pair<Value, Value>(b.create<arith::TruncIOp>(loc, type, high),
                                   b.create<arith::TruncIOp>(loc, type, product));
  };
  auto exclusiveOr = [&](Value x, Value y, Value z) -> Value {
    return b.create<arith::XOrIOp>(loc, b.create<arith::XOrIOp>(loc, x, y), z);
  };
  Value c0 = a[0], c1 = word(b, loc, type, 0), c2 = word(b, loc, type, getStream()), c3 = a[3];
  Value key0 = a[1], key1 = a[2];
  for (int round = 0; round < kRounds; ++round) {
    auto [highEven, lowEven] = multiply(kMultiplier0, c0);
    auto [highOdd, lowOdd] = multiply(kMultiplier1, c2);
    c0 = exclusiveOr(highOdd, c1, key0);
    c2 = exclusiveOr(highEven, c3, key1);
    c1 = lowOdd;
    c3 = lowEven;
    key0 = b.create<arith::AddIOp>(loc, key0, word(b, loc, type, kKeyStep0));
    key1 = b.create<arith::AddIOp>(loc, key1, word(b, loc, type, kKeyStep1));
  }
  return c0;
}

LogicalResult PhiloxOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return success(); // integers from integers
}

} // namespace lmc::lm
