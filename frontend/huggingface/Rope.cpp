// Rotary positions in a config.json: `rope_theta` with `rope_scaling` (transformers 4), or
// `rope_parameters` (5). Source: transformers, modeling_rope_utils.
#include "frontend/ModelLimits.h"
#include "frontend/huggingface/ConfigFile.h"

#include <algorithm>
#include <cmath>

namespace lmc::huggingface {
namespace {

using nlohmann::json;
using Scaling = RopeConfig::Scaling;

Scaling readScaling(const SpecFields &fields, const std::string &type, bool longRopeAliases) {
  if (type == "default")
    return Scaling::None;
  // Phi-3's first releases called it so.
  if (longRopeAliases && (type == "su" || type == "yarn"))
    return Scaling::LongRope;
  for (size_t i = 1; i < std::size(ropeScalingNames); ++i)
    if (type == ropeScalingNames[i])
      return static_cast<Scaling>(i);
  fields.bad("rope_type",
             "rope_type '{}' is not supported: expected default, linear, llama3, yarn or "
             "longrope",
             type.substr(0, 40));
}

std::vector<double> readFactors(const SpecFields &fields, const json &object, const char *key) {
  if (!object.contains(key) || !object.at(key).is_array())
    fields.bad(key, "{}: expected a list of numbers", key);
  std::vector<double> factors;
  for (const json &factor : object.at(key)) {
    if (!factor.is_number())
      fields.bad(key, "{}: expected numbers, got {}", key, factor.dump().substr(0, 40));
    factors.push_back(factor.get<double>());
  }
  return factors;
}

/// Yarn's factor on cos and sin, where `mscale` and `mscale_all_dim` may stand in for it.
double yarnAttentionFactor(const SpecFields &fields, const RopeConfig &rope) {
  if (!fields.has("mscale") || !fields.has("mscale_all_dim"))
    return defaultAttentionFactor(Scaling::Yarn, rope.factor, rope.originalContext);
  auto scaled = [&](const char *key) {
    return rope.factor <= 1 ? 1 : 0.1 * fields.positive(key) * std::log(rope.factor) + 1;
  };
  return scaled("mscale") / scaled("mscale_all_dim");
}

/// One rotation from its object; `theta` and `share` are what stands outside of it.
RopeConfig readRotation(const ConfigFile &file, const json &object, std::string_view holder,
                        double theta, double share, const ModelConfig &c) {
  if (!object.is_object())
    file.fields.bad(holder, "{}: expected an object or null", holder);
  SpecFields fields = nestedFields(file, object, holder);
  RopeConfig rope;
  std::string type = fields.text("rope_type", fields.text("type", "default"));
  rope.scaling = readScaling(fields, type, c.architecture == Architecture::Phi3);
  std::vector<std::string_view> known = {"rope_type", "type", "rope_theta", "partial_rotary_factor",
                                         "finetuned"};
  auto allow = [&](std::initializer_list<std::string_view> keys) {
    known.insert(known.end(), keys);
  };
  bool trained = rope.scaling >= Scaling::Llama3; // knows the context of the first training
  if (rope.scaling != Scaling::None)
    allow({"factor"});
  if (trained)
    allow({"original_max_position_embeddings"});
  if (rope.scaling == Scaling::Llama3)
    allow({"low_freq_factor", "high_freq_factor"});
  if (rope.scaling == Scaling::Yarn)
    allow({"beta_fast", "beta_slow", "truncate", "mscale", "mscale_all_dim", "attention_factor"});
  if (rope.scaling == Scaling::LongRope)
    allow({"short_factor", "long_factor", "attention_factor"});
  fields.checkKnown(known);

  rope.theta = fields.positive("rope_theta", theta);
  share = fields.positive("partial_rotary_factor", share);
  if (share > 1)
    fields.bad("partial_rotary_factor", "partial_rotary_factor: expected at most 1, got {}", share);
  if (share < 1)
    rope.dims = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(c.headDim) * share));
  if (trained) {
    int64_t outside =
        file.fields.count("original_max_position_embeddings", 1, maxContext, c.context);
    // Where both stand, transformers takes the outer one.
    rope.originalContext =
        file.fields.has("original_max_position_embeddings")
            ? outside
            : fields.count("original_max_position_embeddings", 1, maxContext, c.context);
  }
  double stretch =
      trained ? static_cast<double>(c.context) / static_cast<double>(rope.originalContext) : 1;
  switch (rope.scaling) {
  case Scaling::None:
    break;
  case Scaling::Linear:
    rope.factor = fields.positive("factor");
    break;
  case Scaling::Llama3:
    rope.factor = fields.positive("factor");
    rope.lowFreqFactor = fields.positive("low_freq_factor");
    rope.highFreqFactor = fields.positive("high_freq_factor");
    break;
  case Scaling::Yarn:
    rope.factor = fields.positive("factor", stretch);
    rope.betaFast = fields.positive("beta_fast", rope.betaFast);
    rope.betaSlow = fields.positive("beta_slow", rope.betaSlow);
    rope.truncate = fields.boolean("truncate", true);
    rope.attentionFactor = fields.positive("attention_factor", yarnAttentionFactor(fields, rope));
    break;
  case Scaling::LongRope:
    rope.shortFactors = readFactors(fields, object, "short_factor");
    rope.longFactors = readFactors(fields, object, "long_factor");
    rope.attentionFactor = fields.positive(
        "attention_factor",
        defaultAttentionFactor(Scaling::LongRope, fields.positive("factor", stretch),
                               rope.originalContext));
    break;
  }
  return rope;
}

