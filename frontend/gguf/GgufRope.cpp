#include "frontend/gguf/GgufRope.h"

#include "frontend/ModelLimits.h"

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

using Scaling = RopeConfig::Scaling;

constexpr std::string_view freqs = "rope_freqs.weight", longFactors = "rope_factors_long.weight",
                           shortFactors = "rope_factors_short.weight";

constexpr std::string_view dimsKey = "rope.dimension_count", typeKey = "rope.scaling.type",
                           factorKey = "rope.scaling.factor", oldFactorKey = "rope.scale_linear",
                           contextKey = "rope.scaling.original_context_length",
                           attentionKey = "rope.scaling.attn_factor",
                           yarnAttentionKey = "rope.scaling.yarn_attn_factor",
                           betaFastKey = "rope.scaling.yarn_beta_fast",
                           betaSlowKey = "rope.scaling.yarn_beta_slow",
                           extrapolationKey = "rope.scaling.yarn_ext_factor",
                           logMultiplierKey = "rope.scaling.yarn_log_multiplier";
constexpr std::string_view keys[] = {dimsKey,          typeKey,          factorKey,
                                     oldFactorKey,     contextKey,       attentionKey,
                                     betaFastKey,      betaSlowKey,      extrapolationKey,
                                     logMultiplierKey, yarnAttentionKey, "rope.scaling.finetuned"};

/// Llama 3.1 was trained on this many positions first; its files do not say so.
constexpr int64_t llama3Context = 8192;

std::string at(const std::string &prefix, std::string_view key) {
  return prefix + std::string(key);
}

std::vector<double> readTable(const GgufFile &file, std::string_view name, int64_t dims) {
  const TensorView &view = *file.find(std::string(name));
  if (view.shape != std::vector<int64_t>{dims / 2})
    fail("'{}': tensor '{}' is {}, expected [{}]: one factor for each pair of features",
         file.path().string(), name, shapeText(view.shape), dims / 2);
  std::vector<float> values(dims / 2);
  readAsF32(view, values);
  std::vector<double> factors;
  for (float value : values)
    factors.push_back(meantNumber(value));
  return factors;
}

/// The settings of Llama 3.1 and later that give these factors.
std::optional<RopeConfig> asLlama3(const RopeConfig &rope, const std::vector<double> &factors,
                                   std::optional<int64_t> context) {
  RopeConfig llama3 = rope;
  llama3.scaling = Scaling::Llama3;
  llama3.factor = *std::ranges::max_element(factors);
  llama3.originalContext = context.value_or(llama3Context);
  std::vector<double> own = frequencyFactors(llama3, false);
  // Writers compute in f32.
  bool same = std::ranges::equal(
      own, factors, [](double a, double b) { return std::fabs(a - b) <= 1e-5 * std::fabs(b); });
  return same ? std::optional(llama3) : std::nullopt;
}

/// A factor of cos and sin; `own` where the file's f32 is its rounding.
double attentionFactor(double read, double own) { return float(read) == float(own) ? own : read; }

void readYarn(RopeConfig &rope, const GgufMetadata &m, const std::string &prefix) {
  rope.betaFast = m.number(at(prefix, betaFastKey), rope.betaFast);
  rope.betaSlow = m.number(at(prefix, betaSlowKey), rope.betaSlow);
  for (auto [key, only] : {std::pair(extrapolationKey, 1.0), {logMultiplierKey, 0.0}})
    if (m.number(at(prefix, key), only) != only)
      m.bad(at(prefix, key),
            fmt::format("is {}, only {} is supported", m.number(at(prefix, key)), only));
  // Files have the factor of cos and sin, or what it is beyond yarn's own.
  double own = defaultAttentionFactor(Scaling::Yarn, rope.factor, rope.originalContext);
  double read = m.number(at(prefix, yarnAttentionKey), own * m.number(at(prefix, attentionKey), 1));
  if (read <= 0)
    m.bad(at(prefix, attentionKey), "expected a number above 0");
  rope.attentionFactor = attentionFactor(read, own);
}

void readScaling(RopeConfig &rope, const GgufMetadata &m, const std::string &prefix,
                 int64_t context) {
  std::string key = at(prefix, typeKey);
  rope.factor = m.number(at(prefix, factorKey), m.number(at(prefix, oldFactorKey), 1));
  if (rope.factor == 0) // as some writers say it
    rope.factor = 1;
  if (rope.factor < 0)
    m.bad(at(prefix, factorKey), fmt::format("is {}, expected a number above 0", rope.factor));
  std::string type = m.text(key, "linear"); // which llama.cpp takes where no type is given
  if (type == "yarn") {
    rope.scaling = Scaling::Yarn;
    rope.originalContext = m.integer(at(prefix, contextKey), 1, maxContext, context);
    readYarn(rope, m, prefix);
  } else if (type == "linear" && rope.factor != 1) {
    rope.scaling = Scaling::Linear;
  } else {
    rope.factor = 1;
    if (type != "linear" && type != "none" && type != "longrope")
      m.bad(key,
            fmt::format("is '{}', known are none, linear, yarn and longrope", type.substr(0, 40)));
  }
}

} // namespace

