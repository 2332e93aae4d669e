#include "codegen/cpu/Emit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

#include <cassert>

using namespace mlir;

namespace lmc::cpu {

void loadCodegenDialects(MLIRContext &context) {
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect, LLVM::LLVMDialect,
                      math::MathDialect, scf::SCFDialect, vector::VectorDialect>();
}

Emit::Emit(ModuleOp module, const Target &target)
    : machine(target), module(module), b(module.getContext()),
      where(UnknownLoc::get(module.getContext())) {
  loadCodegenDialects(*module.getContext());
}

// --- the kernel

void Emit::beginKernel(llvm::StringRef symbol, Location location) {
  assert(!kernel && "the previous kernel was not ended");
  where = location;
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                          {pointer, pointer, i64Type(), i64Type(), pointer});
  b.setInsertionPointToEnd(module.getBody());
  kernel = b.create<LLVM::LLVMFuncOp>(where, symbol, type);
  Block *entry = kernel.addEntryBlock(b);
  buffersArg = entry->getArgument(0);
  dimsArg = entry->getArgument(1);
  itemBegin = entry->getArgument(2);
  itemEnd = entry->getArgument(3);
  scratchArg = entry->getArgument(4);
  b.setInsertionPointToStart(entry);
  // Everything the body creates stands after this constant, everything read at entry before it.
  entryEnd = b.create<arith::ConstantOp>(where, b.getI64IntegerAttr(0));
  bufferValues.clear();
  dimValues.clear();
}

void Emit::endKernel() {
  assert(kernel && b.getInsertionBlock() == &kernel.getBody().front() && "a loop is still open");
  b.create<LLVM::ReturnOp>(where, ValueRange{});
  kernel = {};
}

Value Emit::atEntry(llvm::function_ref<Value()> make) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(entryEnd);
  return make();
}

Value Emit::buffer(unsigned index) {
  if (index >= bufferValues.size())
    bufferValues.resize(index + 1);
  if (!bufferValues[index])
    bufferValues[index] = atEntry([&]() -> Value {
      Type pointer = buffersArg.getType();
      Value slot = at(pointer, buffersArg, i64(index));
      return b.create<LLVM::LoadOp>(where, pointer, slot, /*alignment=*/8);
    });
  return bufferValues[index];
}

Value Emit::dim(unsigned index) {
  if (index >= dimValues.size())
    dimValues.resize(index + 1);
  if (!dimValues[index])
    dimValues[index] = atEntry([&]() -> Value { return load(i64Type(), dimsArg, i64(index)); });
  return dimValues[index];
}

Value Emit::scratch(int64_t offsetBytes) {
  return offsetBytes == 0 ? scratchArg : offset(scratchArg, i64(offsetBytes));
}

Value Emit::table(DenseElementsAttr values) {
  Type element = values.getElementType();
  auto type = LLVM::LLVMArrayType::get(element, values.getNumElements());
  LLVM::GlobalOp global;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    int64_t number = llvm::range_size(module.getOps<LLVM::GlobalOp>());
    std::string name = kernel.getName().str() + "_table" + std::to_string(number);
    auto flat = values.reshape(RankedTensorType::get({values.getNumElements()}, element));
    global = b.create<LLVM::GlobalOp>(where, type, /*isConstant=*/true, LLVM::Linkage::Internal,
                                      name, flat, /*alignment=*/64);
  }
  return atEntry([&]() -> Value { return b.create<LLVM::AddressOfOp>(where, global); });
}

// --- types

Type Emit::vectorOf(Type element, unsigned width) {
  return width == 1 ? element : VectorType::get({static_cast<int64_t>(width)}, element);
}

Type Emit::computeType(Type storage) {
  return storage.isBF16() || storage.isF16() ? Float32Type::get(storage.getContext()) : storage;
}

unsigned Emit::storageBytes(Type storage) {
  if (isa<LLVM::LLVMPointerType>(storage))
    return 8;
  return (storage.getIntOrFloatBitWidth() + 7) / 8;
}

unsigned Emit::lanesOf(Type type) const {
  return machine.lanes(std::max(8u, type.getIntOrFloatBitWidth()));
}