json writeScaling(const RopeConfig &rope) {
  json out = {{"rope_type", ropeScalingNames[static_cast<size_t>(rope.scaling)]}};
  if (rope.scaling == Scaling::Linear || rope.scaling == Scaling::Llama3 ||
      rope.scaling == Scaling::Yarn)
    out["factor"] = rope.factor;
  if (rope.scaling >= Scaling::Llama3)
    out["original_max_position_embeddings"] = rope.originalContext;
  if (rope.scaling == Scaling::Llama3) {
    out["low_freq_factor"] = rope.lowFreqFactor;
    out["high_freq_factor"] = rope.highFreqFactor;
  } else if (rope.scaling == Scaling::Yarn) {
    out["beta_fast"] = rope.betaFast;
    out["beta_slow"] = rope.betaSlow;
    out["truncate"] = rope.truncate;
    out["attention_factor"] = rope.attentionFactor;
  } else if (rope.scaling == Scaling::LongRope) {
    out["short_factor"] = rope.shortFactors;
    out["long_factor"] = rope.longFactors;
    out["attention_factor"] = rope.attentionFactor;
  }
  return out;
}

} // namespace

std::vector<std::string_view> ropeKeys(const DecoderStyle &style) {
  std::vector<std::string_view> keys = {"rope_theta", "rope_scaling", "rope_parameters",
                                        "partial_rotary_factor",
                                        "original_max_position_embeddings"};
  if (style.localRotation)
    keys.push_back("rope_local_base_freq");
  return keys;
}

void readRope(ModelConfig &c, const ConfigFile &file, double defaultTheta) {
  const SpecFields &fields = file.fields;
  double theta = fields.positive("rope_theta", defaultTheta);
  double share = fields.positive("partial_rotary_factor", 1);
  std::string_view holder = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (fields.has("rope_parameters") && fields.has("rope_scaling"))
    fields.bad("rope_scaling",
               "rope_scaling and rope_parameters are given; transformers writes one");
  json object = fields.has(holder) ? file.root.at(std::string(holder)) : json::object();
  if (!c.hasLocalRotation()) {
    c.rope = readRotation(file, object, holder, theta, share, c);
    return;
  }
  c.localRopeTheta = fields.positive("rope_local_base_freq", 10000);
  if (holder == "rope_parameters" && object.is_object()) {
    SpecFields kinds = nestedFields(file, object, holder);
    constexpr std::string_view known[] = {"full_attention", "sliding_attention"};
    kinds.checkKnown(known);
    auto kind = [&](const char *name) {
      return kinds.has(name) ? object.at(name) : json::object();
    };
    RopeConfig local =
        readRotation(file, kind("sliding_attention"), holder, c.localRopeTheta, share, c);
    if (local.scaling != Scaling::None)
      fields.bad(holder, "{}: layers with a window have unscaled positions here", holder);
    c.localRopeTheta = local.theta;
    object = kind("full_attention");
  }
  c.rope = readRotation(file, object, holder, theta, share, c);
}

void writeRope(const ModelConfig &c, nlohmann::ordered_json &out) {
  out["rope_theta"] = c.rope.theta;
  if (c.hasLocalRotation())
    out["rope_local_base_freq"] = c.localRopeTheta;
  if (c.rope.dims != 0)
    out["partial_rotary_factor"] =
        static_cast<double>(c.rope.dims) / static_cast<double>(c.headDim);
  if (c.rope.scaling != Scaling::None)
    out["rope_scaling"] = writeScaling(c.rope);
  if (c.rope.scaling == Scaling::LongRope) // which Phi-3 reads here
    out["original_max_position_embeddings"] = c.rope.originalContext;
}

} // namespace lmc::huggingface
