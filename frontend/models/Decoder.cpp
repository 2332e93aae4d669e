// Decoders with rotary positions and rms_norm: Llama (Touvron et al. 2023, arXiv:2302.13971) and the
// families that differ from it as their DecoderStyle says: Mistral (Jiang et al. 2023,
// arXiv:2310.06825), Qwen2 (arXiv:2407.10671), Qwen3 (arXiv:2505.09388), Phi-3 (arXiv:2404.14219),
// Gemma 2 (arXiv:2408.00118), Gemma 3 (arXiv:2503.19786); Mixtral (arXiv:2401.04088) and Qwen3-MoE with
// mixtures of experts. Names and layouts are those of Hugging
// Face's <Family>ForCausalLM: Linear weights are [out, in], rotary halves.
#include "frontend/models/Blocks.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace lmc {
namespace {

/// Where a layer's norms stand in a checkpoint.
struct NormNames {
  std::string beforeAttention = ".input_layernorm", afterAttention, beforeMlp, afterMlp;

  explicit NormNames(const DecoderStyle &style) {
    beforeMlp = style.sandwichNorms ? ".pre_feedforward_layernorm" : ".post_attention_layernorm";
    if (style.sandwichNorms) {
      afterAttention = ".post_attention_layernorm";
      afterMlp = ".post_feedforward_layernorm";
    }
  }
};

bool hasExperts(const ModelConfig &c, int64_t layer) {
  return c.hasExperts() && !std::ranges::binary_search(c.mixture.denseLayers, layer);
}

/// A matrix of all experts of the layer at `at`, [E, out, in]; StackedNames.h says what * is.
std::string expertsName(const std::string &at, const ExpertStyle &style, std::string_view part) {
  return at + std::string(style.block) + ".experts.*." + std::string(part) + ".weight";
}

std::vector<ParameterSpec> parameters(const ModelConfig &c) {
  const DecoderStyle &style = *decoderStyle(c.architecture);
  const NormNames norms(style);
  const double normal = 0.02, residual = 0.02 / std::sqrt(2.0 * static_cast<double>(c.layers));
  const int64_t q = c.heads * c.headDim, kv = c.kvHeads * c.headDim;
  std::vector<ParameterSpec> table;
  auto norm = [&](const std::string &name, int64_t size) {
    table.push_back({name + ".weight", {size}, style.offsetNorms ? 0.0 : 1.0, 0});
  };
  auto linear = [&](const std::string &name, int64_t out, int64_t in, double deviation, bool bias) {
    table.push_back({name + ".weight", {out, in}, 0, deviation});
    if (bias)
      table.push_back({name + ".bias", {out}, 0, 0});
  };
  table.push_back({"model.embed_tokens.weight", {c.vocab, c.width}, 0, normal});
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string at = "model.layers." + std::to_string(layer), attention = at + ".self_attn";
    norm(at + norms.beforeAttention, c.width);
    bool biased = c.attentionBiases || style.biasedQkv;
    if (style.fusedProjections) {
      linear(attention + ".qkv_proj", q + 2 * kv, c.width, normal, biased);
    } else {
      linear(attention + ".q_proj", q, c.width, normal, biased);
      linear(attention + ".k_proj", kv, c.width, normal, biased);
      linear(attention + ".v_proj", kv, c.width, normal, biased);
    }
    linear(attention + ".o_proj", c.width, q, residual, c.attentionBiases);
    if (style.qkNorm) {
      norm(attention + ".q_norm", c.headDim);
      norm(attention + ".k_norm", c.headDim);
    }
    if (style.sandwichNorms)
      norm(at + norms.afterAttention, c.width);
    norm(at + norms.beforeMlp, c.width);
    if (hasExperts(c, layer)) {
      linear(at + std::string(style.experts->block) + ".gate", c.mixture.experts, c.width, normal,
             false);
      auto experts = [&](std::string_view part, int64_t out, int64_t in, double deviation) {
        table.push_back(
            {expertsName(at, *style.experts, part), {c.mixture.experts, out, in}, 0, deviation});
      };
      experts(style.experts->gate, c.mixture.width, c.width, normal);
      experts(style.experts->up, c.mixture.width, c.width, normal);
      experts(style.experts->down, c.width, c.mixture.width, residual);
    } else {
      if (style.fusedProjections) {
        linear(at + ".mlp.gate_up_proj", 2 * c.ffnWidth, c.width, normal, c.mlpBiases);
      } else {
        linear(at + ".mlp.gate_proj", c.ffnWidth, c.width, normal, c.mlpBiases);
        linear(at + ".mlp.up_proj", c.ffnWidth, c.width, normal, c.mlpBiases);
      }
      linear(at + ".mlp.down_proj", c.width, c.ffnWidth, residual, c.mlpBiases);
    }
    if (style.sandwichNorms)
      norm(at + norms.afterMlp, c.width);
  }
  norm("model.norm", c.width);
  if (!c.tiedHead)
    table.push_back({"lm_head.weight", {c.vocab, c.width}, 0, normal});
  return table;
}

