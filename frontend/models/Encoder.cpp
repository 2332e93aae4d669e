// Encoders: BERT. Source: Devlin et al. 2018, arXiv:1810.04805; names and layouts as in Hugging Face's
// BertModel (Linear weights are [out, in]). Every token sees all tokens of its text. The text is one
// segment, of type 0, and no padding: a program takes one text at its own length.
#include "frontend/models/Blocks.h"

#include <fmt/format.h>

using namespace mlir;

namespace lmc {
namespace {

std::string layerName(int64_t layer) { return "bert.encoder.layer." + std::to_string(layer); }

std::vector<ParameterSpec> parameters(const ModelConfig &c) {
  const double normal = 0.02;
  std::vector<ParameterSpec> table;
  auto linear = [&](const std::string &name, int64_t out, int64_t in) {
    table.push_back({name + ".weight", {out, in}, 0, normal});
    table.push_back({name + ".bias", {out}, 0, 0});
  };
  auto norm = [&](const std::string &name) {
    table.push_back({name + ".weight", {c.width}, 1, 0});
    table.push_back({name + ".bias", {c.width}, 0, 0});
  };
  auto embedding = [&](const char *which, int64_t rows) {
    table.push_back(
        {fmt::format("bert.embeddings.{}_embeddings.weight", which), {rows, c.width}, 0, normal});
  };
  embedding("word", c.vocab);
  embedding("position", c.context);
  embedding("token_type", c.encoder.tokenTypes);
  norm("bert.embeddings.LayerNorm");
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string name = layerName(layer);
    for (const char *part : {"query", "key", "value"})
      linear(name + ".attention.self." + part, c.width, c.width);
    linear(name + ".attention.output.dense", c.width, c.width);
    norm(name + ".attention.output.LayerNorm");
    linear(name + ".intermediate.dense", c.ffnWidth, c.width);
    linear(name + ".output.dense", c.width, c.ffnWidth);
    norm(name + ".output.LayerNorm");
  }
  return table;
}

/// norm(x + dense(y)): norms stand behind the sums.
Value addAndNorm(ModelGraph &m, const std::string &path, const std::string &name, Value x,
                 Value y) {
  Value projected = linear(m, path + ".out", name + ".dense", y, WeightLayout::OutIn);
  return layerNorm(m, path + "_norm", name + ".LayerNorm", m.g.at(path).add(x, projected));
}

Value layer(ModelGraph &m, int64_t index, Value x) {
  std::string name = layerName(index), path = "layers." + std::to_string(index);
  auto heads = [&](const char *part) {
    std::string at = path + ".attn." + part;
    Value y = linear(m, at, name + ".attention.self." + part, x, WeightLayout::OutIn);
    return splitLast(m.g.at(at), y, m.config.headDim);
  };
  AttentionOptions options;
  options.causal = false;
  Value context =
      attend(m, path + ".attn", index, heads("query"), heads("key"), heads("value"), options);
  x = addAndNorm(m, path + ".attn", name + ".attention.output", x, context);
  Value up = linear(m, path + ".mlp.up", name + ".intermediate.dense", x, WeightLayout::OutIn);
  Value active = activate(m.g.at(path + ".mlp.act"), m.config.activation, up);
  return addAndNorm(m, path + ".mlp", name + ".output", x, active);
}

Value hidden(ModelGraph &m, Value tokens) {
  Value word = embed(m, "embed.token", "bert.embeddings.word_embeddings", tokens);
  Value position = embed(m, "embed.position", "bert.embeddings.position_embeddings",
                         positionIds(m, "embed.position", tokens));
  lm::GraphBuilder g = m.g.at("embed");
  Value types = m.parameter("bert.embeddings.token_type_embeddings.weight");
  Value x = g.add(g.add(word, position), g.slice(types, 0, 0, 1));
  x = layerNorm(m, "embed_norm", "bert.embeddings.LayerNorm", x);
  for (int64_t index = 0; index < m.config.layers; ++index)
    x = layer(m, index, x);
  return x;
}

Value same(ModelGraph &, Value x) { return x; }

} // namespace

// Heads of other uses (pooler, masked words) are no part of a text's vectors.
const ModelFamily encoderFamily = {
    parameters,
    hidden,
    same,
    "bert.embeddings.word_embeddings.weight",
    "bert.",
    {".position_ids", "pooler.dense.weight", "pooler.dense.bias", "cls.seq_relationship.weight",
     "cls.seq_relationship.bias", "cls.predictions.bias", "cls.predictions.decoder.weight",
     "cls.predictions.decoder.bias", "cls.predictions.transform.dense.weight",
     "cls.predictions.transform.dense.bias", "cls.predictions.transform.LayerNorm.weight",
     "cls.predictions.transform.LayerNorm.bias"}};

} // namespace lmc
