#include "frontend/ModelConfig.h"

#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <fstream>

namespace lmc {
namespace {

ModelConfig read(const std::string &text) {
  std::string file = testing::TempDir() + "config.json";
  std::ofstream(file) << text;
  return readModelConfig(file);
}

const std::string gpt2 = R"({
  "model_type": "gpt2",
  "n_layer": 2,
  "n_embd": 64,
  "n_head": 4,
  "n_positions": 32,
  "vocab_size": 100)";
const std::string llama = R"({
  "model_type": "llama",
  "hidden_size": 64,
  "intermediate_size": 96,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "vocab_size": 100,
  "max_position_embeddings": 32)";

TEST(HuggingFaceConfig, Gpt2) {
  ModelConfig c = read(gpt2 + R"(, "activation_function": "gelu", "resid_pdrop": 0.1,
    "task_specific_params": {"text-generation": {"n_head": 9}}, "n_inner": null,
    "eos_token_id": 99})");
  EXPECT_EQ(c.architecture, Architecture::Gpt2);
  EXPECT_EQ(c.headDim, 16);
  EXPECT_EQ(c.ffnWidth, 256);
  EXPECT_EQ(c.activation, Activation::GeluExact);
  EXPECT_EQ(c.normEps, 1e-5);
  EXPECT_TRUE(c.tiedHead);
  EXPECT_EQ(c.eosIds, std::vector<int64_t>{99});
}

TEST(HuggingFaceConfig, Llama) {
  ModelConfig c = read(llama + R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
    "attention_bias": false, "eos_token_id": [7, 9], "rope_scaling": null})");
  EXPECT_EQ(c.headDim, 16);
  EXPECT_EQ(c.kvHeads, 2);
  EXPECT_EQ(c.normEps, 1e-6);
  EXPECT_EQ(c.ropeTheta, 5e5);
  EXPECT_FALSE(c.tiedHead);
  EXPECT_EQ(c.eosIds, (std::vector<int64_t>{7, 9}));
}

TEST(HuggingFaceConfig, WrittenTextIsReadBack) {
  for (const std::string &text :
       {gpt2 + R"(, "bos_token_id": 5, "layer_norm_epsilon": 1e-6, "lmc_biases": false})",
        llama + R"(, "head_dim": 32, "eos_token_id": [1, 2], "tie_word_embeddings": true})"}) {
    ModelConfig config = read(text);
    EXPECT_TRUE(read(huggingFaceConfig(config)) == config) << huggingFaceConfig(config);
  }
  ModelConfig list = readModelSpec(YAML::Load("{inputs: 3, classes: 2, layers: [relu]}"), "a");
  EXPECT_TRUE(read(huggingFaceConfig(list)) == list);
}

struct Case {
  const char *name;
  std::string text, message;
};

class HuggingFaceRefusal : public testing::TestWithParam<Case> {};

TEST_P(HuggingFaceRefusal, NamesPlaceAndReason) {
  try {
    read(GetParam().text);
    FAIL() << "accepted:\n" << GetParam().text;
  } catch (const Error &error) {
    EXPECT_EQ(error.what(), testing::TempDir() + "config.json" + GetParam().message);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , HuggingFaceRefusal,
    testing::Values(
        Case{"Scaling", llama + ",\n\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}",
             ":10: rope_scaling: factor = 2 is not supported"},
        Case{"AttentionBias", llama + ",\n\"attention_bias\": true}",
             ":10: attention_bias = true is not supported"},
        Case{"LayerScale", gpt2 + ",\n\"scale_attn_by_inverse_layer_idx\": true}",
             ":8: scale_attn_by_inverse_layer_idx = true is not supported"},
        Case{"NoScale", gpt2 + ",\n\"scale_attn_weights\": false}",
             ":8: scale_attn_weights = false is not supported"},
        Case{"Activation", llama + ",\n\n\"hidden_act\": \"quick_gelu\"}",
             ":11: hidden_act: activation 'quick_gelu' is not supported"},
        Case{"Gelu", llama + ",\n\"hidden_act\": \"gelu\"}",
             ":10: hidden_act: expected silu, got 'gelu'"},
        Case{"Misspelt", llama + ",\n\"rope_tetha\": 5.0}",
             ":10: unknown key 'rope_tetha', did you mean 'rope_theta'?"},
        Case{"Unknown", gpt2 + ",\n\"sliding_window\": 128}", ":8: unknown key 'sliding_window'"},
        Case{"Twice", gpt2 + ",\n\"n_head\": 2}", ":8: 'n_head' is given twice"},
        Case{"Heads", R"({"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_positions": 8,
                        "vocab_size": 9, "n_head": 5})",
             ":2: n_head (5) must divide n_embd (64)"},
        Case{"Eos", gpt2 + ",\n\"eos_token_id\": 100}",
             ":7: end-of-text id 100 is outside the vocabulary of 100"},
        Case{"EosList", gpt2 + ",\n\"eos_token_id\": [-1]}",
             ":8: eos_token_id: expected ids in [0, 100), got -1"},
        Case{"Family", "{\n\"model_type\": \"bert\"}",
             ":2: model_type 'bert' is not supported: expected gpt2 or llama"},
        Case{"Missing", "{}", ": 'model_type' is missing"},
        Case{"Truncated", "{\n\"model_type\": \"gp", ":2: not valid JSON"},
        Case{"List", "[]", ": expected a JSON object"}),
    [](const auto &info) { return info.param.name; });

} // namespace
} // namespace lmc