/// What the rotation of every layer needs.
struct Rotation {
  Value positions;          ///< f32 [T]
  Value inverseFrequencies; ///< f32 [dims / 2]
  int64_t dims;             ///< leading features of a head that turn
  double factor;            ///< of cos and sin

  /// x [B, T, H, D] -> the same.
  Value operator()(lm::GraphBuilder g, Value x) const {
    int64_t D = lm::shapeOf(x)[3].size;
    Value turning = dims == D ? x : g.slice(x, 3, 0, dims);
    Value y = g.b.create<lm::RopeOp>(g.loc, turning, positions, inverseFrequencies,
                                     /*inverse=*/false);
    if (factor != 1)
      y = g.mul(y, factor);
    return dims == D ? y : g.concat({y, g.slice(x, 3, dims, D - dims)}, 3);
  }
};

class Decoder {
public:
  Decoder(ModelGraph &m, Value tokens) : m(m), c(m.config), style(*decoderStyle(c.architecture)) {
    lm::GraphBuilder g = m.g.at("rope");
    RopeConfig rope = c.rope;
    if (rope.dims == 0)
      rope.dims = c.headDim;
    Value positions = g.convert(positionIds(m, "rope", tokens), g.b.getF32Type());
    // One rotation for a whole program, so that cached keys stay right: that of its longest sequence.
    bool beyond = m.longest > rope.originalContext;
    global = {positions, g.vector(inverseFrequencies(rope, beyond)), rope.dims,
              rope.attentionFactor};
    local = global;
    if (style.localRotation) {
      RopeConfig own;
      own.theta = c.localRopeTheta, own.dims = rope.dims;
      local = {positions, g.vector(inverseFrequencies(own, false)), own.dims, 1};
    }
  }

  /// x [B, T, C] -> the same.
  Value layer(int64_t index, Value x) {
    std::string path = "layers." + std::to_string(index);
    x = block(path + ".attn", index, x, norms.beforeAttention, norms.afterAttention,
              [&](Value n) { return attention(index, path + ".attn", n); });
    return block(path + ".mlp", index, x, norms.beforeMlp, norms.afterMlp, [&](Value n) {
      return hasExperts(c, index) ? mixture(index, path + ".mlp", n) : mlp(index, path + ".mlp", n);
    });
  }

private:
  /// x + norm(body(norm(x))); the second norm only where the family has it.
  Value block(const std::string &path, int64_t index, Value x, const std::string &before,
              const std::string &after, llvm::function_ref<Value(Value)> body) {
    std::string at = "model.layers." + std::to_string(index);
    Value y = body(rmsNorm(m, path + "_norm", at + before, x));
    if (style.sandwichNorms)
      y = rmsNorm(m, path + "_post_norm", at + after, y);
    return m.g.at(path).add(x, y);
  }

  Value project(const std::string &path, int64_t index, const std::string &part, Value x) {
    std::string name = "model.layers." + std::to_string(index) + part;
    return linear(m, path + part.substr(part.rfind('.')), name, x, WeightLayout::OutIn);
  }

  /// o_proj(attention(rope(norm(q)), rope(norm(k)), v)).
  Value attention(int64_t index, const std::string &path, Value x) {
    auto [q, k, v] = projectHeads(index, path, x);
    bool windowed = std::ranges::binary_search(c.windowLayers, index);
    const Rotation &rotate = windowed ? local : global;
    auto turned = [&](const char *which, Value heads) {
      std::string at = path + "." + which;
      if (style.qkNorm)
        heads = rmsNorm(m, at + "_norm",
                        "model.layers." + std::to_string(index) + ".self_attn." + which + "_norm",
                        heads);
      return rotate(m.g.at(at + "_rope"), heads);
    };
    AttentionOptions options;
    options.softCap = c.attentionCap;
    if (c.queryScalar != 0)
      options.scale = 1 / std::sqrt(c.queryScalar);
    if (windowed && c.window < c.context)
      options.window = c.window;
    Value out = attend(m, path, index, turned("q", q), turned("k", k), v, options);
    return project(path, index, ".self_attn.o_proj", out);
  }

