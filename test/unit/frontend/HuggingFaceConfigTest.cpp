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

std::string family(const std::string &type) {
  std::string text = llama;
  return text.replace(text.find("llama"), 5, type);
}
const std::string mistral = family("mistral"), phi3 = family("phi3"), gemma2 = family("gemma2"),
                  gemma3 = family("gemma3_text"), mixtral = family("mixtral"),
                  qwen3Moe = family("qwen3_moe");

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
  EXPECT_EQ(c.rope.theta, 5e5);
  EXPECT_FALSE(c.tiedHead);
  EXPECT_EQ(c.eosIds, (std::vector<int64_t>{7, 9}));
}

TEST(HuggingFaceConfig, DefaultsOfEachFamily) {
  ModelConfig c = read(mistral + "}");
  EXPECT_EQ(c.window, 4096);
  EXPECT_EQ(c.windowLayers, (std::vector<int64_t>{0, 1, 2}));
  c = read(family("qwen2") + "}");
  EXPECT_EQ(c.window, 0);
  EXPECT_FALSE(c.tiedHead);
  c = read(phi3 + "}");
  EXPECT_EQ(c.normEps, 1e-5);
  EXPECT_EQ(c.window, 0);
  c = read(gemma2 + "}");
  EXPECT_EQ(c.headDim, 256);
  EXPECT_EQ(c.queryScalar, 256);
  EXPECT_EQ(c.attentionCap, 50);
  EXPECT_EQ(c.logitCap, 30);
  EXPECT_EQ(c.windowLayers, (std::vector<int64_t>{0, 2}));
  EXPECT_TRUE(c.tiedHead);
  EXPECT_EQ(c.activation, Activation::GeluTanh);
  c = read(gemma3 + R"(, "sliding_window_pattern": 3})");
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.localRopeTheta, 1e4);
  EXPECT_EQ(c.attentionCap, 0);
  EXPECT_EQ(c.windowLayers, (std::vector<int64_t>{0, 1}));
  c = read(mixtral + "}");
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.window, 0);
  EXPECT_EQ(c.mixture, (MixtureConfig{.experts = 8, .perToken = 2, .width = 96}));
  c = read(qwen3Moe + "}");
  EXPECT_EQ(c.headDim, 16);
  EXPECT_EQ(c.window, 0);
  EXPECT_EQ(c.mixture,
            (MixtureConfig{.experts = 128, .perToken = 8, .width = 768, .normalized = false}));
}

TEST(HuggingFaceConfig, LayersWithExperts) {
  auto dense = [](const std::string &keys) {
    return read(qwen3Moe + keys + "}").mixture.denseLayers;
  };
  EXPECT_EQ(dense(R"(, "mlp_only_layers": [2, 1])"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(dense(R"(, "decoder_sparse_step": 2)"), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(dense(R"(, "decoder_sparse_step": 2, "mlp_only_layers": [1])"),
            (std::vector<int64_t>{0, 1, 2}));
}

const std::string bert = R"({
  "model_type": "bert",
  "hidden_size": 60,
  "num_hidden_layers": 3,
  "num_attention_heads": 5,
  "vocab_size": 100)";

TEST(HuggingFaceConfig, Bert) {
  ModelConfig c = read(bert + R"(, "hidden_dropout_prob": 0.1, "type_vocab_size": 3})");
  EXPECT_TRUE(c.isEncoder());
  EXPECT_FALSE(c.isLanguageModel());
  EXPECT_EQ(c.headDim, 12);
  EXPECT_EQ(c.context, 512);
  EXPECT_EQ(c.normEps, 1e-12);
  EXPECT_EQ(c.activation, Activation::GeluExact);
  EXPECT_EQ(c.encoder, (EncoderConfig{.tokenTypes = 3}));
}

/// What a folder says whose modules.json and pooling are these.
EncoderConfig readModules(const std::string &modules, const std::string &pooling) {
  std::filesystem::path folder = testing::TempDir() + "sentence_transformer";
  std::filesystem::create_directories(folder / "1_Pooling");
  std::ofstream(folder / "config.json") << bert << "}";
  std::ofstream(folder / "modules.json") << modules;
  std::ofstream(folder / "1_Pooling/config.json") << pooling;
  return readModelConfig(folder).encoder;
}

TEST(HuggingFaceConfig, PoolingOfSentenceTransformers) {
  const std::string first = R"([{"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"})";
  const std::string cls = R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})";
  EXPECT_EQ(readModules(first + "]", cls), (EncoderConfig{.pooling = Pooling::First}));
  EXPECT_EQ(readModules(first + R"(, {"type": "a.Normalize"}])", R"({"pooling_mode": "mean"})"),
            (EncoderConfig{.pooling = Pooling::Mean, .normalized = true}));
  auto refusal = [&](const std::string &modules, const std::string &pooling) -> std::string {
    try {
      readModules(modules, pooling);
    } catch (const Error &error) {
      return std::filesystem::path(error.what()).filename();
    }
    return "";
  };
  EXPECT_EQ(refusal(first + R"(, {"type": "a.Dense"}])", cls),
            "modules.json: module 'a.Dense' is not supported: expected Transformer, Pooling or "
            "Normalize");
  EXPECT_EQ(
      refusal(first + "]", R"({"pooling_mode_max_tokens": true})"),
      "config.json: pooling 'max_tokens' is not supported: expected mean_tokens or cls_token");
  EXPECT_EQ(refusal(R"([{"type": "Pooling", "path": "../x"}])", cls),
            "x' of a module leaves the folder");
}

