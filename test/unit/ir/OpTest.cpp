// Every op by one list of cases: evaluation against NumPy, adjoints against central differences,
// decompositions against the op's own evaluation; and a walk that names ops without a case.
#include "OpCases.h"

#include "ir/Dialect.h"
#include "passes/Passes.h"

#include "mlir/IR/Verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

class Op : public testing::TestWithParam<OpCase>, public Context {
protected:
  func::FuncOp load() {
    module = parse(GetParam().mlir);
    if (!module)
      return {};
    func::FuncOp function = functionOf(*module);
    arguments = tensorsFor(function, GetParam().args);
    return function;
  }

  lm::TensorOp opUnderTest(func::FuncOp function) {
    for (Operation &op : function.getBody().front())
      if (op.getName().getStringRef() == "lm." + GetParam().op)
        return cast<lm::TensorOp>(op);
    ADD_FAILURE() << "the case does not hold its op";
    return {};
  }

  OwningOpRef<ModuleOp> module;
  std::vector<lm::Tensor> arguments;
};

/// Turns @f into @loss = sum(first result * weights), with the case's arguments as parameters. The
/// weights are eighths: exact in every element type.
void makeLoss(func::FuncOp function, ArrayRef<unsigned> parameters) {
  Operation *terminator = function.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  lm::GraphBuilder g(builder, builder.getUnknownLoc());
  Value y = terminator->getOperand(0);
  auto type = cast<RankedTensorType>(y.getType());
  auto semantics = &cast<FloatType>(type.getElementType()).getFloatSemantics();
  SmallVector<APFloat> weights;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    APFloat weight((static_cast<double>(i * 7 % 31) - 13) / 8);
    bool loses;
    weight.convert(*semantics, APFloat::rmNearestTiesToEven, &loses);
    weights.push_back(weight);
  }
  Value constant =
      builder.create<lm::ConstantOp>(g.loc, DenseElementsAttr::get(type, ArrayRef(weights)));
  Value loss = g.sumAll(g.mul(y, constant));
  terminator->setOperands(loss);
  function.setName("loss");
  function.setType(builder.getFunctionType(function.getArgumentTypes(), loss.getType()));
  for (unsigned parameter : parameters) {
    function.setArgAttr(parameter, kRole, builder.getStringAttr("parameter"));
    function.setArgAttr(parameter, kName, builder.getStringAttr("p" + std::to_string(parameter)));
  }
}

/// d loss / d argument, element by element, by the five-point rule (error of order h^4).
lm::Tensor differences(func::FuncOp loss, std::vector<lm::Tensor> arguments, unsigned parameter) {
  constexpr double h = 2e-4;
  lm::Tensor gradient(arguments[parameter].shape);
  for (int64_t i = 0; i < gradient.size(); ++i) {
    double &element = arguments[parameter].data[i], before = element;
    auto at = [&](double offset) {
      element = before + offset * h;
      return evaluated(loss, arguments).front().data[0];
    };
    gradient.data[i] = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
    element = before;
  }
  return gradient;
}

TEST_P(Op, EvaluatesLikeNumPy) {
  func::FuncOp function = load();
  ASSERT_TRUE(function);
  std::vector<lm::Tensor> expected;
  for (auto [type, numbers] : llvm::zip_equal(function.getResultTypes(), GetParam().results))
    expected.emplace_back(cast<RankedTensorType>(type).getShape(), numbers);
  expectClose(evaluated(function, arguments), expected, 1e-11, GetParam().name);
}

TEST_P(Op, AdjointMatchesDifferences) {
  if (GetParam().grad.empty())
    return;
  func::FuncOp function = load();
  ASSERT_TRUE(function);
  makeLoss(function, GetParam().grad);
  ASSERT_TRUE(succeeded(verify(*module))) << errors;
  OwningOpRef<ModuleOp> plain = module->clone();
  ASSERT_TRUE(run(*module, createDifferentiate())) << errors;
  SmallVector<lm::Tensor> results = evaluated(function, arguments);
  SmallVector<lm::Tensor> expected = evaluated(functionOf(*plain), arguments);
  for (unsigned parameter : GetParam().grad)
    expected.push_back(differences(functionOf(*plain), arguments, parameter));
  expectClose(results, expected, 1e-7, GetParam().name);

  // The same numbers after decomposition of the op and of its adjoint.
  ASSERT_TRUE(run(*module, createFlashAttention())) << errors;
  ASSERT_TRUE(run(*module, createDecompose())) << errors;
  VerifyPhaseOptions primitives;
  primitives.phase = "primitives";
  ASSERT_TRUE(run(*module, createVerifyPhase(primitives))) << errors;
  expectClose(evaluated(function, arguments), results, 1e-12, GetParam().name + " decomposed");
}

