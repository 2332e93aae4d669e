#include "codegen/cuda/ScalarPrinter.h"

#include "runtime/Error.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSwitch.h"

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

/// The operator of a comparison; the orders in which NaN counts as true do not occur.
StringRef comparison(StringRef predicate) {
  return llvm::StringSwitch<StringRef>(predicate)
      .Cases("oeq", "eq", "%0 == %1")
      .Cases("olt", "slt", "%0 < %1")
      .Cases("ole", "sle", "%0 <= %1")
      .Cases("ogt", "sgt", "%0 > %1")
      .Cases("oge", "sge", "%0 >= %1")
      .Default("");
}

/// Sign extension of i1 does not occur: masks extend without sign.
constexpr std::pair<StringLiteral, StringLiteral> kPatterns[] = {
    {"arith.addf", "%0 + %1"},
    {"arith.subf", "%0 - %1"},
    {"arith.mulf", "%0 * %1"},
    {"arith.divf", "%0 / %1"},
    {"arith.negf", "-(%0)"},
    {"arith.addi", "lmc::wrappingAdd(%0, %1)"},
    {"arith.subi", "lmc::wrappingSub(%0, %1)"},
    {"arith.muli", "lmc::wrappingMul(%0, %1)"},
    {"arith.divsi", "%0 / %1"},
    {"arith.xori", "%0 ^ %1"},
    {"arith.shrui", "lmc::shiftRight(%0, %1)"},
    {"arith.maximumf", "lmc::maximum(%0, %1)"},
    {"arith.minimumf", "lmc::minimum(%0, %1)"},
    {"arith.maxsi", "lmc::maximum(%0, %1)"},
    {"arith.minsi", "lmc::minimum(%0, %1)"},
    {"arith.select", "%0 ? %1 : %2"},
    {"arith.extf", "static_cast<%t>(%0)"},
    {"arith.truncf", "static_cast<%t>(%0)"},
    {"arith.extsi", "static_cast<%t>(%0)"},
    {"arith.extui", "static_cast<%t>(static_cast<unsigned>(%0))"},
    {"arith.trunci", "static_cast<%t>(%0)"},
    {"arith.sitofp", "static_cast<%t>(%0)"},
    {"arith.uitofp", "static_cast<%t>(%0)"},
    {"arith.fptosi", "static_cast<%t>(%0)"},
    {"math.fma", "fma%f(%0, %1, %2)"},
    {"math.absf", "fabs%f(%0)"},
    {"math.exp", "exp%f(%0)"},
    {"math.expm1", "expm1%f(%0)"},
    {"math.log", "log%f(%0)"},
    {"math.tanh", "tanh%f(%0)"},
    {"math.erf", "erf%f(%0)"},
    {"math.sqrt", "sqrt%f(%0)"},
    {"math.sin", "lmc::sine(%0)"},
    {"math.cos", "lmc::cosine(%0)"},
};

StringRef patternOf(Operation *op) {
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    return comparison(stringifyEnum(compare.getPredicate()));
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    return comparison(stringifyEnum(compare.getPredicate()));
  for (const auto &[name, pattern] : kPatterns)
    if (op->getName().getStringRef() == name)
      return pattern;
  return "";
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
  if (element.isInteger(8))
    return "signed char";
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
