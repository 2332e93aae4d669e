// The mixes against what llama.cpp prints of published files: how many tensors have each type.
#include "frontend/gguf/QuantizationMix.h"

#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace lmc {
namespace {

using Counts = std::map<std::string, int>;

/// Types of a 7B Llama's tensors: 32 layers, 32 heads.
Counts countsOf(const char *mixName, int64_t kvHeads, bool tied = false) {
  const QuantizationMix &mix = quantizationMix(mixName);
  MixFacts facts{32, 32, kvHeads, tied, false};
  Counts counts;
  auto add = [&](const std::string &name, std::vector<int64_t> shape) {
    ++counts[std::string(nameOf(chooseType(mix, facts, name, shape, TensorType::F32).type))];
  };
  add("token_embd.weight", {32000, 4096});
  add("output_norm.weight", {4096});
  if (!tied)
    add("output.weight", {32000, 4096});
  for (int layer = 0; layer < 32; ++layer) {
    std::string at = "blk." + std::to_string(layer) + ".";
    for (const char *name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"})
      add(at + name + ".weight", {4096, 4096});
    add(at + "ffn_down.weight", {4096, 11008});
    add(at + "attn_norm.weight", {4096});
    add(at + "ffn_norm.weight", {4096});
  }
  return counts;
}

TensorChoice choice(const char *mix, const char *name, std::vector<int64_t> shape) {
  return chooseType(quantizationMix(mix), {8, 8, 8, true, false}, name, shape, TensorType::F32);
}

} // namespace

TEST(QuantizationMix, countsOfPublishedFiles) {
  EXPECT_EQ(countsOf("q4_k_m", 32), (Counts{{"F32", 65}, {"Q4_K", 193}, {"Q6_K", 33}}));
  EXPECT_EQ(countsOf("Q5_K_M", 32), (Counts{{"F32", 65}, {"Q5_K", 193}, {"Q6_K", 33}}));
  EXPECT_EQ(countsOf("q4_k_s", 32), (Counts{{"F32", 65}, {"Q4_K", 217}, {"Q5_K", 8}, {"Q6_K", 1}}));
  EXPECT_EQ(countsOf("q5_k_s", 32), (Counts{{"F32", 65}, {"Q5_K", 225}, {"Q6_K", 1}}));
  EXPECT_EQ(countsOf("q3_k_m", 32),
            (Counts{{"F32", 65}, {"Q3_K", 129}, {"Q4_K", 92}, {"Q5_K", 4}, {"Q6_K", 1}}));
  EXPECT_EQ(countsOf("q2_k", 8),
            (Counts{{"F32", 65}, {"Q2_K", 129}, {"Q3_K", 64}, {"Q4_K", 32}, {"Q6_K", 1}}));
  EXPECT_EQ(countsOf("q6_k", 8), (Counts{{"F32", 65}, {"Q6_K", 226}}));
  EXPECT_EQ(countsOf("q4_0", 32), (Counts{{"F32", 65}, {"Q4_0", 225}, {"Q6_K", 1}}));
  EXPECT_EQ(countsOf("q8_0", 32), (Counts{{"F32", 65}, {"Q8_0", 226}}));
  EXPECT_EQ(countsOf("f16", 32), (Counts{{"F32", 65}, {"F16", 226}}));
  // Without output.weight the embedding is the head.
  EXPECT_EQ(countsOf("q4_k_m", 32, true), (Counts{{"F32", 65}, {"Q4_K", 192}, {"Q6_K", 33}}));
}

// Mixtral 8x7B's, and the same with more experts.
TEST(QuantizationMix, expertsHaveRulesOfTheirOwn) {
  auto counts = [](const char *mixName, int64_t experts) {
    const QuantizationMix &mix = quantizationMix(mixName);
    MixFacts facts{32, 32, 8, false, false, experts};
    Counts result;
    auto add = [&](const std::string &name, std::vector<int64_t> shape) {
      ++result[std::string(nameOf(chooseType(mix, facts, name, shape, TensorType::F32).type))];
    };
    add("token_embd.weight", {32000, 4096});
    add("output.weight", {32000, 4096});
    for (int layer = 0; layer < 32; ++layer) {
      std::string at = "blk." + std::to_string(layer) + ".";
      for (const char *name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        add(at + name + ".weight", {4096, 4096});
      add(at + "ffn_gate_inp.weight", {experts, 4096});
      for (const char *name : {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"})
        add(at + name + ".weight", {experts, 4096, 4096});
    }
    return result;
  };
  EXPECT_EQ(counts("q4_k_m", 8),
            (Counts{{"F32", 32}, {"Q8_0", 64}, {"Q5_K", 32}, {"Q6_K", 17}, {"Q4_K", 113}}));
  EXPECT_EQ(counts("q4_k_m", 128), (Counts{{"F32", 32}, {"Q6_K", 33}, {"Q4_K", 193}}));
  EXPECT_EQ(counts("q3_k_l", 8),
            (Counts{{"F32", 32}, {"Q8_0", 64}, {"Q5_K", 32}, {"Q6_K", 1}, {"Q3_K", 129}}));
  EXPECT_EQ(counts("mxfp4", 128), (Counts{{"F32", 32}, {"MXFP4", 96}, {"Q8_0", 130}}));
  EXPECT_EQ(counts("f16", 8), (Counts{{"F32", 32}, {"F16", 226}}));
}

TEST(QuantizationMix, rowsThatDoNotFit) {
  struct Case {
    const char *mix;
    int64_t columns;
    TensorType type;
    std::optional<TensorType> wanted;
  };
  using enum TensorType;
  const Case cases[] = {
      {"q4_k_m", 256, Q4_K, {}},  {"q4_k_m", 288, Q5_0, Q4_K}, {"q5_k_m", 288, Q5_1, Q5_K},
      {"q6_k", 288, Q8_0, Q6_K},  {"q3_k_s", 288, Q4_0, Q3_K}, {"q2_k", 288, Q4_0, Q2_K},
      {"q4_k_m", 172, F16, Q4_K}, {"q8_0", 172, F16, Q8_0},    {"f16", 172, F16, {}},
  };
  for (const Case &c : cases) {
    TensorChoice got = choice(c.mix, "blk.3.attn_q.weight", {64, c.columns});
    EXPECT_EQ(got.type, c.type) << c.mix << " " << c.columns;
    EXPECT_EQ(got.wanted, c.wanted) << c.mix << " " << c.columns;
  }
  // The head is Q8_0 rather than what stands in for Q6_K.
  EXPECT_EQ(choice("q4_k_m", "token_embd.weight", {40, 288}).type, Q8_0);
}

TEST(QuantizationMix, smallTensorsStayAsTheyAre) {
  using enum TensorType;
  EXPECT_EQ(choice("q4_0", "position_embd.weight", {64, 256}).type, F32);
  EXPECT_EQ(choice("q4_0", "blk.0.attn_q.bias", {256}).type, F32);
  EXPECT_EQ(choice("f16", "blk.0.attn_norm.weight", {256}).type, F32);
  auto stored = [](TensorType type) {
    return chooseType(quantizationMix("q8_0"), {}, "x_norm.weight", std::vector<int64_t>{64}, type)
        .type;
  };
  EXPECT_EQ(stored(BF16), F32);
  EXPECT_EQ(stored(I32), I32);
}

TEST(QuantizationMix, unknownTypesAreNamed) {
  try {
    quantizationMix("q4_x");
    FAIL();
  } catch (const UsageError &error) {
    EXPECT_THAT(error.what(),
                testing::StartsWith("type 'q4_x' is unknown; known are f32, f16, bf16"));
  }
}

} // namespace lmc
