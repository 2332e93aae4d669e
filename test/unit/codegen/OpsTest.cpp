// Every op of the dialect through the compiler, on the cases of test/data/ir in f32:
// the op itself and its adjoint. A walk over the registered ops names any that no case reaches.
#include "test/unit/codegen/KernelCheck.h"

#include "codegen/Compiler.h"
#include "ir/Dialect.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

/// The same function in f32; numbers are rounded to it.
std::string inF32(std::string text) {
  for (size_t at; (at = text.find("f64>")) != std::string::npos;)
    text.replace(at, 4, "f32>");
  return text;
}

std::vector<lm::Tensor> roundedArguments(func::FuncOp function, const OpCase &one) {
  std::vector<lm::Tensor> arguments = tensorsFor(function, one.args);
  for (lm::Tensor &tensor : arguments)
    for (double &value : tensor.data)
      value = static_cast<float>(value);
  return arguments;
}

/// Ops whose cases are not run as they stand.
bool isTestedElsewhere(llvm::StringRef op) {
  return op == "kernel" ||          // the launch itself: every case below ends in some
         op == "block_matmul" ||    // panels of this processor's width: BlockProductTest
         op == "attention_parts" || // for GPUs alone: codegen_cuda's AttentionTest
         op == "expert_block_matmul";
}

/// Not cases that do not stand for code in f32.
bool hasKernels(const OpCase &one) {
  return !isTestedElsewhere(one.op) && one.name != "convert.narrow"; // f64 to f32
}

class OpKernel : public testing::TestWithParam<OpCase>, public Context {};

TEST_P(OpKernel, MatchesTheEvaluator) {
  auto module = parse(inF32(GetParam().mlir));
  ASSERT_TRUE(module);
  checkKernels(*this, *module, {{}}, {roundedArguments(functionOf(*module), GetParam())});
}

TEST_P(OpKernel, AdjointMatchesTheEvaluator) {
  if (GetParam().grad.empty())
    return;
  auto module = parse(inF32(GetParam().mlir));
  ASSERT_TRUE(module);
  auto arguments = roundedArguments(functionOf(*module), GetParam());
  ASSERT_NO_FATAL_FAILURE(differentiate(*this, *module, GetParam().grad));
  checkKernels(*this, *module, {{}}, {arguments});
}

std::vector<OpCase> casesWithKernels() {
  std::vector<OpCase> cases;
  for (const OpCase &one : opCases())
    if (hasKernels(one))
      cases.push_back(one);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, OpKernel, testing::ValuesIn(casesWithKernels()),
                         [](const auto &info) { return testName(info.param.name); });

TEST(CacheAppend, IsRefusedWhereItCannotWriteInPlace) {
  Context context;
  auto module = context.parse(R"(
    func.func @f(%cache: tensor<1x5x2x3xf32> {lm.name = "cache", lm.role = "cache"},
                 %new: tensor<1x1x2x3xf32> {lm.name = "new", lm.role = "input"},
                 %past: tensor<i32> {lm.name = "past", lm.role = "input"})
        -> (tensor<1x5x2x3xf32> {lm.name = "y", lm.role = "output"}) {
      %y = lm.cache_append %cache, %new, %past : (tensor<1x5x2x3xf32>, tensor<1x1x2x3xf32>, tensor<i32>) -> tensor<1x5x2x3xf32>
      return %y : tensor<1x5x2x3xf32>
    })");
  ASSERT_TRUE(module);
  try {
    runPipeline(*module, {});
    FAIL() << "accepted";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("the cache must be an argument that one result "
                                                 "updates (lm.updates)"));
  }
}

TEST(AttentionParts, AreRefused) {
  Context context;
  auto module = context.parse(R"(
    func.func @f(%q: tensor<1x1x2x3xf32> {lm.name = "q", lm.role = "input"},
                 %k: tensor<1x40x2x3xf32> {lm.name = "k", lm.role = "input"},
                 %past: tensor<i32> {lm.name = "past", lm.role = "input"})
        -> (tensor<1x1x2x2x3xf32> {lm.name = "y", lm.role = "output"}) {
      %y, %lse = lm.attention_parts %q, %k, %k, %past {scale = 1.0, parts = 2 : i64, chunk = 16 : i64} : (tensor<1x1x2x3xf32>, tensor<1x40x2x3xf32>, tensor<1x40x2x3xf32>, tensor<i32>) -> (tensor<1x1x2x2x3xf32>, tensor<1x1x2x2xf32>) loc("attn")
      return %y : tensor<1x1x2x2x3xf32>
    })");
  ASSERT_TRUE(module) << context.errors;
  runPipeline(*module, {});
  try {
    CodegenOptions codegen;
    codegen.useCache = false;
    buildExecutable(*module, codegen, {}, nullptr);
    FAIL() << "accepted";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(),
                testing::HasSubstr("no kernel for 'attn' (lm.attention_parts) on the CPU"));
  }
}

TEST(OpKernelList, EveryOpHasACase) {
  Context context;
  std::map<std::string, unsigned> counts;
  for (const OpCase &one : casesWithKernels())
    collectOps(*context.parse(inF32(one.mlir)), counts);
  for (const FamilyCase &family : familyCases())
    collectOps(*buildModule(context, family, false), counts);
  unsigned ops = 0;
  for (RegisteredOperationName name : context.context.getRegisteredOperations()) {
    if (name.getDialectNamespace() != "lm" || !name.hasInterface<lm::TensorOp>())
      continue;
    ++ops;
    if (!isTestedElsewhere(name.stripDialect()))
      EXPECT_TRUE(counts.contains(name.stripDialect().str()))
          << name.getStringRef().str() << " is in no case that runs its kernel";
  }
  EXPECT_GT(ops, 40u);
}

} // namespace
} // namespace lmc::test
