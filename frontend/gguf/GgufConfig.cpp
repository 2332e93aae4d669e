#include "frontend/gguf/GgufFamily.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/GgufRope.h"
#include "frontend/gguf/GgufTokenizer.h"

#include "frontend/DecoderSpec.h"
#include "frontend/ModelLimits.h"

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

constexpr std::string_view windowKey = "attention.sliding_window",
                           patternKey = "attention.sliding_window_pattern",
                           scaleKey = "attention.scale", expertsKey = "expert_count",
                           usedKey = "expert_used_count",
                           expertWidthKey = "expert_feed_forward_length",
                           normalizedKey = "expert_weights_norm";

/// Keys beside those of the tables that leave the numbers alone, or that are read below.
constexpr std::string_view otherKeys[] = {
    windowKey,    patternKey,           scaleKey,      "attention.value_length",
    "vocab_size", "tensor_data_layout", "pooling_type"};

/// And of families with experts.
constexpr std::string_view expertKeys[] = {expertsKey, usedKey, expertWidthKey, normalizedKey};

/// Keys that change the numbers, but for one or two values.
struct FixedKey {
  std::string_view key;
  double only, also;
  std::string_view why;
};
constexpr FixedKey fixedKeys[] = {
    {expertsKey, 0, 0, "mixtures of experts are not supported in this architecture"},
    {usedKey, 0, 0, "mixtures of experts are not supported in this architecture"},
    {"expert_shared_count", 0, 0, "experts that all tokens share are not supported"},
    {"expert_shared_feed_forward_length", 0, 0, "experts that all tokens share are not supported"},
    {"expert_group_count", 0, 1, "groups of experts are not supported"},
    {"expert_group_used_count", 0, 1, "groups of experts are not supported"},
    {"expert_gating_func", 1, 0, "only softmax (1) over the experts is supported"},
    {"expert_weights_scale", 1, 0, "scaled weights of experts are not supported"},
    {"attention.max_alibi_bias", 0, 0, "positions as biases are not supported"},
    {"attention.clamp_kqv", 0, 0, "clamped projections are not supported"},
    {"attention.causal", 1, 1, "attention to later tokens is not supported"},
    {"use_parallel_residual", 0, 0, "parallel residuals are not supported"},
    {"logit_scale", 1, 0, "scaled logits are not supported"},
    {"residual_scale", 1, 0, "scaled residuals are not supported"},
    {"embedding_scale", 1, 0, "scaled embeddings are the architecture's own or none"},
};

struct Reader {
  const GgufFile &file;
  const GgufMetadata &m = file.metadata();
  const GgufFamily &family = ggufFamilyOf(m);
  std::string prefix = fmt::format("{}.", family.name);

  std::string key(std::string_view name) const { return prefix + std::string(name); }

  const ExpertStyle *experts() const {
    const DecoderStyle *style = decoderStyle(family.architecture);
    return style ? style->experts : nullptr;
  }

  void checkKnown() const {
    for (const auto &[whole, value] : m.entries()) {
      if (!whole.starts_with(prefix))
        continue;
      std::string_view name = std::string_view(whole).substr(prefix.size());
      auto isName = [&](const auto &entry) { return entry.key == name; };
      if (experts() && std::ranges::find(expertKeys, name) != std::end(expertKeys))
        continue;
      if (auto fixed = std::ranges::find_if(fixedKeys, isName); fixed != std::end(fixedKeys))
        checkFixed(*fixed);
      else if (std::ranges::find(otherKeys, name) == std::end(otherKeys) &&
               std::ranges::find(ggufRopeKeys(), name) == ggufRopeKeys().end() &&
               std::ranges::none_of(ggufSizes(), isName) &&
               std::ranges::none_of(family.numbers, isName))
        m.bad(whole, "is not understood, and could change what the model computes");
    }
  }

  void checkFixed(const FixedKey &fixed) const {
    std::string name = key(fixed.key);
    bool isFlag = std::holds_alternative<bool>(*m.find(name));
    double value = isFlag ? double(m.boolean(name)) : m.number(name);
    if (value != fixed.only && value != fixed.also)
      m.bad(name, fmt::format("is {}; {}", value, fixed.why));
  }

