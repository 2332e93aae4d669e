// Training steps under a memory limit: exact bytes, the same numbers to the bit, and an honest
// smallest limit.
#include "../ir/OpCases.h"
#include "Graphs.h"

#include "ir/Dialect.h"
#include "passes/MemoryPlan.h"
#include "passes/Passes.h"
#include "passes/RecomputeSearch.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/Passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

/// Blocks with residuals, as deep as asked, in kernels.
class Recompute : public testing::TestWithParam<int64_t>, public Context {
protected:
  void SetUp() override {
    module = deepMlp(context, 6);
    DifferentiateOptions differentiate;
    differentiate.seed = 1.0 / static_cast<double>(GetParam());
    ASSERT_TRUE(run(*module, createDifferentiate(differentiate))) << errors;
    OptimizerUpdateOptions update;
    update.gradClip = 0.5;
    update.accumulate = GetParam();
    ASSERT_TRUE(run(*module, createOptimizerUpdate(update))) << errors;
    ASSERT_TRUE(run(*module, createCanonicalizerPass()) && run(*module, createCSEPass())) << errors;
    ASSERT_TRUE(run(*module, createDecompose())) << errors;
    ASSERT_TRUE(run(*module, createCanonicalizerPass()) && run(*module, createCSEPass())) << errors;
    ASSERT_TRUE(run(*module, createFuseKernels())) << errors;
    without = arenaOf(*module);
    smallest = smallestLimit();
  }

  bool limit(ModuleOp target, int64_t bytes) {
    errors.clear();
    RecomputeOptions options;
    options.limit = bytes;
    options.source = "train.yaml:9: memory.limit";
    return run(target, createRecompute(options));
  }

  /// State and the largest transient region, as the plan has them.
  int64_t arenaOf(ModuleOp kernels) {
    OwningOpRef<ModuleOp> planned = kernels.clone();
    EXPECT_TRUE(run(*planned, createPlanMemory())) << errors;
    int64_t state = 0, transient = 0;
    for (auto tensor : planned->getOps<plan::TensorOp>())
      state = std::max<int64_t>(state, tensor.getOffset() +
                                           alignedBytes(largestBytes(tensor.getType(), {})));
    for (auto program : planned->getOps<plan::ProgramOp>())
      transient = std::max<int64_t>(transient, program.getTransientBytes());
    return state + transient;
  }

  /// What the error of a hopeless limit says.
  int64_t smallestLimit() {
    OwningOpRef<ModuleOp> copy = module->clone();
    EXPECT_FALSE(limit(*copy, 1));
    std::smatch found;
    EXPECT_TRUE(std::regex_search(errors, found,
                                  std::regex("and ([0-9]+) bytes [^,]* with the most recomputing")))
        << errors;
    return found.size() > 1 ? std::stoll(found[1]) : 0;
  }

  static std::string text(ModuleOp module) {
    std::string result;
    llvm::raw_string_ostream stream(result);
    module.print(stream);
    return result;
  }

  OwningOpRef<ModuleOp> module;
  int64_t without = 0, smallest = 0;
};

TEST_P(Recompute, ChangesNothingWhereTheLimitHolds) {
  OwningOpRef<ModuleOp> copy = module->clone();
  ASSERT_TRUE(limit(*copy, without)) << errors;
  ASSERT_TRUE(run(*copy, createPlanMemory()) && run(*module, createPlanMemory())) << errors;
  EXPECT_EQ(text(*copy), text(*module));
}

TEST_P(Recompute, SaysWhatTheSmallestLimitIs) {
  EXPECT_LT(smallest, without - without / 50);
  OwningOpRef<ModuleOp> copy = module->clone();
  EXPECT_TRUE(limit(*copy, smallest)) << errors;
  EXPECT_EQ(arenaOf(*copy), smallest);
  copy = module->clone();
  EXPECT_FALSE(limit(*copy, smallest - std::max<int64_t>(64, smallest / 500)));
  EXPECT_THAT(errors, testing::HasSubstr("train.yaml:9: memory.limit: "));
  EXPECT_THAT(errors, testing::HasSubstr("the arena takes " + std::to_string(without) + " bytes"));
}

TEST_P(Recompute, KeepsEveryLimitAndTheNumbersToTheBit) {
  std::string program = GetParam() == 1 ? "train_step" : "accumulate";
  func::FuncOp function = functionOf(*module, program);
  std::vector<lm::Tensor> arguments;
  for (Type type : function.getArgumentTypes()) {
    arguments.emplace_back(cast<RankedTensorType>(type).getShape());
    for (int64_t j = 0; j < arguments.back().size(); ++j)
      arguments.back().data[j] = isa<IntegerType>(cast<RankedTensorType>(type).getElementType())
                                     ? static_cast<double>(j % 4)
                                     : 0.5 + 0.4 * std::sin(1.7 * double(j + arguments.size()));
  }
  SmallVector<lm::Tensor> expected = evaluated(function, arguments);
  size_t kernels = llvm::range_size(function.getOps<lm::KernelOp>()), last = 0;
  for (int step = 0; step <= 8; ++step) {
    int64_t bytes = smallest + (without - 64 - smallest) * step / 8;
    OwningOpRef<ModuleOp> copy = module->clone();
    ASSERT_TRUE(limit(*copy, bytes)) << errors;
    ASSERT_TRUE(succeeded(verify(*copy))) << errors;
    EXPECT_LE(arenaOf(*copy), bytes);
    func::FuncOp changed = functionOf(*copy, program);
    expectClose(evaluated(changed, arguments), expected, 0, "limit " + std::to_string(bytes));
    last = llvm::range_size(changed.getOps<lm::KernelOp>());
    EXPECT_GE(last, kernels);
  }
  EXPECT_GT(last, kernels) << "the largest of these limits needs recomputing too";
}

TEST_P(Recompute, DropsEveryNeedlessPick) {
  func::FuncOp function = functionOf(*module, GetParam() == 1 ? "train_step" : "accumulate");
  makeResultsWritable(function);
  LaunchList list(function);
  RecomputeSearch search(list);
  int64_t least = search.smallest().transientBytes, most = search.nothing().transientBytes;
  double cost = 0;
  for (int step = 8; step >= 0; --step) {
    std::optional<RecomputePlan> plan = search.within(least + (most - least) * step / 8);
    if (!plan)
      continue; // the search for the smallest goes other ways
    EXPECT_GE(plan->cost * 1.5, cost) << "more bytes must not cost much more";
    cost = std::max(cost, plan->cost);
  }
  EXPECT_EQ(search.within(most)->launches.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Accumulate, Recompute, testing::Values(1, 3));

} // namespace
