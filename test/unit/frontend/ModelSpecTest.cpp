#include "frontend/ModelConfig.h"

#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <fstream>

namespace lmc {
namespace {

TEST(ModelSpec, Defaults) {
  ModelConfig c = readModelSpec(
      YAML::Load("{architecture: gpt2, layers: 4, width: 128, heads: 4, vocab: 256, context: 64}"),
      "a.yaml");
  EXPECT_EQ(c.kvHeads, 4);
  EXPECT_EQ(c.headDim, 32);
  EXPECT_EQ(c.ffnWidth, 512);
  EXPECT_TRUE(c.tiedHead);
  EXPECT_EQ(c.activation, Activation::GeluTanh);
  EXPECT_TRUE(c.biases);
  c = readModelSpec(YAML::Load("{architecture: llama, layers: 4, width: 64, heads: 4, kv_heads: 2, "
                               "vocab: 256, context: 64, eos_id: [2, 5], bos_id: 1}"),
                    "a.yaml");
  EXPECT_EQ(c.ffnWidth, 192); // 8/3 * 64 = 170.67, up to a multiple of 32
  EXPECT_FALSE(c.tiedHead);
  EXPECT_EQ(c.rope.theta, 10000);
  EXPECT_EQ(c.bosId, 1);
  EXPECT_EQ(c.eosIds, (std::vector<int64_t>{2, 5}));
}

struct Case {
  const char *spec, *message;
};

class Refusal : public testing::TestWithParam<Case> {};

TEST_P(Refusal, NamesPlaceAndReason) {
  try {
    readModelSpec(YAML::Load(GetParam().spec), "m.yaml");
    FAIL() << "accepted:\n" << GetParam().spec;
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), GetParam().message);
  }
}

// Lines 1 to 6 of a complete spec; cases add or replace line 7.
#define BASE "architecture: gpt2\nlayers: 2\nwidth: 128\nvocab: 256\ncontext: 64\n"
#define MIXTRAL "architecture: mixtral\nlayers: 2\nwidth: 128\nvocab: 256\ncontext: 64\nheads: 4\n"
#define LLAMA "architecture: llama\nlayers: 2\nwidth: 128\nvocab: 256\ncontext: 64\n"