  int64_t vocab() const {
    const TensorView *table = file.find("token_embd.weight");
    if (!table || table->shape.size() != 2)
      fail("'{}': has no tensor 'token_embd.weight' of shape [vocab, width]", file.path().string());
    int64_t rows = table->shape[0];
    if (int64_t vocab = m.integer(key("vocab_size"), 1, maxVocab, rows); vocab != rows)
      m.bad(key("vocab_size"), fmt::format("is {}, but tensor 'token_embd.weight' is {}", vocab,
                                           shapeText(table->shape)));
    return rows;
  }

  void numbers(ModelConfig &c) const {
    for (const GgufSize &size : ggufSizes())
      c.*size.field = m.integer(key(size.key), size.optional ? 0 : 1, size.most,
                                size.optional ? std::optional<int64_t>(0) : std::nullopt);
    for (const GgufNumber &number : family.numbers) {
      double value = m.number(key(number.key), number.fallback);
      if (value < 0 || (value == 0 && !number.optional))
        m.bad(key(number.key), fmt::format("is {}, expected a number above 0", value));
      number.field(c) = value;
    }
  }

  void checkValueLength(const ModelConfig &c) const {
    std::string name = key("attention.value_length");
    if (int64_t size = m.integer(name, 0, maxWidth, c.headDim); size != c.headDim)
      m.bad(name, fmt::format("is {}, only the keys' {} is supported", size, c.headDim));
  }

  void ids(ModelConfig &c) const {
    GgufTokenizer tokenizer = readGgufTokenizer(m);
    c.bosId = tokenizer.bos;
    for (const std::optional<int64_t> &id : {tokenizer.eos, tokenizer.eot, tokenizer.eom})
      if (id && std::ranges::find(c.eosIds, *id) == c.eosIds.end())
        c.eosIds.push_back(*id);
  }

  /// Whether each layer has the window.
  std::vector<bool> windowPattern(const ModelConfig &c) const {
    std::string name = key(patternKey);
    const GgufValue *value = m.find(name);
    if (!value || !std::holds_alternative<GgufArray>(*value))
      return ggufWindowPattern(c.layers, m.integer(name, 0, maxLayers, family.windowPattern));
    std::vector<bool> result;
    if (const auto *flags = std::get_if<std::vector<bool>>(&std::get<GgufArray>(*value).elements))
      result = *flags;
    else
      for (int64_t flag : m.integers(name))
        result.push_back(flag != 0);
    if (int64_t(result.size()) != c.layers)
      m.bad(name, fmt::format("has {} elements for {} layers", result.size(), c.layers));
    return result;
  }

  void window(ModelConfig &c) const {
    int64_t window = m.integer(key(windowKey), 0, maxContext, family.window);
    if (window == 0)
      return;
    if (c.architecture == Architecture::Llama)
      c.architecture = Architecture::Mistral;
    std::vector<bool> has = windowPattern(c);
    for (int64_t layer = 0; layer < c.layers; ++layer)
      if (has[layer])
        c.windowLayers.push_back(layer);
    c.window = c.windowLayers.empty() ? 0 : window;
  }

  void mixture(ModelConfig &c, const ExpertStyle &style) const {
    MixtureConfig &mixture = c.mixture;
    mixture.experts = m.integer(key(expertsKey), 1, maxExperts);
    mixture.perToken = m.integer(key(usedKey), 1, mixture.experts);
    mixture.width = m.integer(key(expertWidthKey), 1, 8 * maxWidth,
                              style.isFixed ? std::optional(c.ffnWidth) : std::nullopt);
    mixture.normalized = m.boolean(key(normalizedKey), true);
    if (style.isFixed && mixture.width != c.ffnWidth)
      m.bad(key(expertWidthKey),
            fmt::format("is {}, but experts of {} are as wide as {} says: {}", mixture.width,
                        family.name, key("feed_forward_length"), c.ffnWidth));
    if (style.isFixed && !mixture.normalized)
      m.bad(key(normalizedKey),
            fmt::format("is false, but experts' weights of {} add up to 1", family.name));
    for (int64_t layer = 0; layer < c.layers && !style.isFixed; ++layer)
      if (!file.find(fmt::format("blk.{}.ffn_gate_inp.weight", layer)))
        mixture.denseLayers.push_back(layer);
  }

