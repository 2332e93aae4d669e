// GPT-2. Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; names
// and layouts as in Hugging Face's GPT2LMHeadModel (Conv1D weights are [in, out]).
#include "frontend/models/Blocks.h"

#include <cmath>

using namespace mlir;

namespace lmc {
namespace {

std::vector<ParameterSpec> parameters(const ModelConfig &c) {
  const double normal = 0.02, residual = 0.02 / std::sqrt(2.0 * static_cast<double>(c.layers));
  std::vector<ParameterSpec> table;
  auto linear = [&](const std::string &name, int64_t in, int64_t out, double deviation) {
    table.push_back({name + ".weight", {in, out}, 0, deviation});
    if (c.biases)
      table.push_back({name + ".bias", {out}, 0, 0});
  };
  auto norm = [&](const std::string &name) {
    table.push_back({name + ".weight", {c.width}, 1, 0});
    if (c.biases)
      table.push_back({name + ".bias", {c.width}, 0, 0});
  };
  table.push_back({"transformer.wte.weight", {c.vocab, c.width}, 0, normal});
  table.push_back({"transformer.wpe.weight", {c.context, c.width}, 0, normal});
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string h = "transformer.h." + std::to_string(layer);
    norm(h + ".ln_1");
    linear(h + ".attn.c_attn", c.width, 3 * c.width, normal);
    linear(h + ".attn.c_proj", c.width, c.width, residual);
    norm(h + ".ln_2");
    linear(h + ".mlp.c_fc", c.width, c.ffnWidth, normal);
    linear(h + ".mlp.c_proj", c.ffnWidth, c.width, residual);
  }
  norm("transformer.ln_f");
  if (!c.tiedHead)
    table.push_back({"lm_head.weight", {c.vocab, c.width}, 0, normal});
  return table;
}

/// x + drop(proj(attention(ln_1(x)))).
Value attentionBlock(ModelGraph &m, int64_t layer, Value x) {
  std::string path = "layers." + std::to_string(layer),
              h = "transformer.h." + std::to_string(layer);
  int64_t H = m.config.heads, D = m.config.headDim;
  Value normed = layerNorm(m, path + ".ln_1", h + ".ln_1", x);
  Value qkv = linear(m, path + ".attn.qkv", h + ".attn.c_attn", normed, WeightLayout::InOut);
  lm::GraphBuilder g = m.g.at(path + ".attn.qkv");
  qkv = splitLast(g, qkv, D); // [B, T, 3H, D]: q, k and v are runs of heads
  Value heads = attend(m, path + ".attn", layer, g.slice(qkv, 2, 0, H), g.slice(qkv, 2, H, H),
                       g.slice(qkv, 2, 2 * H, H));
  std::string proj = path + ".attn.proj";
  Value y = linear(m, proj, h + ".attn.c_proj", heads, WeightLayout::InOut);
  return m.g.at(proj).add(x, drop(m, path + ".attn.dropout", y, m.dropout().residual));
}

/// x + drop(proj(act(fc(ln_2(x))))).
Value mlpBlock(ModelGraph &m, int64_t layer, Value x) {
  std::string path = "layers." + std::to_string(layer),
              h = "transformer.h." + std::to_string(layer);
  Value normed = layerNorm(m, path + ".ln_2", h + ".ln_2", x);
  Value up = linear(m, path + ".mlp.fc", h + ".mlp.c_fc", normed, WeightLayout::InOut);
  Value active = activate(m.g.at(path + ".mlp.act"), m.config.activation, up);
  std::string proj = path + ".mlp.proj";
  Value y = linear(m, proj, h + ".mlp.c_proj", active, WeightLayout::InOut);
  return m.g.at(proj).add(x, drop(m, path + ".mlp.dropout", y, m.dropout().residual));
}

Value hidden(ModelGraph &m, Value tokens) {
  Value token = embed(m, "embed.token", "transformer.wte", tokens);
  Value ids = positionIds(m, "embed.position", tokens);
  Value position = embed(m, "embed.position", "transformer.wpe", ids);
  Value x = m.g.at("embed").add(token, position);
  x = drop(m, "embed.dropout", x, m.dropout().embedding);
  for (int64_t layer = 0; layer < m.config.layers; ++layer)
    x = mlpBlock(m, layer, attentionBlock(m, layer, x));
  return x;
}

Value logits(ModelGraph &m, Value x) {
  Value normed = layerNorm(m, "norm", "transformer.ln_f", x);
  StringRef table = m.config.tiedHead ? "transformer.wte.weight" : "lm_head.weight";
  return headLogits(m, "head", table, normed);
}

} // namespace

const ModelFamily gpt2Family = {parameters,     hidden,
                                logits,         "transformer.wte.weight",
                                "transformer.", {".attn.bias", ".attn.masked_bias"}};

} // namespace lmc