unsigned Emit::widthOf(Value value) {
  auto type = dyn_cast<VectorType>(value.getType());
  return type ? type.getNumElements() : 1;
}

// --- constants

Value Emit::i64(int64_t value) {
  return b.create<arith::ConstantOp>(where, b.getI64IntegerAttr(value));
}

Value Emit::i1(bool value) { return b.create<arith::ConstantOp>(where, b.getBoolAttr(value)); }

Value Emit::constant(Type element, double value, unsigned width) {
  TypedAttr scalar = isa<FloatType>(element)
                         ? TypedAttr(b.getFloatAttr(element, value))
                         : TypedAttr(b.getIntegerAttr(element, static_cast<int64_t>(value)));
  if (width == 1)
    return b.create<arith::ConstantOp>(where, scalar);
  auto type = cast<VectorType>(vectorOf(element, width));
  return b.create<arith::ConstantOp>(where, DenseElementsAttr::get(type, Attribute(scalar)));
}

std::optional<int64_t> Emit::constantOf(Value value) {
  llvm::APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  return std::nullopt;
}

// --- i64 arithmetic

Value Emit::add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(where, x, y); }
Value Emit::sub(Value x, Value y) { return b.createOrFold<arith::SubIOp>(where, x, y); }
Value Emit::mul(Value x, Value y) { return b.createOrFold<arith::MulIOp>(where, x, y); }
Value Emit::div(Value x, Value y) { return b.createOrFold<arith::DivUIOp>(where, x, y); }
Value Emit::rem(Value x, Value y) { return b.createOrFold<arith::RemUIOp>(where, x, y); }
Value Emit::ceilDiv(Value x, Value y) { return div(add(x, sub(y, i64(1))), y); }
Value Emit::min(Value x, Value y) { return b.createOrFold<arith::MinSIOp>(where, x, y); }
Value Emit::max(Value x, Value y) { return b.createOrFold<arith::MaxSIOp>(where, x, y); }
Value Emit::less(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(where, arith::CmpIPredicate::slt, x, y);
}
Value Emit::equal(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(where, arith::CmpIPredicate::eq, x, y);
}

// --- floating point

Value Emit::addf(Value x, Value y) { return b.create<arith::AddFOp>(where, x, y); }
Value Emit::subf(Value x, Value y) { return b.create<arith::SubFOp>(where, x, y); }
Value Emit::mulf(Value x, Value y) { return b.create<arith::MulFOp>(where, x, y); }
Value Emit::divf(Value x, Value y) { return b.create<arith::DivFOp>(where, x, y); }
Value Emit::maxf(Value x, Value y) { return b.create<arith::MaximumFOp>(where, x, y); }
Value Emit::minf(Value x, Value y) { return b.create<arith::MinimumFOp>(where, x, y); }

Value Emit::fma(Value x, Value y, Value z) {
  // Without the instruction an exact fma would be a call into libm.
  if (!machine.fma)
    return addf(mulf(x, y), z);
  return b.create<math::FmaOp>(where, x, y, z);
}

Value Emit::select(Value condition, Value x, Value y) {
  return b.createOrFold<arith::SelectOp>(where, condition, x, y);
}

// --- vectors

Value Emit::splat(Value scalar, unsigned width) {
  if (width == 1)
    return scalar;
  return b.create<vector::BroadcastOp>(where, vectorOf(scalar.getType(), width), scalar);
}

Value Emit::iota(Type integer, unsigned width) {
  if (width == 1)
    return constant(integer, 0);
  SmallVector<Attribute> values;
  for (unsigned i = 0; i < width; ++i)
    values.push_back(b.getIntegerAttr(integer, i));
  auto type = cast<VectorType>(vectorOf(integer, width));
  return b.create<arith::ConstantOp>(where, DenseElementsAttr::get(type, values));
}

Value Emit::firstLanes(Value active, unsigned width) {
  // Compared as i32, one register for 32-bit lanes; the count is clamped so that it fits.
  Type i32 = b.getI32Type();
  Value count = b.createOrFold<arith::TruncIOp>(where, i32, min(active, i64(width)));
  return b.create<arith::CmpIOp>(where, arith::CmpIPredicate::slt, iota(i32, width),
                                 splat(count, width));
}