bool isGgufTable(std::string_view name) {
  return name == freqs || name == longFactors || name == shortFactors;
}

std::span<const std::string_view> ggufRopeKeys() { return keys; }

void readGgufRope(ModelConfig &c, const GgufFile &file, const std::string &prefix) {
  const GgufMetadata &m = file.metadata();
  RopeConfig &rope = c.rope;
  rope.dims = m.integer(at(prefix, dimsKey), 2, c.headDim, c.headDim);
  readScaling(rope, m, prefix, c.context);
  auto has = [&](std::string_view name) { return file.find(std::string(name)) != nullptr; };
  bool isLong = has(longFactors) || has(shortFactors);
  if (rope.scaling != Scaling::None && (has(freqs) || isLong))
    m.bad(at(prefix, typeKey), fmt::format("is '{}', but the file has factors of frequencies too",
                                           ropeScalingNames[size_t(rope.scaling)]));
  std::optional<int64_t> context;
  if (m.find(at(prefix, contextKey)))
    context = m.integer(at(prefix, contextKey), 1, maxContext);
  if (isLong) {
    for (std::string_view name : {longFactors, shortFactors})
      if (!has(name))
        fail("'{}': has no tensor '{}', but the other factors", file.path().string(), name);
    rope.scaling = Scaling::LongRope;
    rope.originalContext = context.value_or(c.context);
    rope.shortFactors = readTable(file, shortFactors, rope.dims);
    rope.longFactors = readTable(file, longFactors, rope.dims);
    rope.attentionFactor = attentionFactor(
        m.number(at(prefix, attentionKey), 1),
        defaultAttentionFactor(Scaling::LongRope, double(c.context) / double(rope.originalContext),
                               rope.originalContext));
  } else if (m.text(at(prefix, typeKey), "") == "longrope") {
    m.bad(at(prefix, typeKey),
          fmt::format("is 'longrope', but tensor '{}' is missing", longFactors));
  } else if (has(freqs)) {
    std::vector<double> factors = readTable(file, freqs, rope.dims);
    if (std::optional<RopeConfig> llama3 = asLlama3(rope, factors, context)) {
      rope = *llama3;
    } else {
      rope.scaling = Scaling::LongRope;
      rope.originalContext = c.context;
      rope.shortFactors = rope.longFactors = factors;
    }
  }
  if (rope.dims == c.headDim)
    rope.dims = 0;
}

std::vector<GgufTable> writeGgufRope(const ModelConfig &c, const std::string &prefix,
                                     GgufMetadata &m) {
  RopeConfig rope = c.rope;
  if (rope.dims == 0)
    rope.dims = c.headDim;
  auto set = [&](std::string_view key, GgufValue value) {
    m.set(at(prefix, key), std::move(value));
  };
  auto table = [](std::string_view name, const std::vector<double> &values) {
    return GgufTable{std::string(name), std::vector<float>(values.begin(), values.end())};
  };
  set(dimsKey, uint32_t(rope.dims));
  if (rope.scaling == Scaling::LongRope && rope.shortFactors == rope.longFactors &&
      rope.attentionFactor == 1) // one rotation for all lengths
    return {table(freqs, rope.longFactors)};
  if (rope.scaling >= Scaling::Llama3)
    set(contextKey, uint32_t(rope.originalContext));
  switch (rope.scaling) {
  case Scaling::None:
    return {};
  case Scaling::Linear:
    set(typeKey, std::string("linear"));
    set(factorKey, float(rope.factor));
    return {};
  case Scaling::Llama3:
    return {table(freqs, frequencyFactors(rope, false))};
  case Scaling::Yarn: {
    if (!rope.truncate)
      fail("GGUF has no key for yarn without whole dimensions (truncate: false)");
    set(typeKey, std::string("yarn"));
    set(factorKey, float(rope.factor));
    set(betaFastKey, float(rope.betaFast));
    set(betaSlowKey, float(rope.betaSlow));
    double own = defaultAttentionFactor(Scaling::Yarn, rope.factor, rope.originalContext);
    if (rope.attentionFactor != own) { // llama.cpp's writer has the one, its reader takes the other
      set(yarnAttentionKey, float(rope.attentionFactor));
      set(attentionKey, float(rope.attentionFactor / own));
    }
    return {};
  }
  case Scaling::LongRope:
    set(typeKey, std::string("longrope"));
    set(attentionKey, float(rope.attentionFactor));
    return {table(longFactors, rope.longFactors), table(shortFactors, rope.shortFactors)};
  }
  return {};
}

} // namespace lmc
