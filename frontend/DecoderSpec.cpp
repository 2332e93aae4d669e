#include "frontend/DecoderSpec.h"

#include "frontend/ModelLimits.h"
#include "runtime/NearestWord.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace lmc {
namespace {

using Scaling = RopeConfig::Scaling;

template <typename Visitor, typename Mixture>
void visitExperts(Visitor &visitor, Mixture &mixture) {
  visitor.count("experts", mixture.experts);
  visitor.count("experts_per_token", mixture.perToken);
  visitor.count("expert_width", mixture.width);
  visitor.boolean("normalize_experts", mixture.normalized);
  visitor.list("dense_layers", mixture.denseLayers);
}

/// The one list of keys, for a Visitor that collects, reads or writes them; when() guards keys that
/// mean nothing without others.
template <typename Visitor, typename Config> void visit(Visitor &visitor, Config &c) {
  auto &rope = c.rope;
  Scaling scaling = rope.scaling;
  visitor.positive("rope_theta", rope.theta);
  visitor.optionalCount("rope_dims", rope.dims);
  visitor.choice("rope_scaling", rope.scaling, ropeScalingNames);
  scaling = rope.scaling;
  if (visitor.when(scaling == Scaling::Linear || scaling == Scaling::Llama3 ||
                   scaling == Scaling::Yarn))
    visitor.positive("rope_factor", rope.factor);
  if (visitor.when(scaling == Scaling::Llama3 || scaling == Scaling::Yarn ||
                   scaling == Scaling::LongRope))
    visitor.count("rope_original_context", rope.originalContext);
  if (visitor.when(scaling == Scaling::Llama3)) {
    visitor.positive("rope_low_freq_factor", rope.lowFreqFactor);
    visitor.positive("rope_high_freq_factor", rope.highFreqFactor);
  }
  if (visitor.when(scaling == Scaling::Yarn)) {
    visitor.positive("rope_beta_fast", rope.betaFast);
    visitor.positive("rope_beta_slow", rope.betaSlow);
    visitor.boolean("rope_truncate", rope.truncate);
  }
  if (visitor.when(scaling == Scaling::Yarn || scaling == Scaling::LongRope))
    visitor.positive("rope_attention_factor", rope.attentionFactor);
  if (visitor.when(scaling == Scaling::LongRope)) {
    visitor.list("rope_short_factors", rope.shortFactors);
    visitor.list("rope_long_factors", rope.longFactors);
  }
  if (visitor.when(c.hasLocalRotation()))
    visitor.positive("rope_local_theta", c.localRopeTheta);
  visitor.optionalCount("window", c.window);
  if (visitor.when(c.window > 0))
    visitor.list("window_layers", c.windowLayers);
  visitor.optionalPositive("query_scalar", c.queryScalar);
  visitor.optionalPositive("attention_cap", c.attentionCap);
  visitor.optionalPositive("logit_cap", c.logitCap);
  visitor.boolean("attention_biases", c.attentionBiases);
  visitor.boolean("mlp_biases", c.mlpBiases);
  if (visitor.when(c.hasExperts()))
    visitExperts(visitor, c.mixture);
}

struct Collector {
  std::vector<std::string_view> keys;

  bool when(bool) { return true; }
  template <typename T> void positive(std::string_view key, T &) { keys.push_back(key); }
  template <typename T> void optionalPositive(std::string_view key, T &) { keys.push_back(key); }
  template <typename T> void count(std::string_view key, T &) { keys.push_back(key); }
  template <typename T> void optionalCount(std::string_view key, T &) { keys.push_back(key); }
  template <typename T> void boolean(std::string_view key, T &) { keys.push_back(key); }
  template <typename T> void list(std::string_view key, T &) { keys.push_back(key); }
  template <typename T, typename N> void choice(std::string_view key, T &, const N &) {
    keys.push_back(key);
  }
};

/// Values that are left out keep what the config has.
struct Reader {
  const SpecFields &fields;
  const YAML::Node &mapping;

