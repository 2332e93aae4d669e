// The matmul family: products agree with the evaluator in every order of threads, planted bugs are
// found, and NVIDIA's compiler makes of them what was planned.
#include "Budget.h"
#include "Emulator.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc::test {
namespace {

/// First thread first, last thread first, two random orders; copies are lazy in odd ones.
constexpr unsigned kSeeds[] = {0, 1, 2, 3};

Program programOf(Context &context, const std::string &name) {
  for (const Source &source : productSources())
    if (source.name == name)
      return makeProgram(context, source, source.name);
  ADD_FAILURE() << "no product " << name;
  return {};
}

TEST(Product, AgreesWithTheEvaluatorInEveryOrder) {
  Context context;
  std::vector<Program> programs;
  for (const Source &source : productSources()) {
    programs.push_back(makeProgram(context, source, source.name));
    bool products = false;
    for (auto &[name, kernel] : programs.back().kernels) {
      products |= kernel.family == "matmul";
      EXPECT_LE(kernel.sharedBytes, 99u << 10) << source.name; // what sm_86 has
    }
    EXPECT_TRUE(products) << source.name;
  }
  expectAgreement(programs, kSeeds);
}

/// Does some order of threads show a change of the device library in these products?
bool isFound(const std::string &good, const std::string &bad, std::vector<std::string> names) {
  Context context;
  return llvm::any_of(names, [&](const std::string &name) {
    return isFound(programOf(context, name), planted(good, bad), kSeeds);
  });
}

TEST(Product, FindsAMissingWait) {
  EXPECT_TRUE(isFound("waitCopies<Tiles::kStages - 2>();", "waitCopies<Tiles::kStages - 1>();",
                      {"bf16_nt"}));
}

TEST(Product, FindsMissingBarriers) {
  EXPECT_TRUE(isFound("__syncthreads(); // this step's", "// this step's", {"bf16_nt"}));
  EXPECT_TRUE(isFound("__syncthreads(); // sums take", "// sums take", {"one_step"}));
  EXPECT_TRUE(isFound("__syncthreads();\n    for (int at = thread;", "for (int at = thread;",
                      {"few_bf16_nn"}));
}

TEST(Product, FindsAWrongStage) {
  EXPECT_TRUE(isFound("then = then + 1 < Tiles::kStages ? then + 1 : 0",
                      "then = then + 2 < Tiles::kStages ? then + 1 : 0", {"bf16_nt"}));
  EXPECT_TRUE(isFound("int now = 0, then = 0;", "int now = 1, then = 0;", {"rounded_nn"}));
}

TEST(Product, FindsWrongEdges) {
  EXPECT_TRUE(isFound("const int end = kAlong ? left : size", "const int end = size", {"f32_nn"}));
  EXPECT_TRUE(isFound("minimum(maximum(end - at, 0), kChunk)", "kChunk", {"bf16_fours"}));
  EXPECT_TRUE(isFound("i * kLinesAtOnce < numLines ? rest : 0",
                      "i * kLinesAtOnce <= numLines ? rest : 0", {"bf16_nn"}));
}

TEST(Product, RefusesPackedWeights) {
  Context context;
  Source source{"panels",
                R"(
func.func @f(%x: tensor<3x5xf32>, %w: tensor<2x8x4xf32>) -> tensor<3x7xf32> {
  %y = lm.matmul %x, %w {panel_columns = 7 : i64} : (tensor<3x5xf32>, tensor<2x8x4xf32>) -> tensor<3x7xf32> loc("layers.0.mlp")
  return %y : tensor<3x7xf32>
})",
                {}};
  try {
    makeProgram(context, source, "k");
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("'layers.0.mlp': weights packed as panels"));
  }
}

TEST(Product, ChunksFollowStridesAndStarts) {
  Context context;
  auto text = [&](const std::string &name) {
    std::string all;
    for (auto &[symbol, kernel] : programOf(context, name).kernels)
      all += kernel.text;
    return all;
  };
  using testing::HasSubstr;
  EXPECT_THAT(text("bf16_nt"), HasSubstr("lmc::Operand<lmc::bfloat16, lmc::bfloat16, true, 8> b"));
  EXPECT_THAT(text("bf16_tt"), HasSubstr("lmc::Operand<lmc::bfloat16, lmc::bfloat16, false, 8> a"));
  EXPECT_THAT(text("bf16_fours"), HasSubstr("bfloat16, true, 4> b"));
  EXPECT_THAT(text("bf16_pairs"), HasSubstr("bfloat16, true, 2> a"));
  EXPECT_THAT(text("bf16_odd_nn"), HasSubstr("bfloat16, true, 1> a"));
  EXPECT_THAT(text("rounded_tt"), HasSubstr("lmc::Operand<float, lmc::bfloat16, true, 4> b"));
  std::string slices = text("slice_of_a_projection");
  EXPECT_THAT(slices, HasSubstr("bfloat16, true, 8> a"));
  EXPECT_THAT(slices, HasSubstr("lmc::Operand<float, float, true, 1> a"));
}

struct Budget {
  std::string name;
  unsigned sm80, sm90, sm100; ///< registers
  bool tensorCores;
};

/// Two blocks of 256 threads fit into a multiprocessor with up to 128 registers.
const Budget kBudgets[] = {
    {"prefill_f32_131", 128, 128, 128, false},
    {"prefill_bf16_131", 120, 120, 128, true},
    {"prefill_bf16_nt_131", 128, 128, 128, true},
    {"prefill_rounded_131", 128, 128, 128, true},
    {"bf16_nn", 80, 80, 80, true},
    {"bf16_odd_tt", 128, 128, 128, true},
    {"rounded_nn", 96, 96, 96, true},
    {"f32_tn", 80, 80, 96, false},
    {"few_f32_nt", 64, 64, 64, false},
    {"few_bf16_nt", 64, 64, 64, false},
    {"few_rounded_nn", 64, 64, 64, false},
    {"accumulate_in_place", 80, 80, 80, false},
};

TEST(Product, StaysInItsBudget) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::vector<cuda::Kernel> kernels;
  for (const Budget &budget : kBudgets) {
    Program program = programOf(context, budget.name);
    ASSERT_EQ(program.kernels.size(), 1u) << budget.name;
    kernels.push_back(program.kernels.begin()->second);
  }
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100a"}) {
    auto resources = resourcesInRegisters(*compiler, kernels, architecture);
    for (size_t i = 0; i < kernels.size(); ++i) {
      const Budget &budget = kBudgets[i];
      std::string what = budget.name + " for " + architecture;
      const cuda::Resources &used = resources.at(kernels[i].name);
      unsigned most = architecture == std::string("sm_80")    ? budget.sm80
                      : architecture == std::string("sm_90a") ? budget.sm90
                                                              : budget.sm100;
      EXPECT_LE(used.registers, most) << what;
      const cuda::InstructionCounts &counts = used.instructions;
      EXPECT_EQ(counts.hmma > 0, budget.tensorCores) << what;
      EXPECT_EQ(counts.ldsm > 0, budget.tensorCores) << what;
      EXPECT_GT(counts.all, 0u) << what;
    }
  }
}

} // namespace
} // namespace lmc::test
