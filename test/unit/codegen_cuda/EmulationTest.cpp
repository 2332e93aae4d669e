// CUDA kernels, run on the host: they agree with the reference evaluator (and with the op cases'
// NumPy results) in every order of threads, and planted bugs are found.
#include "Emulator.h"

#include "codegen/cuda/Print.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

using namespace lmc;
using namespace lmc::test;

namespace {

/// First thread first, last thread first, two random orders.
constexpr unsigned kSeeds[] = {0, 1, 2, 3};

std::vector<Program> listed(Context &context) {
  std::vector<Program> programs;
  for (const Source &source : sources())
    programs.push_back(makeProgram(context, source, source.name));
  return programs;
}

std::vector<const Program *> pointers(const std::vector<Program> &programs) {
  std::vector<const Program *> list;
  for (const Program &program : programs)
    list.push_back(&program);
  return list;
}

TEST(Emulation, ListedFunctionsAgreeWithTheEvaluatorInEveryOrder) {
  Context context;
  std::vector<Program> programs = listed(context);
  for (const Program &program : programs)
    if (program.source.name.starts_with("joined")) {
      EXPECT_EQ(program.kernels.size(), 1u) << program.source.name;
      EXPECT_GT(program.kernels.begin()->second.addresses, 0u) << program.source.name;
    }
  expectAgreement(programs, kSeeds);
}

TEST(Emulation, OpCasesAgreeWithTheirOracle) {
  Context context;
  std::vector<Program> programs;
  size_t others = 0;
  for (const OpCase &one : opCases()) {
    Source source{one.name, one.mlir, {}, 1e-9};
    std::string prefix = testName(one.name);
    try {
      programs.push_back(makeProgram(context, source, prefix, one.args, one.results));
    } catch (const Error &) { // caches and gradients are no programs of their own
      ++others;
    }
  }
  std::cout << programs.size() << " op cases run as CUDA kernels, " << others
            << " are no programs of their own\n";
  EXPECT_GE(programs.size(), 80u); // with products
  Emulator emulator(pointers(programs), cuda::deviceLibrary());
  for (const Program &program : programs) {
    std::string fault;
    std::vector<lm::Tensor> results = emulator.run(program, 0, fault);
    ASSERT_EQ(fault, "") << program.source.name;
    EXPECT_EQ(difference(program, results), "");
  }
}

TEST(Emulation, TrainingStepsAgreeWithTheEvaluator) {
  Context context;
  std::vector<Program> programs = trainingSteps(context);
  programs.push_back(windowStep(context));
  for (const Program &program : programs)
    EXPECT_GE(program.kernels.size(), 10u);
  Emulator emulator(pointers(programs), cuda::deviceLibrary());
  for (const Program &program : programs) {
    std::string fault;
    std::vector<lm::Tensor> results = emulator.run(program, 2, fault);
    ASSERT_EQ(fault, "") << program.source.name;
    EXPECT_EQ(difference(program, results), "");
  }
}

/// Does some order of threads show the bug in softmax of long rows?
bool isFound(const std::string &library) {
  Context context;
  const Source &source =
      *llvm::find_if(sources(), [](const Source &one) { return one.name == "softmax_long"; });
  return isFound(makeProgram(context, source, source.name), library, kSeeds);
}

TEST(Emulation, FindsAMissingBarrier) { EXPECT_TRUE(isFound(planted("__syncthreads();", ""))); }

TEST(Emulation, FindsAWrongShuffleOffset) {
  EXPECT_TRUE(isFound(planted("int offset = kWarp / 2;", "int offset = kWarp / 4;")));
}

TEST(Emulation, FindsABarrierThatSomeThreadsMiss) {
  EXPECT_TRUE(
      isFound(planted("x = warpReduce<Op>(x);", "if (threadIdx.x % 32) x = warpReduce<Op>(x);")));
}

/// Joined updates: the first block of a segment takes the one in front of it.
TEST(Emulation, FindsAWrongSegment) {
  Context context;
  std::vector<Program> programs = trainingSteps(context);
  Program &program = programs.front();
  EXPECT_TRUE(llvm::any_of(program.kernels, [](auto &kernel) {
    return kernel.second.family == "map" && kernel.second.addresses > 0;
  }));
  constexpr unsigned seeds[] = {0};
  EXPECT_FALSE(isFound(program, cuda::deviceLibrary(), seeds));
  EXPECT_TRUE(isFound(program, planted("first[middle] <= block", "first[middle] < block"), seeds));
}

} // namespace
