// config.json of Llama and the families like it. Source: transformers, LlamaConfig, MistralConfig,
// Qwen2Config, Qwen3Config, Phi3Config, Gemma2Config, Gemma3TextConfig, MixtralConfig, Qwen3MoeConfig
// (field names and defaults).
#include "frontend/DecoderSpec.h"
#include "frontend/ModelLimits.h"
#include "frontend/huggingface/ConfigFile.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lmc::huggingface {
namespace {

using nlohmann::json;

enum class Windows {
  None,
  Always,   ///< sliding_window holds for every layer
  Gated,    ///< the same where use_sliding_window says so
  Optional, ///< the same where use_sliding_window says so, from max_window_layers on, or layer_types
  Alternate, ///< sliding_window_pattern or layer_types: all layers but each n-th
};

struct Family {
  std::string_view type, className;
  Architecture architecture;
  double theta = 10000;
  double normEps = 1e-6;
  bool tied = false;
  int64_t headDim = 0, kvHeads = 0; ///< where they are left out; 0: width / heads, heads
  Windows windows = Windows::None;
  int64_t window = 0;                          ///< where sliding_window is left out
  int64_t pattern = 0;                         ///< where sliding_window_pattern is
  bool attentionBias = false, mlpBias = false; ///< attention_bias and mlp_bias are keys of it
  int64_t experts = 0, perToken = 0, expertWidth = 0; ///< where they are left out
};

constexpr std::array families = {
    Family{.type = "llama",
           .className = "LlamaForCausalLM",
           .architecture = Architecture::Llama,
           .attentionBias = true,
           .mlpBias = true},
    Family{.type = "mistral",
           .className = "MistralForCausalLM",
           .architecture = Architecture::Mistral,
           .kvHeads = 8,
           .windows = Windows::Always,
           .window = 4096},
    Family{.type = "qwen2",
           .className = "Qwen2ForCausalLM",
           .architecture = Architecture::Qwen2,
           .windows = Windows::Optional,
           .window = 4096},
    Family{.type = "qwen3",
           .className = "Qwen3ForCausalLM",
           .architecture = Architecture::Qwen3,
           .headDim = 128,
           .windows = Windows::Optional,
           .window = 4096,
           .attentionBias = true},
    Family{.type = "qwen3_moe",
           .className = "Qwen3MoeForCausalLM",
           .architecture = Architecture::Qwen3Moe,
           .kvHeads = 4,
           .windows = Windows::Gated,
           .window = 4096,
           .attentionBias = true,
           .experts = 128,
           .perToken = 8,
           .expertWidth = 768},
    Family{.type = "mixtral",
           .className = "MixtralForCausalLM",
           .architecture = Architecture::Mixtral,
           .theta = 1e6,
           .normEps = 1e-5,
           .kvHeads = 8,
           .windows = Windows::Always,
           .experts = 8,
           .perToken = 2},
    Family{.type = "phi3",
           .className = "Phi3ForCausalLM",
           .architecture = Architecture::Phi3,
           .normEps = 1e-5,
           .windows = Windows::Always},
    Family{.type = "gemma2",
           .className = "Gemma2ForCausalLM",
           .architecture = Architecture::Gemma2,
           .tied = true,
           .headDim = 256,
           .kvHeads = 4,
           .windows = Windows::Alternate,
           .window = 4096,
           .pattern = 2,
           .attentionBias = true},
    Family{.type = "gemma3_text",
           .className = "Gemma3ForCausalLM",
           .architecture = Architecture::Gemma3,
           .theta = 1e6,
           .tied = true,
           .headDim = 256,
           .kvHeads = 4,
           .windows = Windows::Alternate,
           .window = 4096,
           .pattern = 6,
           .attentionBias = true},
};

const Family &familyOf(Architecture architecture) {
  return *std::ranges::find(families, architecture, &Family::architecture);
}

bool isGemma(Architecture a) { return a == Architecture::Gemma2 || a == Architecture::Gemma3; }

void check(const ConfigFile &file, const Family &family, const DecoderStyle &style) {
  std::vector<std::string_view> known = {
      "bos_token_id",        "eos_token_id",        "head_dim",
      "hidden_size",         "intermediate_size",   "max_position_embeddings",
      "model_type",          "num_attention_heads", "num_hidden_layers",
      "num_key_value_heads", "rms_norm_eps",        "tie_word_embeddings",
      "vocab_size"};
  auto allow = [&](std::initializer_list<std::string_view> keys) {
    known.insert(known.end(), keys);
  };
  for (std::string_view key : ropeKeys(style))
    known.push_back(key);
  if (family.windows != Windows::None)
    allow({"sliding_window"});
  if (family.windows == Windows::Optional)
    allow({"use_sliding_window", "max_window_layers", "layer_types"});
  if (family.windows ==
      Windows::Gated) // transformers has max_window_layers too, and does not read it
    allow({"use_sliding_window", "max_window_layers"});
  if (family.windows == Windows::Alternate)
    allow({"sliding_window_pattern", "_sliding_window_pattern", "layer_types",
           "cache_implementation"});
  allow({"hidden_act"});
  if (isGemma(family.architecture))
    allow({"hidden_activation", "query_pre_attn_scalar", "final_logit_softcapping",
           "attn_logit_softcapping"});
  std::vector<FixedKey> fixed = {{"is_encoder_decoder", false}};
  if (style.experts) {
    allow({"num_experts_per_tok", "num_local_experts", "num_experts"});
    if (style.experts->isFixed)
      allow({"router_jitter_noise"});
    else
      allow({"moe_intermediate_size", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers"});
    // The loss that balances experts is added only where the router's logits are asked for.
    allow({"router_aux_loss_coef"});
    fixed.push_back({"output_router_logits", false});
  }
  if (isGemma(family.architecture))
    fixed.push_back({"use_bidirectional_attention", false});
  if (family.attentionBias)
    allow({"attention_bias"});
  else
    fixed.push_back({"attention_bias", false});
  if (family.mlpBias)
    allow({"mlp_bias"});
  else
    fixed.push_back({"mlp_bias", false});
  checkKeys(file, std::move(known), fixed);
}

/// Which layers have the window, by `layer_types`.
std::vector<int64_t> readLayerTypes(const ConfigFile &file, const ModelConfig &c) {
  const json &types = file.root.at("layer_types");
  if (!types.is_array() || static_cast<int64_t>(types.size()) != c.layers)
    file.fields.bad("layer_types", "layer_types: expected a list of {} words, one for each layer",
                    c.layers);
  std::vector<int64_t> layers;
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == "sliding_attention")
      layers.push_back(static_cast<int64_t>(i));
    else if (types[i] != "full_attention")
      file.fields.bad("layer_types",
                      "layer_types: expected full_attention or sliding_attention, got {}",
                      types[i].dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 40));
  }
  return layers;
}

