#include "frontend/gguf/QuantizationMix.h"

#include "frontend/ModelLimits.h"
#include "runtime/Error.h"

#include <algorithm>
#include <charconv>

namespace lmc {
namespace {

using enum TensorType;

bool always(int64_t, const MixFacts &) { return true; }
bool firstTwo(int64_t layer, const MixFacts &) { return layer < 2; }
bool firstFour(int64_t layer, const MixFacts &) { return layer < 4; }
bool firstEighth(int64_t layer, const MixFacts &m) { return layer < m.layers / 8; }
bool firstSixteenth(int64_t layer, const MixFacts &m) { return layer < m.layers / 16; }
/// The first and the last eighth, and every third layer between them.
bool moreBits(int64_t layer, const MixFacts &m) {
  int64_t eighth = m.layers / 8;
  return layer < eighth || layer >= 7 * m.layers / 8 || (layer - eighth) % 3 == 2;
}
/// Four or more query heads share a value head, so that its projection is small.
bool sharedValues(int64_t, const MixFacts &m) { return m.heads >= 4 * m.kvHeads; }

const QuantizationMix mixes[] = {
    {"f32", F32, 0},
    {"f16", F16, 1},
    {"bf16", BF16, 32},
    {"q8_0", Q8_0, 7},
    {"q6_k", Q6_K, 18},
    {"q5_k_m", Q5_K, 17, {{Q6_K, moreBits}}, {{Q6_K, moreBits}}},
    {"q5_k_s", Q5_K, 16},
    {"q5_1", Q5_1, 9},
    {"q5_0", Q5_0, 8},
    {"q4_k_m", Q4_K, 15, {{Q6_K, moreBits}}, {{Q6_K, moreBits}}, {}, Q5_K},
    {"q4_k_s", Q4_K, 14, {{Q5_K, firstFour}}, {{Q5_K, firstEighth}}, {}, Q5_K},
    {"q4_1", Q4_1, 3},
    {"q4_0", Q4_0, 2},
    {"iq4_nl", IQ4_NL, 25, {{Q5_K, sharedValues}}, {{Q5_K, firstEighth}}, {}, Q5_K},
    {"mxfp4", MXFP4, 38},
    {"q3_k_l", Q3_K, 13, {{Q5_K, always}}, {{Q5_K, always}}, {{Q5_K, always}}},
    {"q3_k_m",
     Q3_K,
     12,
     {{Q5_K, firstTwo}, {Q4_K, always}},
     {{Q5_K, firstSixteenth}, {Q4_K, always}},
     {{Q4_K, always}},
     Q5_K},
    {"q3_k_s", Q3_K, 11, {}, {}, {}, Q5_K},
    {"q2_k",
     Q2_K,
     10,
     {{Q4_K, sharedValues}, {Q3_K, always}},
     {{Q3_K, always}},
     {{Q3_K, always}},
     Q5_K},
    {"q2_k_s", Q2_K, 21, {{Q4_K, sharedValues}}, {{Q4_K, firstEighth}}},
};

/// What stands in for super-blocks where rows are no multiple of 256; f16 where these do not fit
/// either.
constexpr std::pair<TensorType, TensorType> standIns[] = {
    {Q2_K, Q4_0}, {Q3_K, Q4_0}, {Q4_K, Q5_0}, {Q5_K, Q5_1}, {Q6_K, Q8_0},
};

bool fits(TensorType type, int64_t columns) { return columns % formatOf(type).blockElements == 0; }

bool isQuantisable(std::string_view name, std::span<const int64_t> shape) {
  return shape.size() >= 2 && name.ends_with("weight") &&
         name.find("_norm.weight") == std::string_view::npos && name != "position_embd.weight" &&
         name != "token_types.weight" && name.find("ffn_gate_inp.weight") == std::string_view::npos;
}

/// The tensor's kind, "attn_v.weight" of "blk.3.attn_v.weight", and its layer.
std::pair<std::string_view, int64_t> kindOf(std::string_view name) {
  if (!name.starts_with("blk."))
    return {name, 0};
  name.remove_prefix(4);
  int64_t layer = 0;
  auto end = std::from_chars(name.data(), name.data() + name.size(), layer).ptr;
  name.remove_prefix(end - name.data());
  if (name.starts_with('.'))
    name.remove_prefix(1);
  return {name, layer};
}

/// The type that the rules want, whatever the rows' length.
TensorType ruled(const QuantizationMix &mix, const MixFacts &facts, std::string_view name,
                 std::span<const int64_t> shape) {
  if (name == "output.weight" || (facts.tiedHead && name == "token_embd.weight")) {
    if (!fits(mix.type, shape.back()) || mix.type == Q8_0 || mix.type == MXFP4)
      return Q8_0;
    return Q6_K;
  }
  if (facts.experts && mix.type == MXFP4)
    return shape.size() == 3 ? MXFP4 : Q8_0;
  auto [kind, layer] = kindOf(name);
  const std::vector<MixRule> *rules = nullptr;
  bool isV = kind == "attn_v.weight" || kind == "attn_qkv.weight";
  // Beside so many experts attention is small.
  if (facts.experts == 8 && (isV || kind == "attn_k.weight"))
    return Q8_0;
  if (facts.experts == 8 && kind == "attn_output.weight")
    return mix.outputOfEight.value_or(mix.type);
  if (isV)
    rules = &mix.attentionV;
  else if (kind.starts_with("ffn_down"))
    rules = &mix.feedForwardDown;
  else if (kind == "attn_output.weight")
    rules = &mix.attentionOutput;
  TensorType type = mix.type;
  if (rules)
    if (auto rule = std::ranges::find_if(
            *rules, [&, at = layer](const MixRule &rule) { return rule.when(at, facts); });
        rule != rules->end())
      type = rule->type;
  return isV && facts.is70B && (type == Q3_K || type == Q4_K) ? Q5_K : type;
}

} // namespace

MixFacts mixFactsOf(const GgufMetadata &m, bool tiedHead) {
  std::string architecture = m.text("general.architecture");
  auto key = [&](const char *name) { return fmt::format("{}.{}", architecture, name); };
  MixFacts facts;
  facts.layers = m.integer(key("block_count"), 1, maxLayers);
  facts.heads = m.integer(key("attention.head_count"), 1, maxWidth);
  facts.kvHeads = m.integer(key("attention.head_count_kv"), 1, maxWidth, facts.heads);
  facts.tiedHead = tiedHead;
  facts.experts = m.integer(key("expert_count"), 0, maxExperts, 0);
  facts.is70B = architecture == "llama" && facts.layers == 80 && facts.heads != facts.kvHeads;
  return facts;
}

std::span<const QuantizationMix> quantizationMixes() { return mixes; }

const QuantizationMix &quantizationMix(std::string_view name) {
  std::string lower(name), known;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const QuantizationMix &mix : mixes) {
    if (mix.name == lower)
      return mix;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", mix.name);
  }
  throw UsageError(fmt::format("type '{}' is unknown; known are {}", name, known));
}

TensorChoice chooseType(const QuantizationMix &mix, const MixFacts &facts, std::string_view name,
                        std::span<const int64_t> shape, TensorType stored) {
  if (!isQuantisable(name, shape))
    return {stored == F16 || stored == BF16 ? F32 : stored};
  int64_t columns = shape.back();
  TensorType type = formatOf(mix.type).isQuantised() ? ruled(mix, facts, name, shape) : mix.type;
  if (fits(type, columns))
    return {type};
  for (const auto &[from, to] : standIns)
    if (from == type && fits(to, columns))
      return {to, type};
  return {F16, type};
}

} // namespace lmc
