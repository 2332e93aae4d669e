#include "codegen/cpu/ByteDot.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace lmc::cpu {

using Unit = Target::ByteUnit;

ByteDot::ByteDot(Emit &emit) : e(emit), width(emit.target().lanes(32)) {}

Value ByteDot::call(StringRef intrinsic, Type result, ValueRange arguments) {
  OpBuilder &b = e.builder();
  return b
      .create<LLVM::CallIntrinsicOp>(e.loc(), TypeRange{result}, b.getStringAttr(intrinsic),
                                     arguments, LLVM::FastmathFlagsAttr::get(b.getContext(), {}))
      .getResult(0);
}

Value ByteDot::as(Type element, Value value) {
  unsigned bits = 32 * width, lanes = bits / element.getIntOrFloatBitWidth();
  return e.builder().create<vector::BitCastOp>(
      e.loc(), cast<VectorType>(Emit::vectorOf(element, lanes)), value);
}

ByteDot::Left ByteDot::left(Value bytes, bool isSigned) {
  OpBuilder &b = e.builder();
  if (!isSigned)
    return {bytes, {}};
  if (e.target().byteUnit == Unit::Vnni) // takes unsigned bytes: 128 more
    return {b.create<arith::XOrIOp>(e.loc(), bytes, e.constant(b.getI32Type(), 0x80808080u, width)),
            {}};
  if (e.target().byteUnit == Unit::MultiplyAdd) {
    Value wide = as(b.getI8Type(), bytes);
    Value zero = e.constant(b.getI8Type(), 0, 4 * width);
    Value negated = b.create<arith::SubIOp>(e.loc(), zero, wide);
    return {bytes, b.create<arith::MaxSIOp>(e.loc(), wide, negated)};
  }
  return {bytes, {}};
}

int ByteDot::bias(bool isSigned) const {
  return isSigned && e.target().byteUnit == Unit::Vnni ? 128 : 0;
}

Value ByteDot::add(Value sum, const Left &left, Value right) {
  OpBuilder &b = e.builder();
  Type i8 = b.getI8Type(), i16 = b.getI16Type(), i32 = b.getI32Type();
  std::string bits = std::to_string(32 * width);
  switch (e.target().byteUnit) {
  case Unit::Vnni:
    return call("llvm.x86.avx512.vpdpbusd." + bits, sum.getType(), {sum, left.bytes, right});
  case Unit::MultiplyAdd: {
    Value a = as(i8, left.magnitudes ? left.magnitudes : left.bytes), c = as(i8, right);
    if (left.magnitudes) { // |w| * (a with the sign of w)
      Value negative = b.create<arith::CmpIOp>(e.loc(), arith::CmpIPredicate::slt,
                                               as(i8, left.bytes), e.constant(i8, 0, 4 * width));
      c = e.select(negative, b.create<arith::SubIOp>(e.loc(), e.constant(i8, 0, 4 * width), c), c);
    }
    std::string unit = width == 16  ? "llvm.x86.avx512.pmaddubs.w.512"
                       : width == 8 ? "llvm.x86.avx2.pmadd.ub.sw"
                                    : "llvm.x86.ssse3.pmadd.ub.sw.128";
    std::string pairs = width == 16  ? "llvm.x86.avx512.pmaddw.d.512"
                        : width == 8 ? "llvm.x86.avx2.pmadd.wd"
                                     : "llvm.x86.sse2.pmadd.wd";
    Value two = call(unit, Emit::vectorOf(i16, 2 * width), {a, c});
    Value four = call(pairs, Emit::vectorOf(i32, width), {two, e.constant(i16, 1, 2 * width)});
    return b.create<arith::AddIOp>(e.loc(), sum, four);
  }
  case Unit::Neon:
    return call("llvm.aarch64.neon.sdot.v4i32.v16i8", sum.getType(),
                {sum, as(i8, left.bytes), as(i8, right)});
  case Unit::None:
    return addByArithmetic(sum, left, right);
  }
  llvm_unreachable("a byte unit");
}

Value ByteDot::addByArithmetic(Value sum, const Left &left, Value right) {
  OpBuilder &b = e.builder();
  auto byte = [&](Value word, int index) -> Value {
    Value up =
        b.create<arith::ShLIOp>(e.loc(), word, e.constant(b.getI32Type(), 24 - 8 * index, width));
    return b.create<arith::ShRSIOp>(e.loc(), up, e.constant(b.getI32Type(), 24, width));
  };
  for (int i = 0; i < 4; ++i)
    sum = b.create<arith::AddIOp>(
        e.loc(), sum, b.create<arith::MulIOp>(e.loc(), byte(left.bytes, i), byte(right, i)));
  return sum;
}

Value ByteDot::lookUp(Value bytes, const int8_t (&table)[16]) {
  OpBuilder &b = e.builder();
  Type i8 = b.getI8Type();
  Value index = as(i8, bytes);
  if (e.target().byteUnit == Unit::None) {
    Value result = e.constant(i8, table[0], 4 * width);
    for (int i = 1; i < 16; ++i) {
      Value here = b.create<arith::CmpIOp>(e.loc(), arith::CmpIPredicate::eq, index,
                                           e.constant(i8, i, 4 * width));
      result = e.select(here, e.constant(i8, table[i], 4 * width), result);
    }
    return as(b.getI32Type(), result);
  }
  SmallVector<Attribute> entries; // once for each 128 bits
  for (unsigned i = 0; i < 4 * width; ++i)
    entries.push_back(b.getIntegerAttr(i8, table[i % 16]));
  auto type = cast<VectorType>(Emit::vectorOf(i8, 4 * width));
  Value values = b.create<arith::ConstantOp>(e.loc(), DenseElementsAttr::get(type, entries));
  std::string unit = e.target().byteUnit == Unit::Neon ? "llvm.aarch64.neon.tbl1.v16i8"
                     : width == 16                     ? "llvm.x86.avx512.pshuf.b.512"
                     : width == 8                      ? "llvm.x86.avx2.pshuf.b"
                                                       : "llvm.x86.ssse3.pshuf.b.128";
  return as(b.getI32Type(), call(unit, type, {values, index}));
}

} // namespace lmc::cpu