void readWindow(ModelConfig &c, const ConfigFile &file, const Family &family) {
  const SpecFields &fields = file.fields;
  if (family.windows == Windows::None)
    return;
  // null is no window, and left out is the family's own.
  int64_t window = fields.find("sliding_window") && !fields.has("sliding_window")
                       ? 0
                       : fields.count("sliding_window", 1, maxContext, family.window);
  bool gated = family.windows == Windows::Optional || family.windows == Windows::Gated;
  if (gated && !fields.boolean("use_sliding_window", false))
    window = 0;
  if (window == 0)
    return;
  auto chosen = [&](int64_t layer) {
    switch (family.windows) {
    case Windows::Optional:
      return layer >= fields.count("max_window_layers", 0, maxLayers, 28);
    case Windows::Alternate: {
      const char *key = fields.has("_sliding_window_pattern") ? "_sliding_window_pattern"
                                                              : "sliding_window_pattern";
      return (layer + 1) % fields.count(key, 1, maxLayers, family.pattern) != 0;
    }
    default:
      return true;
    }
  };
  if (fields.has("layer_types")) {
    c.windowLayers = readLayerTypes(file, c);
  } else {
    for (int64_t layer = 0; layer < c.layers; ++layer)
      if (chosen(layer))
        c.windowLayers.push_back(layer);
  }
  c.window = c.windowLayers.empty() ? 0 : window;
}