Value Emit::shuffle(Value x, Value y, ArrayRef<int64_t> lanes) {
  return b.create<vector::ShuffleOp>(where, x, y, lanes);
}

Value Emit::lane(Value vector, int64_t index) {
  return b.create<vector::ExtractOp>(where, vector, ArrayRef<int64_t>{index});
}

Value Emit::insertLane(Value scalar, Value vector, int64_t index) {
  return b.create<vector::InsertOp>(where, scalar, vector, ArrayRef<int64_t>{index});
}

Value Emit::reduce(Value vector, llvm::function_ref<Value(Value, Value)> combine) {
  unsigned width = widthOf(vector);
  assert(llvm::isPowerOf2_32(width));
  for (; width > 2; width /= 2) {
    SmallVector<int64_t> low, high;
    for (unsigned i = 0; i < width / 2; ++i) {
      low.push_back(i);
      high.push_back(i + width / 2);
    }
    vector = combine(shuffle(vector, vector, low), shuffle(vector, vector, high));
  }
  return width == 1 ? vector : combine(lane(vector, 0), lane(vector, 1));
}

Value Emit::reduceAdd(Value vector) {
  return reduce(vector, [&](Value x, Value y) { return addf(x, y); });
}

Value Emit::reduceMax(Value vector) {
  return reduce(vector, [&](Value x, Value y) { return maxf(x, y); });
}

// 4 x 4 blocks inside 128 bits, then blocks by halves, as the shuffle instructions of the
// processors go.
Emit::Values Emit::transpose(Values rows) {
  int64_t size = static_cast<int64_t>(rows.size());
  auto exchange = [&](int64_t i, int64_t j, llvm::function_ref<int64_t(int64_t)> low,
                      llvm::function_ref<int64_t(int64_t)> high) {
    SmallVector<int64_t> first, second;
    for (int64_t lane = 0; lane < size; ++lane) {
      first.push_back(low(lane));
      second.push_back(high(lane));
    }
    Value x = rows[i], y = rows[j];
    rows[i] = shuffle(x, y, first);
    rows[j] = shuffle(x, y, second);
  };
  int64_t step = 1;
  if (size >= 4 && widthOf(rows[0]) == static_cast<unsigned>(size) &&
      getElementTypeOrSelf(rows[0].getType()).getIntOrFloatBitWidth() == 32) {
    for (int64_t i = 0; i < size; i += 4) {
      // unpack low and high: x0 y0 x1 y1, x2 y2 x3 y3 in each block of four lanes
      for (int64_t r : {i, i + 2})
        exchange(
            r, r + 1, [&](int64_t l) { return l / 4 * 4 + l % 4 / 2 + (l % 2) * size; },
            [&](int64_t l) { return l / 4 * 4 + 2 + l % 4 / 2 + (l % 2) * size; });
      // pairs: x0 x1 y0 y1, x2 x3 y2 y3
      for (int64_t r : {i, i + 1})
        exchange(
            r, r + 2, [&](int64_t l) { return l / 4 * 4 + l % 2 + (l % 4 / 2) * size; },
            [&](int64_t l) { return l / 4 * 4 + 2 + l % 2 + (l % 4 / 2) * size; });
      std::swap(rows[i + 1], rows[i + 2]);
    }
    step = 4;
  }
  for (; step < size; step *= 2)
    for (int64_t i = 0; i < size; ++i)
      if ((i & step) == 0)
        exchange(
            i, i + step, [&](int64_t l) { return (l & step) ? l - step + size : l; },
            [&](int64_t l) { return (l & step) ? l + size : l + step; });
  return rows;
}

// --- memory

// The type a storage element has in a register right after the load.
Type Emit::rawType(Type storage, unsigned width) {
  if (storage.isBF16())
    return vectorOf(b.getI16Type(), width);
  if (storage.isInteger(1))
    return vectorOf(b.getI8Type(), width);
  return vectorOf(storage, width);
}