TEST_P(Op, DecomposesToItself) {
  func::FuncOp function = load();
  ASSERT_TRUE(function);
  lm::TensorOp op = opUnderTest(function);
  ASSERT_TRUE(op);
  if (!isa<lm::CompositeOp, lm::ReduceOp>(*op))
    return;
  SmallVector<lm::Tensor> own = evaluated(function, arguments);
  ASSERT_TRUE(run(*module, createFlashAttention())) << errors;
  ASSERT_TRUE(run(*module, createDecompose())) << errors;
  for (Operation &inner : function.getBody().front())
    EXPECT_FALSE(isa<lm::CompositeOp>(inner)) << inner.getName().getStringRef().str();
  expectClose(evaluated(function, arguments), own, 1e-12, GetParam().name);
}

TEST_P(Op, SaysWhyItHasNoAdjoint) {
  if (!GetParam().reason || GetParam().reason->empty())
    return;
  func::FuncOp function = load();
  ASSERT_TRUE(function);
  lm::TensorOp op = opUnderTest(function);
  ASSERT_TRUE(op);
  op->setLoc(NameLoc::get(StringAttr::get(&context, "layers.3.part")));
  OpBuilder builder(function.getBody().front().getTerminator());
  lm::GraphBuilder g(builder, builder.getUnknownLoc());
  // Any value of the right type serves as a cotangent; attention's second result takes none.
  SmallVector<Value> dResults(op->getResults());
  if (GetParam().op == "attention")
    dResults[1] = nullptr;
  SmallVector<Value> dOperands(op->getNumOperands());
  EXPECT_TRUE(failed(op.adjoint(g, dResults, dOperands)));
  EXPECT_EQ(errors, "no gradient through 'layers.3.part' (lm." + GetParam().op +
                        "): " + *GetParam().reason + "\n");
}

INSTANTIATE_TEST_SUITE_P(Cases, Op, testing::ValuesIn(opCases()),
                         [](const auto &info) { return testName(info.param.name); });

/// What no case above can reach because it needs a value beside the op.
TEST(OpList, AttentionKeepsItsLogSumExpForItself) {
  Context c;
  auto module = c.parse(R"(
    func.func @loss(%q: tensor<1x2x1x2xf64> {lm.role = "parameter", lm.name = "q"}) -> tensor<f64> {
      %out, %lse = lm.attention %q, %q, %q {scale = 1.0} : (tensor<1x2x1x2xf64>, tensor<1x2x1x2xf64>, tensor<1x2x1x2xf64>) -> (tensor<1x2x1x2xf64>, tensor<1x2x1xf64>) loc("attn")
      %s = lm.reduce %lse {kind = "sum", dims = array<i64: 0, 1, 2>} : (tensor<1x2x1xf64>) -> tensor<f64>
      return %s : tensor<f64>
    })");
  ASSERT_TRUE(module);
  EXPECT_FALSE(c.run(*module, createDifferentiate()));
  EXPECT_THAT(c.errors, testing::HasSubstr("no gradient through 'attn' (lm.attention): the "
                                           "log-sum-exp result is for the adjoint's own use"));
}