TEST(HuggingFaceConfig, WrittenTextIsReadBack) {
  for (const std::string &text :
       {gpt2 + R"(, "bos_token_id": 5, "layer_norm_epsilon": 1e-6, "lmc_biases": false})",
        llama + R"(, "head_dim": 32, "eos_token_id": [1, 2], "tie_word_embeddings": true})",
        llama + R"(, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 16}, "mlp_bias": true})",
        mistral + R"(, "sliding_window": null})", mistral + "}",
        family("qwen2") + R"(, "use_sliding_window": true, "max_window_layers": 1,
          "rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5,
          "original_max_position_embeddings": 8}})",
        family("qwen3") + R"(, "attention_bias": true, "head_dim": 18})",
        bert + R"(, "hidden_act": "relu", "lmc_pooling": "first", "lmc_normalize": true})",
        mixtral + R"(, "num_local_experts": 5, "num_experts_per_tok": 3, "sliding_window": 7,
          "router_jitter_noise": 0.0, "router_aux_loss_coef": 0.02, "output_router_logits": false})",
        qwen3Moe + R"(, "num_experts": 5, "num_experts_per_tok": 3, "moe_intermediate_size": 24,
          "norm_topk_prob": true, "decoder_sparse_step": 2, "use_sliding_window": true})",
        phi3 + R"(, "original_max_position_embeddings": 8, "partial_rotary_factor": 0.25,
          "rope_scaling": {"type": "su", "short_factor": [1, 2], "long_factor": [1.5, 2.5]}})",
        gemma2 + R"(, "query_pre_attn_scalar": 144, "hidden_act": "gelu"})",
        gemma3 + R"(, "rope_theta": 5e5, "rope_local_base_freq": 7e3, "sliding_window": 5,
          "sliding_window_pattern": 2, "rope_scaling": {"rope_type": "linear", "factor": 8.0}})",
        gemma3 + R"(, "rope_parameters": {"sliding_attention": {"rope_theta": 9e3},
          "full_attention": {"rope_type": "default", "rope_theta": 2e6}}})"}) {
    ModelConfig config = read(text);
    EXPECT_TRUE(read(huggingFaceConfig(config)) == config) << huggingFaceConfig(config);
    EXPECT_TRUE(readModelSpec(YAML::Load(canonicalSpec(config)), "a") == config)
        << canonicalSpec(config);
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
        Case{"Scaling", llama + ",\n\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}",
             ":10: rope_scaling: rope_type 'dynamic' is not supported: expected default, linear, "
             "llama3, yarn or longrope"},
        Case{"ScalingKey", llama + ",\n\"rope_scaling\": {\"type\": \"linear\", \"factr\": 2}}",
             ":10: rope_scaling: unknown key 'factr', did you mean 'factor'?"},
        Case{"ScalingFactor",
             llama + ",\n\"rope_scaling\": {\"type\": \"linear\", \"factor\": -2}}",
             ":10: rope_scaling: factor: expected a number > 0, got '-2'"},
        Case{"ScalingTwice",
             llama + ",\n\"rope_parameters\": {\"rope_type\": \"default\"},\n\"rope_scaling\": {}}",
             ":11: rope_scaling and rope_parameters are given; transformers writes one"},
        Case{"AttentionBias", mistral + ",\n\"attention_bias\": true}",
             ":10: attention_bias = true is not supported"},
        Case{"LongFactors",
             phi3 + ",\n\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1], "
                    "\"long_factor\": [1, 2]}}",
             ": rope scaling longrope needs 8 short factors, one for each pair of features, got 1"},
        Case{"LayerTypes", gemma3 + ",\n\"layer_types\": [\"full_attention\"]}",
             ":10: layer_types: expected a list of 3 words, one for each layer"},
        Case{"LayerType", gemma3 + ",\n\"layer_types\": [\"full_attention\", \"chunked\", 3]}",
             ":10: layer_types: expected full_attention or sliding_attention, got \"chunked\""},
        Case{"Cap", gemma3 + ",\n\"attn_logit_softcapping\": 3.0}",
             ":10: attn_logit_softcapping: transformers leaves it out in gemma3; expected null"},
        Case{"Images", "{\"model_type\": \"gemma3\"}",
             ":1: model_type 'gemma3' is text and images; the text model alone has model_type "
             "'gemma3_text'"},
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
        Case{"Decoder", bert + ",\n\"is_decoder\": true}",
             ":7: is_decoder = true is not supported"},
        Case{"Positions", bert + ",\n\"position_embedding_type\": \"relative_key\"}",
             ":7: position_embedding_type: expected absolute, got 'relative_key'"},
        Case{"Family", "{\n\"model_type\": \"roberta\"}",
             ":2: model_type 'roberta' is not supported: expected one of gpt2, bert, llama, "
             "mistral, qwen2, "
             "qwen3, qwen3_moe, mixtral, phi3, gemma2, gemma3_text"},
        Case{"Experts", mixtral + ",\n\"num_local_experts\": 3, \"num_experts_per_tok\": 4}",
             ":10: num_experts_per_tok: expected a whole number in [1, 3], got '4'"},
        Case{"Jitter", mixtral + ",\n\"router_jitter_noise\": 0.1}",
             ":10: router_jitter_noise: expected 0, got 0.1; training draws no noise"},
        Case{"AuxiliaryLoss", qwen3Moe + ",\n\"output_router_logits\": true}",
             ":10: output_router_logits = true is not supported"},
        Case{"PlainLayers", qwen3Moe + ",\n\"mlp_only_layers\": [\"all\"]}",
             ":10: mlp_only_layers: expected a list of whole numbers"},
        Case{"Missing", "{}", ": 'model_type' is missing"},
        Case{"Truncated", "{\n\"model_type\": \"gp", ":2: not valid JSON"},
        Case{"List", "[]", ": expected a JSON object"}),
    [](const auto &info) { return info.param.name; });

} // namespace
} // namespace lmc
