#include "codegen/cuda/ScalarPrinter.h"

#include "runtime/Error.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace lmc::cuda {
namespace {

/// `a + b`, `-a`, `f(a, b)`: %0, %1 and %2 stand for the operands, %f for the suffix of float's
/// functions, %t for the result's type.
std::string substitute(StringRef pattern, ArrayRef<std::string> operands, Type result) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      text += pattern[i];
      continue;
    }
    char what = pattern[++i];
    if (what == 'f')
      text += computeType(result) == "float" ? "f" : "";
    else if (what == 't')
      text += computeType(result);
    else
      text += operands[what - '0'];
  }
  return text;
}

StringRef comparison(arith::CmpFPredicate predicate) {
  switch (predicate) {
  case arith::CmpFPredicate::OEQ:
    return "%0 == %1";
  case arith::CmpFPredicate::OLT:
    return "%0 < %1";
  case arith::CmpFPredicate::OLE:
    return "%0 <= %1";
  case arith::CmpFPredicate::OGT:
    return "%0 > %1";
  case arith::CmpFPredicate::OGE:
    return "%0 >= %1";
  default:
    return "";
  }
}

StringRef comparison(arith::CmpIPredicate predicate) {
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return "%0 == %1";
  case arith::CmpIPredicate::slt:
    return "%0 < %1";
  case arith::CmpIPredicate::sle:
    return "%0 <= %1";
  case arith::CmpIPredicate::sgt:
    return "%0 > %1";
  case arith::CmpIPredicate::sge:
    return "%0 >= %1";
  default:
    return "";
  }
}

StringRef patternOf(Operation *op) {
#define LMC_PATTERN(Op, pattern) .Case<Op>([](auto) -> StringRef { return pattern; })
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case<arith::CmpFOp, arith::CmpIOp>([](auto o) { return comparison(o.getPredicate()); })
          LMC_PATTERN(arith::AddFOp, "%0 + %1") LMC_PATTERN(arith::SubFOp, "%0 - %1") LMC_PATTERN(
              arith::MulFOp, "%0 * %1") LMC_PATTERN(arith::DivFOp, "%0 / %1")
              LMC_PATTERN(arith::NegFOp, "-(%0)") LMC_PATTERN(math::FmaOp, "fma%f(%0, %1, %2)")
                  LMC_PATTERN(arith::AddIOp, "%0 + %1") LMC_PATTERN(arith::SubIOp, "%0 - %1")
                      LMC_PATTERN(arith::MulIOp, "%0 * %1") LMC_PATTERN(arith::DivSIOp, "%0 / %1")
                          LMC_PATTERN(arith::MaximumFOp, "lmc::maximum(%0, %1)")
                              LMC_PATTERN(arith::MinimumFOp, "lmc::minimum(%0, %1)") LMC_PATTERN(
                                  arith::MaxSIOp, "lmc::maximum(%0, %1)")
                                  LMC_PATTERN(arith::MinSIOp, "lmc::minimum(%0, %1)") LMC_PATTERN(
                                      arith::SelectOp, "%0 ? %1 : %2")
                                      LMC_PATTERN(arith::ExtFOp, "static_cast<%t>(%0)") LMC_PATTERN(
                                          arith::TruncFOp, "static_cast<%t>(%0)")
                                          LMC_PATTERN(arith::ExtSIOp, "static_cast<%t>(%0)")
                                              LMC_PATTERN(
                                                  arith::ExtUIOp,
                                                  "static_cast<%t>(%0)") // from i1 alone, a bool
      LMC_PATTERN(arith::TruncIOp, "static_cast<%t>(%0)")
          LMC_PATTERN(arith::SIToFPOp, "static_cast<%t>(%0)")
              LMC_PATTERN(arith::UIToFPOp, "static_cast<%t>(%0)") // from i1 alone
      LMC_PATTERN(arith::FPToSIOp, "static_cast<%t>(%0)") LMC_PATTERN(math::AbsFOp, "fabs%f(%0)")
          LMC_PATTERN(math::ExpOp, "exp%f(%0)") LMC_PATTERN(math::ExpM1Op, "expm1%f(%0)")
              LMC_PATTERN(math::LogOp, "log%f(%0)") LMC_PATTERN(math::TanhOp, "tanh%f(%0)")
                  LMC_PATTERN(math::ErfOp, "erf%f(%0)") LMC_PATTERN(math::SqrtOp, "sqrt%f(%0)")
                      LMC_PATTERN(math::SinOp, "sin%f(%0)") LMC_PATTERN(math::CosOp, "cos%f(%0)")
      .Default([](Operation *) -> StringRef { return ""; });
#undef LMC_PATTERN
}

} // namespace

Type computedAs(Type element) {
  bool narrow = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
  return narrow ? Type(Float32Type::get(element.getContext())) : element;
}

std::string computeType(Type element) {
  if (isa<FloatType>(element))
    return element.isF64() ? "double" : "float";
  if (element.isInteger(1))
    return "bool";
  return element.isInteger(64) ? "long long" : "int";
}

std::string storageType(Type element) {
  if (element.isBF16())
    return "lmc::bfloat16";
  if (element.isInteger(1))
    return "unsigned char";
  bool known = element.isF32() || element.isF64() || element.isInteger(32) || element.isInteger(64);
  if (!known) {
    std::string name;
    llvm::raw_string_ostream(name) << element;
    fail("kernels for CUDA cannot read {} elements yet; use f32 or bf16", name);
  }
  return computeType(element);
}

std::string literal(Type element, double value) {
  if (!isa<FloatType>(element))
    return literal(element, APInt(64, static_cast<int64_t>(value), /*isSigned=*/true));
  bool isDouble = element.isF64();
  // NVRTC knows no INFINITY.
  if (!std::isfinite(value)) {
    uint64_t bits = std::isnan(value) ? 0x7ff8000000000000
                    : value > 0       ? 0x7ff0000000000000
                                      : 0xfff0000000000000;
    std::string text = fmt::format("__longlong_as_double({:#x}ll)", bits);
    return isDouble ? text : fmt::format("static_cast<float>({})", text);
  }
  std::string text =
      isDouble ? fmt::format("{:.17g}", value) : fmt::format("{:.9g}", static_cast<float>(value));
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return isDouble ? text : text + "f";
}

std::string literal(Type element, const APInt &value) {
  if (element.isInteger(1))
    return value.isZero() ? "false" : "true";
  // The smallest integer has no literal: minus is an operator.
  int64_t number = value.getSExtValue();
  const char *suffix = element.isInteger(64) ? "ll" : "";
  if (value.isMinSignedValue() && value.getBitWidth() == element.getIntOrFloatBitWidth())
    return fmt::format("({}{} - 1)", number + 1, suffix);
  return fmt::format("{}{}", number, suffix);
}

std::string printScalar(Operation *op, ArrayRef<std::string> operands) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto number = dyn_cast<FloatAttr>(constant.getValue()))
      return literal(number.getType(), number.getValueAsDouble());
    auto integer = cast<IntegerAttr>(constant.getValue());
    return literal(integer.getType(), integer.getValue());
  }
  StringRef pattern = patternOf(op);
  assert(!pattern.empty() && "scalar form uses an op that the CUDA printer lacks");
  return substitute(pattern, operands, op->getResult(0).getType());
}

} // namespace lmc::cuda