Value Emit::widen(Type storage, Value raw) {
  unsigned width = widthOf(raw);
  if (storage.isBF16()) {
    // bf16 is the upper half of an f32.
    Value bits = b.create<arith::ExtUIOp>(where, vectorOf(b.getI32Type(), width), raw);
    bits = b.create<arith::ShLIOp>(where, bits, constant(b.getI32Type(), 16, width));
    return b.create<arith::BitcastOp>(where, vectorOf(f32Type(), width), bits);
  }
  if (storage.isF16())
    return machine.halfConversion
               ? Value(b.create<arith::ExtFOp>(where, vectorOf(f32Type(), width), raw))
               : widenHalf(raw);
  if (storage.isInteger(1))
    return b.create<arith::CmpIOp>(where, arith::CmpIPredicate::ne, raw,
                                   constant(b.getI8Type(), 0, width));
  return raw;
}

// f16 by arithmetic: the number as if its exponent were an f32's, times the difference of the biases,
// which subnormal numbers survive.
Value Emit::widenHalf(Value raw) {
  unsigned width = widthOf(raw);
  Type i32 = b.getI32Type(), f32 = vectorOf(f32Type(), width);
  auto integer = [&](uint32_t value) { return constant(i32, value, width); };
  Value bits = b.create<arith::ExtUIOp>(
      where, vectorOf(i32, width),
      b.create<arith::BitcastOp>(where, vectorOf(b.getI16Type(), width), raw));
  Value sign = b.create<arith::ShLIOp>(where, b.create<arith::AndIOp>(where, bits, integer(0x8000)),
                                       integer(16));
  Value magnitude = b.create<arith::AndIOp>(where, bits, integer(0x7fff));
  Value moved = b.create<arith::ShLIOp>(where, magnitude, integer(13));
  Value finite = mulf(b.create<arith::BitcastOp>(where, f32, moved), this->f32(0x1p112, width));
  Value isFinite =
      b.create<arith::CmpIOp>(where, arith::CmpIPredicate::ult, magnitude, integer(0x7c00));
  Value other = b.create<arith::OrIOp>(where, moved, integer(0x7f800000));
  Value value =
      select(isFinite, b.create<arith::BitcastOp>(where, vectorOf(i32, width), finite), other);
  return b.create<arith::BitcastOp>(where, f32, b.create<arith::OrIOp>(where, value, sign));
}

// floatToHalf() of runtime/Half.h.
Value Emit::narrowToHalf(Value value) {
  unsigned width = widthOf(value);
  Type i32 = b.getI32Type(), wide = vectorOf(i32, width);
  auto integer = [&](uint32_t value) { return constant(i32, value, width); };
  auto shifted = [&](Value x, uint32_t by) -> Value {
    return b.create<arith::ShRUIOp>(where, x, integer(by));
  };
  auto masked = [&](Value x, uint32_t mask) -> Value {
    return b.create<arith::AndIOp>(where, x, integer(mask));
  };
  auto plus = [&](Value x, Value y) -> Value { return b.create<arith::AddIOp>(where, x, y); };
  auto atLeast = [&](Value x, uint32_t bound) -> Value {
    return b.create<arith::CmpIOp>(where, arith::CmpIPredicate::uge, x, integer(bound));
  };
  Value bits = b.create<arith::BitcastOp>(where, wide, value);
  Value magnitude = masked(bits, 0x7fffffff);
  Value even = plus(plus(magnitude, integer(0xfff)), masked(shifted(magnitude, 13), 1));
  Value half = shifted(b.create<arith::SubIOp>(where, even, integer(0x38000000)), 13);
  // Below 2^-14 it is a multiple of 2^-24, which the addition rounds to.
  Value size = b.create<arith::BitcastOp>(where, value.getType(), magnitude);
  Value sum = b.create<arith::BitcastOp>(where, wide, addf(size, f32(0.5, width)));
  Value small = b.create<arith::SubIOp>(where, sum, integer(0x3f000000));
  Value quiet = plus(integer(0x7e00), masked(shifted(magnitude, 13), 0x1ff));
  half = select(atLeast(magnitude, 0x38800000), half, small);
  half = select(atLeast(magnitude, 0x477ff000), integer(0x7c00), half);
  half = select(atLeast(magnitude, 0x7f800001), quiet, half);
  half = b.create<arith::OrIOp>(where, half, masked(shifted(bits, 16), 0x8000));
  half = b.create<arith::TruncIOp>(where, vectorOf(b.getI16Type(), width), half);
  return b.create<arith::BitcastOp>(where, vectorOf(b.getF16Type(), width), half);
}

