#include "../codegen/SampleRows.h"
#include "../codegen_cuda/AttentionPrograms.h"
#include "Sanitized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc::test {
namespace {

constexpr const char *kProducts[] = {
    "f32_nn",
    "bf16_nt",
    "bf16_odd_tt",
    "rounded_nn",
    "f64_tiles",
    "few_bf16_nn",
    "few_f32_nt",
    "batch_nn",
    "heads",
    "bias_gelu_residual",
    "accumulate_in_place",
};

/// For sm_90a, by warpgroups.
Program byWarpgroups(Context &context, Source source,
                     std::vector<std::vector<double>> inputs = {}) {
  source.name += "_warpgroups";
  source.architecture = "sm_90a";
  Program program = makeProgram(context, source, source.name, std::move(inputs));
  std::string text;
  for (auto &[name, kernel] : program.kernels)
    text += kernel.text;
  EXPECT_THAT(text, testing::AnyOf(testing::HasSubstr("attentionForwardTiles"),
                                   testing::HasSubstr("multiplyByWarpgroups")));
  return program;
}

} // namespace

std::vector<Program> smallPrograms(Context &context) {
  std::vector<Program> programs = trainingSteps(context);
  for (const Source &source : sources())
    programs.push_back(makeProgram(context, source, source.name));
  for (const Source &source : productSources()) {
    if (llvm::is_contained(kProducts, source.name))
      programs.push_back(makeProgram(context, source, source.name));
    if (source.name == "prefill_bf16_131" || source.name == "prefill_bf16_nt_131")
      programs.push_back(byWarpgroups(context, source));
  }
  auto add = [&](const std::string &name, const AttentionProgram &program) {
    programs.push_back(makeProgram(context, program.source, name, program.inputs));
  };
  add("adjoints_bf16", attentionAdjoints("adjoints_bf16", {"bf16", 1, 75, 2, 1, 16, true}));
  add("adjoints_f32", attentionAdjoints("adjoints_f32", {"f32", 1, 39, 2, 1, 16, true}));
  add("decode", attentionOverCache("decode", {"f32", 1, 2, 4, 2, 16, true}, 200, 30));
  add("decode_parts",
      inParts(attentionOverCache("decode_parts", {"bf16", 1, 2, 4, 2, 16, true}, 200, 130), 3, 32));
  SampleRows draws(71);
  for (float temperature : {0.f, 1.f, 2.f}) {
    std::vector<float> row(71);
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = std::sin(static_cast<float>(7 * i));
    draws.add(row, {temperature, 40, 0.9f, Philox(2).bits64(programs.size())}, 67);
  }
  std::vector<std::vector<double>> operands;
  for (const lm::Tensor &operand : draws.operands())
    operands.push_back(operand.data);
  programs.push_back(makeProgram(context, {"draws", draws.text(), {}, 0}, "draws", operands));
  AttentionProgram wide = attentionForward("wide", {"bf16", 1, 150, 1, 1, 64, true});
  programs.push_back(byWarpgroups(context, wide.source, wide.inputs));
  AttentionProgram adjoints = attentionAdjoints("adjoints", {"bf16", 1, 150, 2, 1, 64, true});
  programs.push_back(byWarpgroups(context, adjoints.source, adjoints.inputs));
  return programs;
}

} // namespace lmc::test