void readExperts(ModelConfig &c, const ConfigFile &file, const Family &family,
                 const ExpertStyle &style) {
  const SpecFields &fields = file.fields;
  MixtureConfig &mixture = c.mixture;
  const char *key = fields.has("num_local_experts") ? "num_local_experts" : "num_experts";
  mixture.experts = fields.count(key, 1, maxExperts, family.experts);
  mixture.perToken = fields.count("num_experts_per_tok", 1, mixture.experts, family.perToken);
  if (style.isFixed) {
    mixture.width = c.ffnWidth;
    const json noise = file.root.value("router_jitter_noise", json(0.0));
    if (!noise.is_number() || noise.get<double>() != 0)
      fields.bad("router_jitter_noise",
                 "router_jitter_noise: expected 0, got {}; training draws no noise",
                 noise.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 40));
    return;
  }
  mixture.width = fields.count("moe_intermediate_size", 1, 8 * maxWidth, family.expertWidth);
  mixture.normalized = fields.boolean("norm_topk_prob", false);
  int64_t step = fields.count("decoder_sparse_step", 1, maxLayers, 1);
  std::vector<int64_t> plain;
  if (fields.has("mlp_only_layers"))
    try {
      plain = file.root.at("mlp_only_layers").get<std::vector<int64_t>>();
    } catch (const json::exception &) {
      fields.bad("mlp_only_layers", "mlp_only_layers: expected a list of whole numbers");
    }
  for (int64_t layer = 0; layer < c.layers; ++layer)
    if ((layer + 1) % step != 0 || std::ranges::find(plain, layer) != plain.end())
      mixture.denseLayers.push_back(layer);
}

void writeExperts(const ModelConfig &c, const ExpertStyle &style, nlohmann::ordered_json &out) {
  const MixtureConfig &mixture = c.mixture;
  out[style.isFixed ? "num_local_experts" : "num_experts"] = mixture.experts;
  out["num_experts_per_tok"] = mixture.perToken;
  if (style.isFixed)
    return;
  out["moe_intermediate_size"] = mixture.width;
  out["norm_topk_prob"] = mixture.normalized;
  out["decoder_sparse_step"] = 1;
  out["mlp_only_layers"] = mixture.denseLayers;
}

void readGemma(ModelConfig &c, const ConfigFile &file) {
  const SpecFields &fields = file.fields;
  c.queryScalar = fields.positive("query_pre_attn_scalar", 256);
  // null is no cap, and left out is Gemma 2's own.
  auto cap = [&](const char *key, double fallback) {
    bool none = fields.find(key) && !fields.has(key);
    return none || (fallback == 0 && !fields.has(key)) ? 0 : fields.positive(key, fallback);
  };
  bool second = c.architecture == Architecture::Gemma2;
  c.attentionCap = cap("attn_logit_softcapping", second ? 50 : 0);
  c.logitCap = cap("final_logit_softcapping", second ? 30 : 0);
  if (!second && c.attentionCap != 0)
    fields.bad("attn_logit_softcapping",
               "attn_logit_softcapping: transformers leaves it out in gemma3; expected null");
}

} // namespace

std::optional<Architecture> decoderOf(std::string_view modelType) {
  const auto *it = std::ranges::find(families, modelType, &Family::type);
  return it == families.end() ? std::nullopt : std::optional(it->architecture);
}

std::vector<std::string_view> decoderTypes() {
  std::vector<std::string_view> types;
  for (const Family &family : families)
    types.push_back(family.type);
  return types;
}

