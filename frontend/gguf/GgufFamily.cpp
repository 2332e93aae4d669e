#include "frontend/gguf/GgufFamily.h"

#include "frontend/ModelLimits.h"

#include <algorithm>

namespace lmc {
namespace {

using enum StoredOrder;
using enum Architecture;

constexpr GgufTensorName decoderTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
};
constexpr GgufTensorName projections[] = {
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
};
constexpr GgufTensorName llamaProjections[] = {
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", RotaryPairs, &ModelConfig::heads},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", RotaryPairs, &ModelConfig::kvHeads},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
};
constexpr GgufTensorName fusedProjections[] = {
    {"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"},
};
constexpr GgufTensorName mlp[] = {
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};
constexpr GgufTensorName fusedMlp[] = {
    {"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};
constexpr GgufTensorName mixtralExperts[] = {
    {"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.experts.*.w1"},
    {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.experts.*.w3"},
    {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.experts.*.w2"},
    // Files of 2023 have a tensor for each expert.
    {"blk.{}.ffn_gate.{}", "model.layers.{}.block_sparse_moe.experts.{}.w1"},
    {"blk.{}.ffn_up.{}", "model.layers.{}.block_sparse_moe.experts.{}.w3"},
    {"blk.{}.ffn_down.{}", "model.layers.{}.block_sparse_moe.experts.{}.w2"},
};
constexpr GgufTensorName qwenExperts[] = {
    {"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.*.gate_proj"},
    {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.*.up_proj"},
    {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.*.down_proj"},
    // Of layers with a plain MLP.
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};
constexpr GgufTensorName mlpNorm[] = {
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
};
constexpr GgufTensorName sandwichNorms[] = {
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm"},
    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"},
};
constexpr GgufTensorName gpt2Tensors[] = {
    {"token_embd", "transformer.wte"},
    {"position_embd", "transformer.wpe"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
    {"blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn", Transposed},
    {"blk.{}.attn_output", "transformer.h.{}.attn.c_proj", Transposed},
    {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc", Transposed},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj", Transposed},
};

double &normEps(ModelConfig &c) { return c.normEps; }
double &ropeTheta(ModelConfig &c) { return c.rope.theta; }
double &localTheta(ModelConfig &c) { return c.localRopeTheta; }
double &attentionCap(ModelConfig &c) { return c.attentionCap; }
double &logitCap(ModelConfig &c) { return c.logitCap; }

constexpr GgufNumber gpt2Numbers[] = {{"attention.layer_norm_epsilon", normEps}};
constexpr GgufNumber decoderNumbers[] = {
    {"attention.layer_norm_rms_epsilon", normEps},
    {"rope.freq_base", ropeTheta, 10000},
};
constexpr GgufNumber gemma2Numbers[] = {
    {"attention.layer_norm_rms_epsilon", normEps},
    {"rope.freq_base", ropeTheta, 10000},
    {"attn_logit_softcapping", attentionCap, 50, true},
    {"final_logit_softcapping", logitCap, 30, true},
};
constexpr GgufNumber gemma3Numbers[] = {
    {"attention.layer_norm_rms_epsilon", normEps},
    {"rope.freq_base", ropeTheta, 10000},
    {"rope.freq_base_swa", localTheta, 10000},
    {"final_logit_softcapping", logitCap, 0, true},
};

using enum Activation;

constexpr GgufFamily families[] = {
    {"llama", Llama, Silu, {decoderTensors, llamaProjections, mlp, mlpNorm}, decoderNumbers},
    {"llama",
     Mixtral,
     Silu,
     {decoderTensors, llamaProjections, mixtralExperts, mlpNorm},
     decoderNumbers},
    {"gpt2", Gpt2, GeluTanh, {gpt2Tensors}, gpt2Numbers},
    {"qwen2", Qwen2, Silu, {decoderTensors, projections, mlp, mlpNorm}, decoderNumbers},
    {"qwen3", Qwen3, Silu, {decoderTensors, projections, mlp, mlpNorm}, decoderNumbers},
    {"qwen3moe",
     Qwen3Moe,
     Silu,
     {decoderTensors, projections, qwenExperts, mlpNorm},
     decoderNumbers},
    {"phi3", Phi3, Silu, {decoderTensors, fusedProjections, fusedMlp, mlpNorm}, decoderNumbers},
    {.name = "gemma2",
     .architecture = Gemma2,
     .activation = GeluTanh,
     .tensors = {decoderTensors, projections, mlp, sandwichNorms},
     .numbers = gemma2Numbers,
     .window = 4096,
     .windowPattern = 2,
     .layersOfWideScale = 46},
    {.name = "gemma3",
     .architecture = Gemma3,
     .activation = GeluTanh,
     .tensors = {decoderTensors, projections, mlp, sandwichNorms},
     .numbers = gemma3Numbers,
     .windowPattern = 6,
     .layersOfWideScale = 62},
};

constexpr GgufSize sizes[] = {
    {"context_length", &ModelConfig::context, maxContext},
    {"embedding_length", &ModelConfig::width, maxWidth},
    {"block_count", &ModelConfig::layers, maxLayers},
    {"feed_forward_length", &ModelConfig::ffnWidth, 8 * maxWidth},
    {"attention.head_count", &ModelConfig::heads, maxWidth},
    {"attention.head_count_kv", &ModelConfig::kvHeads, maxWidth, true},
    {"attention.key_length", &ModelConfig::headDim, maxWidth, true},
};

std::string knownFamilies() {
  std::string known;
  for (std::string_view last; const GgufFamily &family : families) {
    if (family.name != last)
      known += fmt::format("{}{}", known.empty() ? "" : ", ", family.name);
    last = family.name;
  }
  return known;
}

/// Where `name` is `pattern`, the digits in place of each "{}".
std::optional<std::vector<std::string_view>> numbersIn(std::string_view pattern,
                                                       std::string_view name) {
  std::vector<std::string_view> numbers;
  while (!pattern.empty()) {
    if (pattern.starts_with("{}")) {
      size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
      if (digits == 0)
        return std::nullopt;
      numbers.push_back(name.substr(0, digits));
      pattern.remove_prefix(2), name.remove_prefix(digits);
    } else if (name.starts_with(pattern.front())) {
      pattern.remove_prefix(1), name.remove_prefix(1);
    } else {
      return std::nullopt;
    }
  }
  return name.empty() ? std::optional(numbers) : std::nullopt;
}

/// The name that `to` gives what `from` calls `name`.
GgufNameMatch translate(const GgufFamily &family, std::string_view name,
                        std::string_view GgufTensorName::*from,
                        std::string_view GgufTensorName::*to) {
  size_t dot = name.rfind('.');
  std::string_view stem = name.substr(0, dot);
  if (dot == std::string_view::npos)
    return {};
  for (const auto &part : family.tensors)
    for (const GgufTensorName &entry : part)
      if (auto numbers = numbersIn(entry.*from, stem)) {
        std::string result(entry.*to);
        for (std::string_view number : *numbers)
          result.replace(result.find("{}"), 2, number);
        return {&entry, result.append(name.substr(dot))};
      }
  return {};
}

TensorView inOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view,
                   StoredOrder rotary) {
  // Biases of a transposed matrix are as they are.
  if (entry.order == Rows || (entry.order == Transposed && view.shape.size() == 1))
    return view;
  if (view.shape.empty() || (entry.order == Transposed && view.shape.size() != 2))
    fail("tensor '{}' is {}, expected a matrix", entry.gguf, shapeText(view.shape));
  if (entry.order == Transposed) {
    std::swap(view.shape[0], view.shape[1]);
    view.order = Transposed;
    return view;
  }
  if (view.shape.size() == 1 && formatOf(view.type).isQuantised())
    fail("tensor '{}' is {}, but a bias cannot be quantised", entry.gguf, nameOf(view.type));
  view.heads = config.*entry.heads;
  view.order = rotary;
  if (view.shape[0] % (2 * view.heads))
    fail("tensor '{}' is {}, expected an even number of rows for each of {} heads", entry.gguf,
         shapeText(view.shape), view.heads);
  return view;
}

/// GGUF's norms multiply by what is stored.
bool isOffset(const GgufTensorName &entry, const ModelConfig &config) {
  const DecoderStyle *style = decoderStyle(config.architecture);
  return style && style->offsetNorms && entry.gguf.ends_with("_norm");
}

} // namespace

std::span<const GgufSize> ggufSizes() { return sizes; }

const GgufFamily &ggufFamilyOf(const GgufMetadata &metadata) {
  std::string name = metadata.text("general.architecture");
  if (name == "llama" && metadata.integer("llama.expert_count", 0, maxExperts, 0) > 0)
    return ggufFamilyOf(Mixtral);
  for (const GgufFamily &family : families)
    if (family.name == name)
      return family;
  metadata.bad("general.architecture",
               fmt::format("is '{}', known are {}", name.substr(0, 40), knownFamilies()));
}

const GgufFamily &ggufFamilyOf(Architecture architecture) {
  if (architecture == Mistral)
    architecture = Llama;
  for (const GgufFamily &family : families)
    if (family.architecture == architecture)
      return family;
  fail("the architecture '{}' has no GGUF form; {} have one (mistral and mixtral as llama)",
       architectureName(architecture), knownFamilies());
}

std::vector<bool> ggufWindowPattern(int64_t layers, int64_t pattern) {
  std::vector<bool> result(layers);
  for (int64_t layer = 0; layer < layers; ++layer)
    result[layer] = pattern == 0 || (layer + 1) % pattern != 0;
  return result;
}

double ggufQueryScalar(const GgufFamily &family, const ModelConfig &c) {
  if (family.layersOfWideScale == 0)
    return 0;
  return double(c.layers == family.layersOfWideScale ? c.width / c.heads : c.headDim);
}

GgufNameMatch huggingFaceNameOf(const GgufFamily &family, std::string_view ggufName) {
  return translate(family, ggufName, &GgufTensorName::gguf, &GgufTensorName::huggingFace);
}

GgufNameMatch ggufNameOf(const GgufFamily &family, std::string_view huggingFaceName) {
  return translate(family, huggingFaceName, &GgufTensorName::huggingFace, &GgufTensorName::gguf);
}

TensorView fromGguf(const GgufTensorName &entry, const ModelConfig &config, TensorView view) {
  view = inOrder(entry, config, std::move(view), RotaryPairs);
  view.offset -= isOffset(entry, config);
  return view;
}

TensorView toGguf(const GgufTensorName &entry, const ModelConfig &config, TensorView view) {
  view = inOrder(entry, config, std::move(view), RotaryHalves);
  view.offset += isOffset(entry, config);
  return view;
}

} // namespace lmc