INSTANTIATE_TEST_SUITE_P(
    , Refusal,
    testing::Values(
        Case{BASE "heads: 5\n", "m.yaml:6: heads (5) must divide width (128)"},
        Case{BASE "heads: 4\nfnn_width: 9\n",
             "m.yaml:7: unknown key 'fnn_width', did you mean 'ffn_width'?"},
        Case{BASE "heads: 4\nzzzzzzzzz: 9\n", "m.yaml:7: unknown key 'zzzzzzzzz'"},
        Case{BASE, "m.yaml: 'heads' is missing"},
        Case{BASE "heads: 0\n",
             "m.yaml:6: heads: expected a whole number in [1, 1048576], got '0'"},
        Case{BASE "heads: 4.0\n",
             "m.yaml:6: heads: expected a whole number in [1, 1048576], got '4.0'"},
        Case{BASE "heads: '4'\n",
             "m.yaml:6: heads: expected a whole number in [1, 1048576], got '4'"},
        Case{BASE "heads: 99999999999999999999\n",
             "m.yaml:6: heads: expected a whole number in [1, "
             "1048576], got '99999999999999999999'"},
        Case{BASE "heads: [4]\n", "m.yaml:6: heads: expected a whole number in [1, 1048576], got a "
                                  "list or a mapping"},
        Case{BASE "heads: 4\nheads: 4\n", "m.yaml:7: 'heads' is given twice"},
        Case{BASE "heads: 4\nkv_heads: 2\n", "m.yaml:7: kv_heads (2) must equal heads (4) in gpt2"},
        Case{BASE "heads: 4\nhead_dim: 16\n",
             "m.yaml:7: head_dim (16) times heads (4) must be width (128) in gpt2"},
        Case{BASE "heads: 4\nnorm_eps: 0\n", "m.yaml:7: norm_eps: expected a number > 0, got '0'"},
        Case{BASE "heads: 4\nnorm_eps: nan\n",
             "m.yaml:7: norm_eps: expected a number > 0, got 'nan'"},
        Case{BASE "heads: 4\nactivation: gelu_tan\n", "m.yaml:7: activation: expected one of gelu, "
                                                      "gelu_tanh, silu, relu, got 'gelu_tan', did "
                                                      "you mean 'gelu_tanh'?"},
        Case{BASE "heads: 4\ntied_head: maybe\n",
             "m.yaml:7: tied_head: expected true or false, got 'maybe'"},
        Case{BASE "heads: 4\nbos_id: 256\n",
             "m.yaml:7: bos_id: expected a whole number in [0, 255], got '256'"},
        Case{BASE "heads: 4\neos_id: [1, 256]\n",
             "m.yaml:7: eos_id: expected a whole number in [0, 255], got '256'"},
        Case{BASE "heads: 4\nrope_theta: 5\n",
             "m.yaml:7: rope_theta: gpt2 has learned positions, and attention over all of them"},
        Case{BASE "heads: 4\npooling: mean\n", "m.yaml:7: unknown key 'pooling'"},
        Case{LLAMA "heads: 4\nkv_heads: 3\n", "m.yaml:7: kv_heads (3) must divide heads (4)"},
        Case{LLAMA "heads: 4\nhead_dim: 15\n",
             "m.yaml:7: head_dim (15) must be even for rotary positions"},
        Case{LLAMA "heads: 4\nbiases: true\n",
             "m.yaml:7: biases: llama has none in its norms and head; see attention_biases and "
             "mlp_biases"},
        Case{LLAMA "heads: 4\nactivation: relu\n",
             "m.yaml:7: activation: llama has silu, got 'relu'"},
        Case{LLAMA "heads: 4\nexperts: 8\n",
             "m.yaml:7: experts: llama has plain MLPs; mixtral and qwen3_moe have experts"},
        Case{MIXTRAL "experts: 3\nexperts_per_token: 4\n",
             "m.yaml: a token takes 1 to 3 of the experts, got 4"},
        Case{MIXTRAL "expert_width: 32\n", "m.yaml: every layer of mixtral has experts as wide as "
                                           "ffn_width (352), with weights that "
                                           "add up to 1; qwen3_moe leaves the choice"},
        Case{"architecture: gtp2\n",
             "m.yaml:1: architecture: expected one of gpt2, llama, mistral, "
             "qwen2, qwen3, qwen3_moe, mixtral, phi3, gemma2, gemma3, bert, layers, mlir, got "
             "'gtp2', did you mean 'gpt2'?"},
        Case{"width: 4\n", "m.yaml: 'architecture' is missing: expected one of gpt2, llama, "
                           "mistral, qwen2, qwen3, qwen3_moe, mixtral, phi3, "
                           "gemma2, gemma3, bert, layers, mlir"},
        Case{"[1, 2]", "m.yaml: expected a mapping of keys such as 'architecture' and 'width'"},
        Case{"", "m.yaml: expected a mapping of keys such as 'architecture' and 'width'"},
        Case{"inputs: 4\nclasses: 2\nlayers:\n  - linear: {width: 5}\n  - rellu\n",
             "m.yaml:5: layers: expected one of linear, layer_norm, rms_norm, gelu, gelu_tanh, "
             "silu, "
             "relu, got 'rellu', did you mean 'relu'?"},
        Case{"inputs: 4\nclasses: 2\nlayers:\n  - linear: {width: 5, biass: true}\n",
             "m.yaml:4: unknown key 'biass', did you mean 'bias'?"},
        Case{"inputs: 4\nclasses: 2\nlayers:\n  - linear\n",
             "m.yaml:4: layers: linear needs a width, as in {linear: {width: 64}}"},
        Case{"inputs: 4\nlayers: [relu]\n", "m.yaml: 'classes' is missing"}));

TEST(ModelSpec, CanonicalTextIsReadBack) {
  for (const char *spec :
       {BASE "heads: 4\nbos_id: 3\neos_id: [1, 7]\nnorm_eps: 1.0e-6\nbiases: false\n",
        LLAMA "heads: 4\nkv_heads: 2\nrope_theta: 500000.0\ntied_head: true\n",
        "inputs: 4\nclasses: 2\nlayers: [linear: {width: 5, bias: false}, relu, layer_norm]\n",
        MIXTRAL "experts: 5\nexperts_per_token: 3\n",
        "architecture: qwen3_moe\nlayers: 3\nwidth: 128\nvocab: 256\ncontext: 64\nheads: 4\n"
        "expert_width: 48\nnormalize_experts: false\ndense_layers: [0, 2]\n",
        "architecture: bert\nlayers: 2\nwidth: 128\nvocab: 256\ncontext: 64\nheads: 4\n"
        "token_types: 3\npooling: first\nnormalize: true\n",
        "inputs: 4\nclasses: 2\nlayers: []\n"}) {
    ModelConfig config = readModelSpec(YAML::Load(spec), "m.yaml");
    std::string text = canonicalSpec(config);
    ModelConfig again = readModelSpec(YAML::Load(text), "m.yaml");
    EXPECT_TRUE(config == again) << text;
    EXPECT_EQ(canonicalSpec(again), text);
  }
}

TEST(ModelSpec, FilesThatCannotBeRead) {
  EXPECT_THROW(readModelConfig("no/such/file.yaml"), Error);
  EXPECT_THROW(readModelConfig("no/such/file.mlir"), Error);
  std::string file = testing::TempDir() + "broken-spec.yaml";
  std::ofstream(file) << "architecture: gpt2\nlayers: [1,\n";
  try {
    readModelConfig(file);
    FAIL();
  } catch (const Error &error) {
    EXPECT_TRUE(std::string(error.what()).starts_with(file + ":3: ")) << error.what();
  }
}

} // namespace
} // namespace lmc