  bool when(bool holds) { return holds; }
  void positive(std::string_view key, double &value) { value = fields.positive(key, value); }
  void optionalPositive(std::string_view key, double &value) { positive(key, value); }
  void count(std::string_view key, int64_t &value) {
    value = fields.count(key, 1, maxContext, value);
  }
  void optionalCount(std::string_view key, int64_t &value) { count(key, value); }
  void boolean(std::string_view key, bool &value) { value = fields.boolean(key, value); }
  template <typename T> void list(std::string_view key, std::vector<T> &values) {
    if (!fields.has(key))
      return;
    const YAML::Node node = mapping[std::string(key)];
    values.clear();
    try {
      values = node.as<std::vector<T>>();
    } catch (const YAML::Exception &) {
      fields.bad(key, "{}: expected a list of {}", key,
                 std::is_integral_v<T> ? "whole numbers" : "numbers");
    }
  }
  template <typename T, size_t N>
  void choice(std::string_view key, T &value, const std::string_view (&names)[N]) {
    std::string word = fields.text(key, std::string(names[static_cast<size_t>(value)]));
    auto it = std::find(std::begin(names), std::end(names), word);
    if (it == std::end(names))
      fields.bad(key, "{}: expected one of {}, got '{}'{}", key, fmt::join(names, ", "),
                 word.substr(0, 40), nearestWord(word, names));
    value = static_cast<T>(it - std::begin(names));
  }
};

struct Writer {
  std::string text;

  bool when(bool holds) { return holds; }
  template <typename T> void write(std::string_view key, const T &value) {
    text += fmt::format("{}: {}\n", key, value);
  }
  void positive(std::string_view key, double value) { write(key, value); }
  void optionalPositive(std::string_view key, double value) {
    if (value != 0)
      write(key, value);
  }
  void count(std::string_view key, int64_t value) { write(key, value); }
  void optionalCount(std::string_view key, int64_t value) {
    if (value != 0)
      write(key, value);
  }
  void boolean(std::string_view key, bool value) { write(key, value); }
  template <typename T> void list(std::string_view key, const std::vector<T> &values) {
    write(key, fmt::format("[{}]", fmt::join(values, ", ")));
  }
  template <typename T, typename N>
  void choice(std::string_view key, const T &value, const N &names) {
    write(key, names[static_cast<size_t>(value)]);
  }
};

} // namespace

std::vector<std::string_view> decoderSpecKeys() {
  Collector collector;
  ModelConfig any;
  visit(collector, any);
  return collector.keys;
}

void readDecoderSpec(ModelConfig &c, const SpecFields &fields, const YAML::Node &mapping) {
  for (int64_t layer = 0; layer < c.layers; ++layer)
    c.windowLayers.push_back(layer);
  // Scaling decides which factors there are, and the context what they default to.
  c.rope.originalContext = c.context;
  if (c.hasExperts()) {
    c.mixture.experts = 8, c.mixture.perToken = 2; // Mixtral's own
    c.mixture.width = c.ffnWidth;
  } else {
    Collector experts;
    visitExperts(experts, c.mixture);
    for (std::string_view key : experts.keys)
      if (fields.has(key))
        fields.bad(key, "{}: {} has plain MLPs; mixtral and qwen3_moe have experts", key,
                   architectureName(c.architecture));
  }
  Reader reader{fields, mapping};
  visit(reader, c);
  if (c.window == 0)
    c.windowLayers.clear();
  if (c.rope.scaling < Scaling::Llama3)
    c.rope.originalContext = 0;
  bool scaled = c.rope.scaling == Scaling::Yarn || c.rope.scaling == Scaling::LongRope;
  if (scaled && !fields.has("rope_attention_factor"))
    c.rope.attentionFactor = defaultAttentionFactor(
        c.rope.scaling,
        c.rope.scaling == Scaling::Yarn
            ? c.rope.factor
            : static_cast<double>(c.context) / static_cast<double>(c.rope.originalContext),
        c.rope.originalContext);
}

