// Ids drawn from rows of logits: those of runtime/Sampling.h to the last, in every order of threads; planted
// bugs are found, and NVIDIA's compiler makes what was planned.
#include "../codegen/SampleRows.h"
#include "Budget.h"
#include "Emulator.h"

#include <gtest/gtest.h>

namespace lmc::test {
namespace {

constexpr unsigned kSeeds[] = {0, 1, 2, 3};

Program programOf(Context &context, const SampleRows &rows, const std::string &name) {
  std::vector<std::vector<double>> inputs;
  for (const lm::Tensor &operand : rows.operands())
    inputs.push_back(operand.data);
  return makeProgram(context, {name, rows.text(), {}, 0}, name, inputs, {rows.expected});
}

TEST(Sample, DrawsTheIdsOfTheDefinitionInEveryOrder) {
  Context context;
  std::vector<Program> programs;
  for (int64_t vocab : {1, 7, 33, 512, 1111})
    programs.push_back(programOf(context, sampleRows(vocab, vocab), "v" + std::to_string(vocab)));
  expectAgreement(programs, kSeeds);
}

TEST(Sample, DrawsFromWideRows) {
  Context context;
  std::vector<float> row(50257);
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = 3 * Philox(5).normal(i);
  SampleRows rows(static_cast<int64_t>(row.size()));
  uint64_t next = 0;
  for (Draw draw :
       {Draw{.temperature = 0}, Draw{.temperature = 1}, Draw{.temperature = 1, .topK = 50},
        Draw{.temperature = 0.8f, .topK = 1000, .topP = 0.95f},
        Draw{.temperature = 2, .topP = 0.5f}}) {
    draw.bits = Philox(6).bits64(next++);
    rows.add(row, draw);
  }
  std::vector<Program> programs;
  programs.push_back(programOf(context, rows, "wide"));
  constexpr unsigned seeds[] = {2};
  expectAgreement(programs, seeds);
}

TEST(Sample, FindsPlantedBugs) {
  const Plant plants[] = {
      {"a barrier before the histograms are added up", "__syncthreads(); // all histograms", "",
       "v"},
      {"a barrier before the sums are read", "__syncthreads(); // all bins' sums", "", "v"},
      {"a barrier before the next histograms", "__syncthreads(); // before the next histograms", "",
       "v"},
      {"a barrier before the pieces' sums are read", "__syncthreads(); // all pieces' sums", "",
       "v"},
      {"a barrier before the next pieces", "__syncthreads(); // before the next pieces", "", "v"},
      {"ties in earlier pieces", "equals < kept.equals ? kept.equals - equals : 0", "kept.equals",
       "v"},
      {"the share of top-p", "0x1p32f : 0.0f", "0x1.01p32f : 0.0f", "v"},
      {"the sign of -0", "x + 0.0f", "x", "v"},
      {"a logit of +inf", "best >= 0x7f800000", "best > 0x7f800000", "v"},
      {"nothing but -inf", "best <= static_cast<int>(0x807fffffu)",
       "best < static_cast<int>(0x807fffffu)", "v"},
      {"the last digit", "shift >= 0; shift", "shift > 0; shift", "v"},
  };
  Context context;
  std::map<std::string, Program> programs;
  programs.emplace("v", programOf(context, sampleRows(611, 4), "v"));
  expectFound(programs, plants);
}

TEST(Sample, StaysInItsBudget) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  Program program = programOf(context, sampleRows(611, 4), "v");
  std::vector<cuda::Kernel> kernels;
  for (auto &[name, kernel] : program.kernels)
    kernels.push_back(kernel);
  ASSERT_EQ(kernels.size(), 1u);
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100a"})
    for (auto &[name, resources] : resourcesInRegisters(*compiler, kernels, architecture))
      EXPECT_LE(resources.registers, 64u) << architecture; // two blocks a multiprocessor
}

} // namespace
} // namespace lmc::test