// Differences cannot see a tie, and JSON has no NaN.
TEST(OpList, TiesOfWindowsTakeTheWholeCotangentAndNaNWins) {
  Context c;
  auto module = c.parse(R"(
    func.func @loss(%x: tensor<1x4x1xf64> {lm.role = "parameter", lm.name = "x"}, %w: tensor<1x3x1xf64>) -> tensor<f64> {
      %y = lm.max_pool %x {size = array<i64: 2>} : (tensor<1x4x1xf64>) -> tensor<1x3x1xf64>
      %z = lm.mul %y, %w : (tensor<1x3x1xf64>, tensor<1x3x1xf64>) -> tensor<1x3x1xf64>
      %s = lm.reduce %z {kind = "sum", dims = array<i64: 0, 1, 2>} : (tensor<1x3x1xf64>) -> tensor<f64>
      return %s : tensor<f64>
    })");
  ASSERT_TRUE(module);
  OwningOpRef<ModuleOp> plain = module->clone();
  ASSERT_TRUE(c.run(*module, createDifferentiate())) << c.errors;
  // Windows (3, 3), (3, 1), (1, 1).
  lm::Tensor x({1, 4, 1}, std::vector<double>{3, 3, 1, 1});
  lm::Tensor w({1, 3, 1}, std::vector<double>{10, 200, 3000});
  EXPECT_EQ(evaluated(functionOf(*module), {x, w})[1].data,
            (std::vector<double>{10, 210, 3000, 3000}));
  x.data[3] = std::nan("");
  EXPECT_TRUE(std::isnan(evaluated(functionOf(*plain), {x, w})[0].data[0]));
  x.data = {std::nan(""), 3, 1, 1};
  EXPECT_TRUE(std::isnan(evaluated(functionOf(*plain), {x, w})[0].data[0]));
}

/// A query at position 17 with a window of 2 in chunks of 16: the first part sees nothing.
TEST(OpList, APartWithoutKeysIsZeroAndMinusInfinity) {
  Context c;
  auto module = c.parse(R"(
    func.func @f(%q: tensor<1x1x1x2xf64>, %k: tensor<1x20x1x2xf64>, %past: tensor<i32>) -> (tensor<1x1x1x2x2xf64>, tensor<1x1x1x2xf64>) {
      %y:2 = lm.attention_parts %q, %k, %k, %past {scale = 1.0, causal, window = 2 : i64, parts = 2 : i64, chunk = 16 : i64} : (tensor<1x1x1x2xf64>, tensor<1x20x1x2xf64>, tensor<1x20x1x2xf64>, tensor<i32>) -> (tensor<1x1x1x2x2xf64>, tensor<1x1x1x2xf64>)
      return %y#0, %y#1 : tensor<1x1x1x2x2xf64>, tensor<1x1x1x2xf64>
    })");
  ASSERT_TRUE(module) << c.errors;
  std::vector<double> keys(40, 7);
  keys[32] = keys[33] = keys[34] = keys[35] = 3; // positions 16 and 17
  SmallVector<lm::Tensor> results =
      evaluated(functionOf(*module), tensorsFor(functionOf(*module), {{0.5, 0.5}, keys, {17}}));
  EXPECT_EQ(results[0].data[0], 0);
  EXPECT_EQ(results[0].data[1], 0);
  EXPECT_DOUBLE_EQ(results[0].data[2], 3);
  EXPECT_DOUBLE_EQ(results[0].data[3], 3);
  EXPECT_EQ(results[1].data[0], -std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(results[1].data[1], 3 + std::log(2.0));
}

TEST(OpList, EveryOpHasCasesAndATestFile) {
  Context c;
  struct Found {
    bool evaluated = false, differentiated = false, refused = false;
  };
  std::map<std::string, Found> found;
  for (const OpCase &one : opCases()) {
    Found &entry = found[one.op];
    entry.evaluated = true;
    entry.differentiated |= !one.grad.empty();
    entry.refused |= one.reason.has_value();
  }
  unsigned ops = 0;
  for (RegisteredOperationName name : c.context.getRegisteredOperations()) {
    if (name.getDialectNamespace() != "lm" || !name.hasInterface<lm::TensorOp>())
      continue;
    ++ops;
    std::string op = name.stripDialect().str();
    EXPECT_TRUE(found[op].evaluated) << op << " has no case in test/data/ir";
    EXPECT_TRUE(found[op].differentiated || found[op].refused)
        << op << " has neither a gradient case nor a reason why not";
    EXPECT_TRUE(std::filesystem::exists("test/lit/ops/" + op + ".mlir"))
        << "test/lit/ops/" << op << ".mlir is missing";
  }
  EXPECT_GT(ops, 40u);
}

} // namespace
