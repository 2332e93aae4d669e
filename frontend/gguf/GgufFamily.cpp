#include "frontend/gguf/GgufFamily.h"

#include "frontend/ModelLimits.h"

#include <algorithm>

namespace lmc {
namespace {

using enum StoredOrder;

constexpr GgufTensorName llamaTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
    {"blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {"blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", RotaryPairs,
     &ModelConfig::heads},
    {"blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", RotaryPairs,
     &ModelConfig::kvHeads},
    {"blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {"blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {"blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {"blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {"blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {"blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
};
double &normEps(ModelConfig &c) { return c.normEps; }
double &ropeTheta(ModelConfig &c) { return c.rope.theta; }

constexpr GgufNumber llamaNumbers[] = {
    {"attention.layer_norm_rms_epsilon", normEps},
    {"rope.freq_base", ropeTheta, 10000},
};

constexpr GgufTensorName gpt2Tensors[] = {
    {"token_embd.weight", "transformer.wte.weight"},
    {"position_embd.weight", "transformer.wpe.weight"},
    {"output_norm.weight", "transformer.ln_f.weight"},
    {"output_norm.bias", "transformer.ln_f.bias"},
    {"output.weight", "lm_head.weight"},
    {"blk.{}.attn_norm.weight", "transformer.h.{}.ln_1.weight"},
    {"blk.{}.attn_norm.bias", "transformer.h.{}.ln_1.bias"},
    {"blk.{}.attn_qkv.weight", "transformer.h.{}.attn.c_attn.weight", Transposed},
    {"blk.{}.attn_qkv.bias", "transformer.h.{}.attn.c_attn.bias"},
    {"blk.{}.attn_output.weight", "transformer.h.{}.attn.c_proj.weight", Transposed},
    {"blk.{}.attn_output.bias", "transformer.h.{}.attn.c_proj.bias"},
    {"blk.{}.ffn_norm.weight", "transformer.h.{}.ln_2.weight"},
    {"blk.{}.ffn_norm.bias", "transformer.h.{}.ln_2.bias"},
    {"blk.{}.ffn_up.weight", "transformer.h.{}.mlp.c_fc.weight", Transposed},
    {"blk.{}.ffn_up.bias", "transformer.h.{}.mlp.c_fc.bias"},
    {"blk.{}.ffn_down.weight", "transformer.h.{}.mlp.c_proj.weight", Transposed},
    {"blk.{}.ffn_down.bias", "transformer.h.{}.mlp.c_proj.bias"},
};
constexpr GgufNumber gpt2Numbers[] = {
    {"attention.layer_norm_epsilon", normEps},
};

constexpr GgufFamily families[] = {
    {"llama", Architecture::Llama, Activation::Silu, llamaTensors, llamaNumbers, "model."},
    {"gpt2", Architecture::Gpt2, Activation::GeluTanh, gpt2Tensors, gpt2Numbers, "transformer."},
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

/// Where `name` is `pattern`, the digits in place of "{}" ("" where it has none).
std::optional<std::string_view> layerIn(std::string_view pattern, std::string_view name) {
  size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos)
    return pattern == name ? std::optional(std::string_view()) : std::nullopt;
  std::string_view before = pattern.substr(0, hole), after = pattern.substr(hole + 2);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) ||
      !name.ends_with(after))
    return std::nullopt;
  std::string_view digits = name.substr(before.size(), name.size() - before.size() - after.size());
  bool isNumber = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  return isNumber ? std::optional(digits) : std::nullopt;
}

std::string withLayer(std::string_view pattern, std::string_view layer) {
  std::string name(pattern);
  if (size_t hole = name.find("{}"); hole != std::string::npos)
    name.replace(hole, 2, layer);
  return name;
}

TensorView inOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view,
                   StoredOrder rotary) {
  if (entry.order == Rows)
    return view;
  if (view.shape.size() != 2)
    fail("tensor '{}' is {}, expected a matrix", entry.gguf, shapeText(view.shape));
  if (entry.order == Transposed) {
    std::swap(view.shape[0], view.shape[1]);
    view.order = Transposed;
    return view;
  }
  view.heads = config.*entry.heads;
  view.order = rotary;
  if (view.shape[0] % (2 * view.heads))
    fail("tensor '{}' is {}, expected an even number of rows for each of {} heads", entry.gguf,
         shapeText(view.shape), view.heads);
  return view;
}

} // namespace

std::span<const GgufSize> ggufSizes() { return sizes; }

const GgufFamily &ggufFamilyOf(const GgufMetadata &metadata) {
  std::string name = metadata.text("general.architecture"), known;
  for (const GgufFamily &family : families) {
    if (family.name == name)
      return family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.name);
  }
  metadata.bad("general.architecture",
               fmt::format("is '{}', known are {}", name.substr(0, 40), known));
}

const GgufFamily &ggufFamilyOf(Architecture architecture) {
  for (const GgufFamily &family : families)
    if (family.architecture == architecture)
      return family;
  fail("this architecture has no GGUF form; llama and gpt2 have one");
}

GgufNameMatch huggingFaceNameOf(const GgufFamily &family, std::string_view ggufName) {
  for (const GgufTensorName &entry : family.tensors)
    if (auto layer = layerIn(entry.gguf, ggufName))
      return {&entry, withLayer(entry.huggingFace, *layer)};
  return {};
}

GgufNameMatch ggufNameOf(const GgufFamily &family, std::string_view huggingFaceName) {
  for (const GgufTensorName &entry : family.tensors)
    if (auto layer = layerIn(entry.huggingFace, huggingFaceName))
      return {&entry, withLayer(entry.gguf, *layer)};
  return {};
}

TensorView fromGgufOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view) {
  return inOrder(entry, config, std::move(view), RotaryPairs);
}

TensorView toGgufOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view) {
  return inOrder(entry, config, std::move(view), RotaryHalves);
}

} // namespace lmc
