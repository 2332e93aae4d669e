// Llama. Source: Touvron et al. 2023, arXiv:2302.13971; names and layouts as in Hugging Face's
// LlamaForCausalLM (Linear weights are [out, in], rotary halves).
#include "frontend/models/Blocks.h"

#include <cmath>

using namespace mlir;

namespace lmc {
namespace {

std::vector<ParameterSpec> parameters(const ModelConfig &c) {
  const double normal = 0.02, residual = 0.02 / std::sqrt(2.0 * static_cast<double>(c.layers));
  int64_t q = c.heads * c.headDim, kv = c.kvHeads * c.headDim;
  std::vector<ParameterSpec> table;
  table.push_back({"model.embed_tokens.weight", {c.vocab, c.width}, 0, normal});
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string at = "model.layers." + std::to_string(layer);
    table.push_back({at + ".input_layernorm.weight", {c.width}, 1, 0});
    table.push_back({at + ".self_attn.q_proj.weight", {q, c.width}, 0, normal});
    table.push_back({at + ".self_attn.k_proj.weight", {kv, c.width}, 0, normal});
    table.push_back({at + ".self_attn.v_proj.weight", {kv, c.width}, 0, normal});
    table.push_back({at + ".self_attn.o_proj.weight", {c.width, q}, 0, residual});
    table.push_back({at + ".post_attention_layernorm.weight", {c.width}, 1, 0});
    table.push_back({at + ".mlp.gate_proj.weight", {c.ffnWidth, c.width}, 0, normal});
    table.push_back({at + ".mlp.up_proj.weight", {c.ffnWidth, c.width}, 0, normal});
    table.push_back({at + ".mlp.down_proj.weight", {c.width, c.ffnWidth}, 0, residual});
  }
  table.push_back({"model.norm.weight", {c.width}, 1, 0});
  if (!c.tiedHead)
    table.push_back({"lm_head.weight", {c.vocab, c.width}, 0, normal});
  return table;
}

/// What every layer's rotation needs: positions f32 [T] and theta^(-2i/D) [D/2].
struct Rotation {
  Value positions, inverseFrequencies;

  Value operator()(lm::GraphBuilder g, Value x) const {
    return g.b.create<lm::RopeOp>(g.loc, x, positions, inverseFrequencies, /*inverse=*/false);
  }
};

Rotation makeRotation(ModelGraph &m, Value tokens) {
  lm::GraphBuilder g = m.g.at("rope");
  SmallVector<float> frequencies;
  double D = static_cast<double>(m.config.headDim);
  for (int64_t i = 0; i < m.config.headDim / 2; ++i)
    frequencies.push_back(
        static_cast<float>(std::pow(m.config.ropeTheta, -2.0 * static_cast<double>(i) / D)));
  Value positions = g.convert(positionIds(m, "rope", tokens), g.b.getF32Type());
  return {positions, g.vector(frequencies)};
}

/// x + o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n))) with n = norm(x).
Value attentionBlock(ModelGraph &m, int64_t layer, Value x, const Rotation &rotate) {
  std::string path = "layers." + std::to_string(layer), name = "model." + path;
  Value normed = rmsNorm(m, path + ".attn_norm", name + ".input_layernorm", x);
  auto project = [&](const std::string &what) {
    std::string at = path + ".attn." + what;
    Value y = linear(m, at, name + ".self_attn." + what, normed, WeightLayout::OutIn);
    return splitLast(m.g.at(at), y, m.config.headDim);
  };
  Value q = rotate(m.g.at(path + ".attn.q_rope"), project("q_proj"));
  Value k = rotate(m.g.at(path + ".attn.k_rope"), project("k_proj"));
  Value heads = attend(m, path + ".attn", layer, q, k, project("v_proj"));
  std::string out = path + ".attn.o_proj";
  return m.g.at(out).add(x, linear(m, out, name + ".self_attn.o_proj", heads, WeightLayout::OutIn));
}

/// x + down_proj(swiglu(gate_proj(n), up_proj(n))) with n = norm(x).
Value mlpBlock(ModelGraph &m, int64_t layer, Value x) {
  std::string path = "layers." + std::to_string(layer), name = "model." + path;
  Value normed = rmsNorm(m, path + ".mlp_norm", name + ".post_attention_layernorm", x);
  auto project = [&](const std::string &what, Value input) {
    return linear(m, path + ".mlp." + what, name + ".mlp." + what, input, WeightLayout::OutIn);
  };
  Value gate = project("gate_proj", normed), up = project("up_proj", normed);
  lm::GraphBuilder g = m.g.at(path + ".mlp.swiglu");
  Value down = project("down_proj", g.b.create<lm::SwigluOp>(g.loc, gate, up));
  return m.g.at(path + ".mlp.down_proj").add(x, down);
}

Value hidden(ModelGraph &m, Value tokens) {
  Value x = embed(m, "embed.token", "model.embed_tokens", tokens);
  Rotation rotate = makeRotation(m, tokens);
  for (int64_t layer = 0; layer < m.config.layers; ++layer)
    x = mlpBlock(m, layer, attentionBlock(m, layer, x, rotate));
  return x;
}

Value logits(ModelGraph &m, Value x) {
  Value normed = rmsNorm(m, "norm", "model.norm", x);
  StringRef table = m.config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight";
  return headLogits(m, "head", table, normed);
}

} // namespace

const ModelFamily llamaFamily = {
    parameters, hidden, logits, "model.embed_tokens.weight", "model.", {".rotary_emb.inv_freq"}};

} // namespace lmc