std::string decoderSpecText(const ModelConfig &config) {
  Writer writer;
  visit(writer, config);
  return writer.text;
}

static bool isRisingBelow(int64_t end, const std::vector<int64_t> &numbers) {
  return std::ranges::is_sorted(numbers, std::less_equal()) &&
         (numbers.empty() || (numbers.front() >= 0 && numbers.back() < end));
}

static void checkExperts(const ModelConfig &c, const ExpertStyle &style, const std::string &file) {
  const MixtureConfig &mixture = c.mixture;
  if (mixture.experts < 1 || mixture.experts > maxExperts)
    fail("{}: expected 1 to {} experts, got {}", file, maxExperts, mixture.experts);
  if (mixture.perToken < 1 || mixture.perToken > mixture.experts)
    fail("{}: a token takes 1 to {} of the experts, got {}", file, mixture.experts,
         mixture.perToken);
  if (!isRisingBelow(c.layers, mixture.denseLayers))
    fail("{}: the layers with a plain MLP must be rising numbers in [0, {})", file, c.layers);
  if (c.mlpBiases)
    fail("{}: {} has no biases in its MLPs", file, architectureName(c.architecture));
  if (style.isFixed &&
      (mixture.width != c.ffnWidth || !mixture.normalized || !mixture.denseLayers.empty()))
    fail("{}: every layer of {} has experts as wide as ffn_width ({}), with weights that add up to "
         "1; "
         "qwen3_moe leaves the choice",
         file, architectureName(c.architecture), c.ffnWidth);
}

void checkDecoder(const ModelConfig &c, const std::string &file) {
  const DecoderStyle &style = *decoderStyle(c.architecture);
  const RopeConfig &rope = c.rope;
  std::string_view name = architectureName(c.architecture);
  int64_t dims = rope.dims ? rope.dims : c.headDim;
  if (dims < 2 || dims % 2 || dims > c.headDim)
    fail("{}: rotary positions turn an even number of a head's {} features, got {}", file,
         c.headDim, dims);
  if (rope.scaling == Scaling::Llama3 && rope.lowFreqFactor >= rope.highFreqFactor)
    fail("{}: rope scaling llama3 needs a low_freq_factor ({}) below its high_freq_factor ({})",
         file, rope.lowFreqFactor, rope.highFreqFactor);
  if (rope.scaling == Scaling::Yarn && rope.theta <= 1)
    fail("{}: rope scaling yarn needs a theta above 1, got {}", file, rope.theta);
  if (rope.scaling == Scaling::LongRope) {
    auto size = static_cast<size_t>(dims / 2);
    for (const std::vector<double> *factors : {&rope.shortFactors, &rope.longFactors}) {
      const char *which = factors == &rope.shortFactors ? "short" : "long";
      if (factors->size() != size)
        fail("{}: rope scaling longrope needs {} {} factors, one for each pair of features, got {}",
             file, size, which, factors->size());
      if (!std::ranges::all_of(*factors, [](double f) { return f > 0 && f < 1e9; }))
        fail("{}: the {} factors of longrope must be numbers > 0", file, which);
    }
  }
  if (style.experts)
    checkExperts(c, *style.experts, file);
  if (!isRisingBelow(c.layers, c.windowLayers))
    fail("{}: the layers with a window must be rising numbers in [0, {})", file, c.layers);
  bool some = !c.windowLayers.empty() && static_cast<int64_t>(c.windowLayers.size()) != c.layers;
  if (some && !style.mixedAttention)
    fail("{}: a window holds for every layer of {} or for none", file, name);
  if ((c.attentionCap != 0 || c.logitCap != 0) && !style.caps)
    fail("{}: {} bounds neither scores nor logits", file, name);
}

} // namespace lmc