  void decoder(ModelConfig &c) const {
    readGgufRope(c, file, prefix);
    window(c);
    if (experts())
      mixture(c, *experts());
    c.queryScalar = ggufQueryScalar(family, c);
    if (double scale = m.number(key(scaleKey), 0); scale != 0) {
      c.queryScalar = 1 / (scale * scale);
      // Of most models it is a whole number, whose root is rounded in the file.
      if (double whole = std::round(c.queryScalar);
          std::fabs(whole - c.queryScalar) <= 1e-6 * whole)
        c.queryScalar = whole;
    }
    c.attentionBiases = file.find("blk.0.attn_output.bias") != nullptr;
    c.mlpBiases = file.find("blk.0.ffn_down.bias") != nullptr;
    checkDecoder(c, fmt::format("'{}'", file.path().string()));
  }
};

} // namespace

ModelConfig readGgufConfig(const GgufFile &file) {
  Reader reader(file);
  reader.checkKnown();
  ModelConfig c;
  c.architecture = reader.family.architecture;
  c.activation = reader.family.activation;
  reader.numbers(c);
  c.vocab = reader.vocab();
  c.tiedHead = !file.find("output.weight");
  c.biases = file.find("output_norm.bias") != nullptr;
  reader.ids(c);
  std::string width = reader.key("embedding_length"), heads = reader.key("attention.head_count"),
              kvHeads = heads + "_kv", headDim = reader.key("attention.key_length"),
              vocab = reader.key("vocab_size");
  completeSizes(c, SpecFields(file.path().string()),
                {width, heads, kvHeads, headDim, vocab, "tokenizer.ggml.bos_token_id"});
  reader.checkValueLength(c);
  if (decoderStyle(c.architecture))
    reader.decoder(c);
  return c;
}

GgufConfig writeGgufConfig(const ModelConfig &config, const std::string &name) {
  const GgufFamily &family = ggufFamilyOf(config.architecture);
  ModelConfig c = config;
  if (c.activation != family.activation)
    fail("GGUF's {} knows one activation, which is not the model's", family.name);
  GgufConfig result{GgufMetadata(name), {}};
  GgufMetadata &m = result.metadata;
  std::string prefix = fmt::format("{}.", family.name);
  auto set = [&](std::string_view key, GgufValue value) {
    m.set(prefix + std::string(key), std::move(value));
  };
  m.set("general.architecture", std::string(family.name));
  m.set("general.type", std::string("model"));
  m.set("general.name", name);
  for (const GgufSize &size : ggufSizes())
    set(size.key, uint32_t(c.*size.field));
  for (const GgufNumber &number : family.numbers)
    if (number.field(c) != 0 || number.fallback != 0)
      set(number.key, float(number.field(c)));
  set("attention.value_length", uint32_t(c.headDim));
  set("vocab_size", uint32_t(c.vocab));
  if (!decoderStyle(c.architecture))
    return result;
  result.tables = writeGgufRope(c, prefix, m);
  if (c.hasExperts()) {
    set(expertsKey, uint32_t(c.mixture.experts));
    set(usedKey, uint32_t(c.mixture.perToken));
    if (!decoderStyle(c.architecture)->experts->isFixed)
      set(expertWidthKey, uint32_t(c.mixture.width));
    // Readers of others take it that they add up to 1.
    if (!c.mixture.normalized)
      set(normalizedKey, false);
  }
  // Phi-3's readers want the key in any case.
  if (c.window != family.window || c.architecture == Architecture::Phi3)
    set(windowKey, uint32_t(c.window));
  if (c.window != 0) {
    std::vector<bool> has(c.layers);
    for (int64_t layer : c.windowLayers)
      has[layer] = true;
    if (has != ggufWindowPattern(c.layers, family.windowPattern))
      set(patternKey, GgufArray{has});
  }
  double scalar = c.queryScalar ? c.queryScalar : double(c.headDim),
         own = ggufQueryScalar(family, c);
  if (scalar != (own ? own : double(c.headDim)))
    set(scaleKey, float(1 / std::sqrt(scalar)));
  return result;
}

} // namespace lmc