Value Emit::narrow(Type storage, Value value) {
  unsigned width = widthOf(value);
  if (storage.isBF16()) {
    Type i32 = b.getI32Type();
    Value bits = b.create<arith::BitcastOp>(where, vectorOf(i32, width), value);
    Value upper = b.create<arith::ShRUIOp>(where, bits, constant(i32, 16, width));
    Value odd = b.create<arith::AndIOp>(where, upper, constant(i32, 1, width));
    Value bias = b.create<arith::AddIOp>(where, odd, constant(i32, 0x7fff, width));
    Value rounded = b.create<arith::AddIOp>(where, bits, bias);
    rounded = b.create<arith::ShRUIOp>(where, rounded, constant(i32, 16, width));
    // Rounding could carry a NaN over to infinity; keep it a (quiet) NaN.
    Value quiet = b.create<arith::OrIOp>(where, upper, constant(i32, 0x40, width));
    Value isNan = b.create<arith::CmpFOp>(where, arith::CmpFPredicate::UNO, value, value);
    return b.create<arith::TruncIOp>(where, vectorOf(b.getI16Type(), width),
                                     select(isNan, quiet, rounded));
  }
  if (storage.isF16())
    return machine.halfConversion
               ? Value(b.create<arith::TruncFOp>(where, vectorOf(storage, width), value))
               : narrowToHalf(value);
  if (storage.isInteger(1))
    return b.create<arith::ExtUIOp>(where, vectorOf(b.getI8Type(), width), value);
  return value;
}

Value Emit::rounded(Type storage, Value value) {
  return computeType(storage) == storage ? value : widen(storage, narrow(storage, value));
}

Value Emit::at(Type storage, Value pointer, Value index) {
  if (constantOf(index) == 0)
    return pointer;
  Type element = isa<LLVM::LLVMPointerType>(storage) ? storage : rawType(storage, 1);
  if (std::optional<int64_t> fixed = constantOf(index); fixed && llvm::isInt<30>(*fixed))
    return b.create<LLVM::GEPOp>(where, pointer.getType(), element, pointer,
                                 ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(*fixed)});
  return b.create<LLVM::GEPOp>(where, pointer.getType(), element, pointer, ValueRange{index});
}

Value Emit::offset(Value pointer, Value bytes) { return at(b.getI8Type(), pointer, bytes); }

Value Emit::load(Type storage, Value pointer, Value index, Lanes lanes) {
  Value address = at(storage, pointer, index);
  Type raw = rawType(storage, lanes.width);
  unsigned alignment = storageBytes(storage);
  if (!lanes.mask)
    return widen(storage, b.create<LLVM::LoadOp>(where, raw, address, alignment));
  assert(lanes.width > 1);
  Value zeros = b.create<arith::ConstantOp>(where, b.getZeroAttr(raw));
  return widen(storage, b.create<LLVM::MaskedLoadOp>(where, raw, address, lanes.mask,
                                                     ValueRange{zeros}, alignment));
}

void Emit::store(Type storage, Value value, Value pointer, Value index, Lanes lanes) {
  assert(widthOf(value) == lanes.width);
  Value address = at(storage, pointer, index);
  Value raw = narrow(storage, value);
  unsigned alignment = storageBytes(storage);
  if (lanes.mask)
    b.create<LLVM::MaskedStoreOp>(where, raw, address, lanes.mask, alignment);
  else
    b.create<LLVM::StoreOp>(where, raw, address, alignment);
}

Value Emit::loadSplat(Type storage, Value pointer, Value index, unsigned width) {
  return splat(load(storage, pointer, index), width);
}