ModelConfig readDecoder(const ConfigFile &file, Architecture architecture) {
  const SpecFields &fields = file.fields;
  const Family &family = familyOf(architecture);
  const DecoderStyle &style = *decoderStyle(architecture);
  check(file, family, style);
  ModelConfig c;
  c.architecture = architecture;
  c.layers = fields.count("num_hidden_layers", 1, maxLayers);
  c.width = fields.count("hidden_size", 1, maxWidth);
  c.heads = fields.count("num_attention_heads", 1, maxWidth);
  bool ownHeads = fields.find("num_key_value_heads"); // null: as many as heads
  c.kvHeads = fields.count("num_key_value_heads", 1, maxWidth, ownHeads ? 0 : family.kvHeads);
  c.headDim = fields.count("head_dim", 1, maxWidth, family.headDim);
  c.ffnWidth = fields.count("intermediate_size", 1, 8 * maxWidth);
  c.vocab = fields.count("vocab_size", 1, maxVocab);
  c.context = fields.count("max_position_embeddings", 1, maxContext);
  c.normEps = fields.positive("rms_norm_eps", family.normEps);
  const char *key = fields.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  c.activation = readActivation(fields, key, activationName(style.activation));
  // Gemma's hidden_act says "gelu" in early releases, and is the tanh form all the same.
  if (isGemma(architecture) && key == std::string_view("hidden_act"))
    c.activation = style.activation;
  if (c.activation != style.activation)
    fields.bad(key, "{}: expected {}, got '{}'", key, activationName(style.activation),
               fields.text(key));
  c.tiedHead = fields.boolean("tie_word_embeddings", family.tied);
  c.biases = false;
  c.attentionBiases = fields.boolean("attention_bias", false);
  c.mlpBiases = fields.boolean("mlp_bias", false);
  readTokenIds(c, file);
  completeSizes(c, fields,
                {"hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim",
                 "vocab_size", "bos_token_id"});
  readRope(c, file, family.theta);
  readWindow(c, file, family);
  if (isGemma(architecture))
    readGemma(c, file);
  if (style.experts)
    readExperts(c, file, family, *style.experts);
  checkDecoder(c, file.name);
  return c;
}

nlohmann::ordered_json writeDecoder(const ModelConfig &c) {
  const Family &family = familyOf(c.architecture);
  nlohmann::ordered_json out = {{"model_type", family.type},
                                {"architectures", {family.className}},
                                {"num_hidden_layers", c.layers},
                                {"hidden_size", c.width},
                                {"num_attention_heads", c.heads},
                                {"num_key_value_heads", c.kvHeads},
                                {"head_dim", c.headDim},
                                {"intermediate_size", c.ffnWidth},
                                {"max_position_embeddings", c.context},
                                {"vocab_size", c.vocab},
                                {"rms_norm_eps", c.normEps}};
  bool gemma = isGemma(c.architecture);
  out[gemma ? "hidden_activation" : "hidden_act"] = activationName(c.activation);
  if (family.attentionBias)
    out["attention_bias"] = c.attentionBiases;
  if (family.mlpBias)
    out["mlp_bias"] = c.mlpBiases;
  writeRope(c, out);
  if (family.windows != Windows::None)
    out["sliding_window"] = c.window ? nlohmann::ordered_json(c.window) : nlohmann::ordered_json();
  if (family.windows == Windows::Optional || family.windows == Windows::Gated)
    out["use_sliding_window"] = c.window != 0;
  if (family.windows == Windows::Optional || family.windows == Windows::Alternate) {
    std::vector<std::string_view> types(static_cast<size_t>(c.layers), "full_attention");
    for (int64_t layer : c.windowLayers)
      types[static_cast<size_t>(layer)] = "sliding_attention";
    out["layer_types"] = types;
  }
  if (const ExpertStyle *experts = decoderStyle(c.architecture)->experts)
    writeExperts(c, *experts, out);
  if (gemma) {
    // transformers declares it as an integer, and takes no 256.0.
    double scalar = c.queryScalar ? c.queryScalar : static_cast<double>(c.headDim);
    out["query_pre_attn_scalar"] = scalar == std::floor(scalar)
                                       ? nlohmann::ordered_json(static_cast<int64_t>(scalar))
                                       : nlohmann::ordered_json(scalar);
    auto cap = [&](const char *key, double value) {
      out[key] = value != 0 ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
    };
    cap("attn_logit_softcapping", c.attentionCap);
    cap("final_logit_softcapping", c.logitCap);
  }
  return out;
}

} // namespace lmc::huggingface
