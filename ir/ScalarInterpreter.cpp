#include "ir/ScalarInterpreter.h"

#include "ir/Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

/// One instruction of a scalar form: a function of at most three numbers.
struct Step {
  double (*apply)(double, double, double);
  unsigned operands[3] = {0, 0, 0}; // registers
};

double constantOf(arith::ConstantOp op) {
  if (auto number = dyn_cast<FloatAttr>(op.getValue()))
    return number.getValueAsDouble();
  return static_cast<double>(cast<IntegerAttr>(op.getValue()).getInt());
}

using Function = double (*)(double, double, double);

Function functionOf(Operation *op) {
  auto compareFloat = [](arith::CmpFOp cmp) -> Function {
    switch (cmp.getPredicate()) {
    case arith::CmpFPredicate::OEQ:
      return [](double a, double b, double) -> double { return a == b; };
    case arith::CmpFPredicate::OLT:
      return [](double a, double b, double) -> double { return a < b; };
    case arith::CmpFPredicate::OLE:
      return [](double a, double b, double) -> double { return a <= b; };
    case arith::CmpFPredicate::OGT:
      return [](double a, double b, double) -> double { return a > b; };
    case arith::CmpFPredicate::OGE:
      return [](double a, double b, double) -> double { return a >= b; };
    default:
      return nullptr;
    }
  };
  auto compareInt = [](arith::CmpIOp cmp) -> Function {
    switch (cmp.getPredicate()) {
    case arith::CmpIPredicate::eq:
      return [](double a, double b, double) -> double { return a == b; };
    case arith::CmpIPredicate::slt:
      return [](double a, double b, double) -> double { return a < b; };
    case arith::CmpIPredicate::sle:
      return [](double a, double b, double) -> double { return a <= b; };
    case arith::CmpIPredicate::sgt:
      return [](double a, double b, double) -> double { return a > b; };
    case arith::CmpIPredicate::sge:
      return [](double a, double b, double) -> double { return a >= b; };
    default:
      return nullptr;
    }
  };
#define LMC_STEP(Op, expression)                                                                   \
  .Case<Op>([](auto) -> Function {                                                                 \
    return [](double a, double b, double c) -> double {                                            \
      (void)a, (void)b, (void)c;                                                                   \
      return expression;                                                                           \
    };                                                                                             \
  })
  return llvm::TypeSwitch<Operation *, Function>(op)
      .Case<arith::CmpFOp>(compareFloat)
      .Case<arith::CmpIOp>(compareInt) LMC_STEP(arith::AddFOp, a + b) LMC_STEP(
          arith::SubFOp, a - b) LMC_STEP(arith::MulFOp, a * b) LMC_STEP(arith::DivFOp, a / b)
          LMC_STEP(arith::NegFOp, -a) LMC_STEP(math::FmaOp, std::fma(a, b, c)) LMC_STEP(
              arith::AddIOp, a + b) LMC_STEP(arith::SubIOp, a - b) LMC_STEP(arith::MulIOp, a * b)
              LMC_STEP(arith::DivSIOp, std::trunc(a / b)) LMC_STEP(
                  arith::MaximumFOp, std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b))
                  LMC_STEP(arith::MinimumFOp, std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b))
                      LMC_STEP(arith::MaxSIOp, std::max(a, b)) LMC_STEP(
                          arith::MinSIOp, std::min(a, b)) LMC_STEP(arith::SelectOp, a != 0 ? b : c)
                          LMC_STEP(arith::ExtFOp, a) LMC_STEP(arith::TruncFOp, a) LMC_STEP(
                              arith::ExtSIOp, a) LMC_STEP(arith::ExtUIOp, a)
                              LMC_STEP(arith::TruncIOp, a) LMC_STEP(arith::SIToFPOp,
                                                                    a) LMC_STEP(arith::UIToFPOp, a)
                                  LMC_STEP(arith::FPToSIOp, std::trunc(a)) LMC_STEP(
                                      math::AbsFOp, std::fabs(a)) LMC_STEP(math::ExpOp, std::exp(a))
                                      LMC_STEP(math::ExpM1Op, std::expm1(a))
                                          LMC_STEP(math::LogOp, std::log(a))
                                              LMC_STEP(math::TanhOp, std::tanh(a))
                                                  LMC_STEP(math::ErfOp, std::erf(a))
                                                      LMC_STEP(math::SqrtOp, std::sqrt(a))
                                                          LMC_STEP(math::SinOp, std::sin(a))
                                                              LMC_STEP(math::CosOp, std::cos(a))
      .Default([](Operation *) -> Function { return nullptr; });
#undef LMC_STEP
}

/// f64 for every float, i64 for integers, i1 for masks.
Type interpretedType(Type element) {
  MLIRContext *context = element.getContext();
  if (isa<FloatType>(element))
    return Float64Type::get(context);
  if (element.isInteger(1))
    return element;
  return IntegerType::get(context, 64);
}

} // namespace

Tensor interpretPointwise(Operation *op, ArrayRef<const Tensor *> operands) {
  Block body;
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&body);
  for (Value operand : op->getOperands())
    body.addArgument(interpretedType(elementOf(operand)), op->getLoc());
  Value result =
      cast<PointwiseOp>(op).scalarForm(builder, op->getLoc(), ValueRange(body.getArguments()),
                                       interpretedType(elementOf(op->getResult(0))));

  std::vector<double> registers(body.getNumArguments());
  llvm::DenseMap<Value, unsigned> registerOf;
  for (BlockArgument argument : body.getArguments())
    registerOf[argument] = argument.getArgNumber();
  std::vector<std::pair<Step, unsigned>> steps;
  for (Operation &inner : body) {
    unsigned target = registers.size();
    registerOf[inner.getResult(0)] = target;
    registers.push_back(0);
    if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
      registers[target] = constantOf(constant);
      continue;
    }
    Step step{functionOf(&inner), {}};
    assert(step.apply && "scalar form uses an op that the interpreter lacks");
    for (auto [i, operand] : llvm::enumerate(inner.getOperands()))
      step.operands[i] = registerOf.at(operand);
    steps.emplace_back(step, target);
  }
  unsigned answer = registerOf.at(result);

  Tensor y(operands.front()->shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < operands.size(); ++j)
      registers[j] = operands[j]->data[i];
    for (auto &[step, target] : steps)
      registers[target] = step.apply(registers[step.operands[0]], registers[step.operands[1]],
                                     registers[step.operands[2]]);
    y.data[i] = registers[answer];
  }
  return y;
}

} // namespace lmc::lm