  /// x [B, T, C] -> q [B, T, H, D], k and v [B, T, G, D].
  std::tuple<Value, Value, Value> projectHeads(int64_t index, const std::string &path, Value x) {
    auto heads = [&](const std::string &which) {
      Value y = project(path, index, ".self_attn." + which, x);
      return splitLast(m.g.at(path + "." + which), y, c.headDim);
    };
    if (!style.fusedProjections)
      return {heads("q_proj"), heads("k_proj"), heads("v_proj")};
    Value qkv = heads("qkv_proj"); // [B, T, H + 2G, D]: q, k and v are runs of heads
    lm::GraphBuilder g = m.g.at(path + ".qkv_proj");
    return {g.slice(qkv, 2, 0, c.heads), g.slice(qkv, 2, c.heads, c.kvHeads),
            g.slice(qkv, 2, c.heads + c.kvHeads, c.kvHeads)};
  }

  /// down_proj(act(gate_proj(x)) * up_proj(x)).
  Value mlp(int64_t index, const std::string &path, Value x) {
    Value gate, up;
    lm::GraphBuilder g = m.g.at(path + ".glu");
    if (style.fusedProjections) {
      Value both = project(path, index, ".mlp.gate_up_proj", x);
      gate = g.slice(both, 2, 0, c.ffnWidth), up = g.slice(both, 2, c.ffnWidth, c.ffnWidth);
    } else {
      gate = project(path, index, ".mlp.gate_proj", x);
      up = project(path, index, ".mlp.up_proj", x);
    }
    return project(path, index, ".mlp.down_proj", gated(path, gate, up));
  }

  /// The sum over the chosen experts of probability * down(act(gate(x)) * up(x)). Slots come first,
  /// [k, B, T]: one sum over leading dimensions adds them up.
  Value mixture(int64_t index, const std::string &path, Value x) {
    const ExpertStyle &names = *style.experts;
    std::string at = "model.layers." + std::to_string(index);
    Value scores = linear(m, path + ".router", at + std::string(names.block) + ".gate", x,
                          WeightLayout::OutIn);
    lm::GraphBuilder g = m.g.at(path + ".router");
    Value probabilities = g.b.create<lm::SoftmaxOp>(g.loc, scores);
    auto chosen = g.b.create<lm::TopKOp>(g.loc, probabilities, c.mixture.perToken);
    Value weights = chosen.getValues(); // [B, T, k]
    if (c.mixture.normalized)
      weights = g.div(weights, g.perRow(g.sumLast(weights), weights));
    Value ids = g.transpose(chosen.getIds(), {2, 0, 1});
    auto rows = g.b.create<lm::GroupRowsOp>(g.loc, ids, c.mixture.experts);
    auto product = [&](std::string_view part, Value left) -> Value {
      lm::GraphBuilder own = m.g.at(path + ".experts." + std::string(part));
      return own.b.create<lm::ExpertMatmulOp>(
          own.loc, left, m.parameter(expertsName(at, names, part)), rows.getOrder(),
          rows.getStarts(), /*transpose_b=*/true);
    };
    Value y = product(names.down, gated(path, product(names.gate, x), product(names.up, x)));
    lm::GraphBuilder sum = m.g.at(path + ".sum");
    return sum.sum(sum.mul(y, sum.perRow(sum.transpose(weights, {2, 0, 1}), y)), {0});
  }

  /// act(gate) * up.
  Value gated(const std::string &path, Value gate, Value up) {
    lm::GraphBuilder g = m.g.at(path + ".glu");
    return style.activation == Activation::Silu ? Value(g.b.create<lm::SwigluOp>(g.loc, gate, up))
                                                : g.mul(activate(g, style.activation, gate), up);
  }

  ModelGraph &m;
  const ModelConfig &c;
  const DecoderStyle &style;
  const NormNames norms{style};
  Rotation global, local;
};

Value hidden(ModelGraph &m, Value tokens) {
  Value x = embed(m, "embed.token", "model.embed_tokens", tokens);
  if (decoderStyle(m.config.architecture)->scaledEmbedding)
    x = m.g.at("embed.scale").mul(x, std::sqrt(static_cast<double>(m.config.width)));
  Decoder decoder(m, tokens);
  for (int64_t layer = 0; layer < m.config.layers; ++layer)
    x = decoder.layer(layer, x);
  return x;
}

Value logits(ModelGraph &m, Value x) {
  Value normed = rmsNorm(m, "norm", "model.norm", x);
  StringRef table = m.config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight";
  Value y = headLogits(m, "head", table, normed);
  double cap = m.config.logitCap;
  if (cap == 0)
    return y;
  lm::GraphBuilder g = m.g.at("head.cap");
  return g.mul(g.tanh(g.mul(y, 1 / cap)), cap);
}

} // namespace

const ModelFamily decoderFamily = {
    parameters, hidden, logits, "model.embed_tokens.weight", "model.", {".rotary_emb.inv_freq"}};

} // namespace lmc