Value Emit::loadStrided(Type storage, Value pointer, Value index, Value stride, Lanes lanes) {
  if (constantOf(stride) == 1)
    return load(storage, pointer, index, lanes);
  if (lanes.width == 1)
    return load(storage, pointer, index);
  Value result = constant(computeType(storage), 0, lanes.width);
  Value step = index;
  for (unsigned i = 0; i < lanes.width; ++i) {
    if (i > 0)
      step = add(step, stride);
    if (!lanes.mask) {
      result = insertLane(load(storage, pointer, step), result, i);
      continue;
    }
    result = choose(
        lane(lanes.mask, i),
        [&]() -> Values { return {insertLane(load(storage, pointer, step), result, i)}; },
        [&]() -> Values { return {result}; })[0];
  }
  return result;
}

void Emit::prefetch(Type storage, Value pointer, Value index, bool forWrite, int locality) {
  b.create<LLVM::Prefetch>(where, at(storage, pointer, index), forWrite ? 1u : 0u,
                           static_cast<unsigned>(locality), /*cache=*/1u);
}

// --- control

void Emit::loop(Value lower, Value upper, Value step, Body body) {
  loopCarried(lower, upper, step, {}, [&](Value iv, ValueRange) -> Values {
    body(iv);
    return {};
  });
}

Emit::Values Emit::loopCarried(Value lower, Value upper, Value step, ValueRange inits,
                               CarriedBody body) {
  auto lo = constantOf(lower), hi = constantOf(upper), by = constantOf(step);
  if (lo && hi && *hi <= *lo)
    return Values(inits.begin(), inits.end());
  if (lo && hi && by && *hi - *lo <= *by)
    return body(lower, inits);
  auto loop = b.create<scf::ForOp>(where, lower, upper, step, inits);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  if (inits.empty()) { // the builder has placed a terminator
    body(loop.getInductionVar(), {});
    return {};
  }
  b.create<scf::YieldOp>(where, body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return Values(loop.getResults().begin(), loop.getResults().end());
}

void Emit::vectorLoop(Value lower, Value upper, unsigned width,
                      llvm::function_ref<void(Value iv, Lanes lanes)> body) {
  Value rest = width == 1 ? i64(0) : rem(sub(upper, lower), i64(width));
  Value full = sub(upper, rest);
  loop(lower, full, i64(width), [&](Value iv) { body(iv, Lanes(width)); });
  if (constantOf(rest) == 0)
    return;
  ifThen(less(full, upper), [&] { body(full, Lanes(width, firstLanes(rest, width))); });
}

void Emit::ifThen(Value condition, llvm::function_ref<void()> body) {
  if (auto known = constantOf(condition)) {
    if (*known)
      body();
    return;
  }
  auto branch = b.create<scf::IfOp>(where, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

void Emit::ifElse(Value condition, llvm::function_ref<void()> thenBody,
                  llvm::function_ref<void()> elseBody) {
  if (auto known = constantOf(condition))
    return *known ? thenBody() : elseBody();
  auto branch = b.create<scf::IfOp>(where, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  thenBody();
  b.setInsertionPointToStart(branch.elseBlock());
  elseBody();
}

Emit::Values Emit::choose(Value condition, llvm::function_ref<Values()> thenBody,
                          llvm::function_ref<Values()> elseBody) {
  if (auto known = constantOf(condition))
    return *known ? thenBody() : elseBody();
  // The result types are known only once a branch is built: build the first beside, then move it
  // in.
  Region thenRegion, elseRegion;
  auto build = [&](Region &region, llvm::function_ref<Values()> make) {
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&region);
    Values values = make();
    b.create<scf::YieldOp>(where, values);
    return values;
  };
  Values values = build(thenRegion, thenBody);
  build(elseRegion, elseBody);
  auto branch = b.create<scf::IfOp>(where, ValueRange(values).getTypes(), condition,
                                    /*withElseRegion=*/true);
  branch.getThenRegion().takeBody(thenRegion);
  branch.getElseRegion().takeBody(elseRegion);
  return Values(branch.getResults().begin(), branch.getResults().end());
}

} // namespace lmc::cpu
