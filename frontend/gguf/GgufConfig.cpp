#include "frontend/gguf/GgufFamily.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/GgufTokenizer.h"

#include "frontend/ModelLimits.h"

#include <algorithm>

namespace lmc {
namespace {

std::string keyOf(const GgufFamily &family, std::string_view key) {
  return fmt::format("{}.{}", family.name, key);
}

/// Keys beside those of the tables that leave the numbers alone, or that are checked here.
constexpr std::string_view otherKeys[] = {
    "vocab_size",        "rope.dimension_count", "attention.value_length",
    "rope.scaling.type", "rope.scaling.factor",  "rope.scaling.finetuned",
    "expert_count",      "expert_used_count",    "tensor_data_layout",
};

void checkKnown(const GgufMetadata &m, const GgufFamily &family) {
  std::string prefix = keyOf(family, "");
  for (const auto &[key, value] : m.entries()) {
    if (!key.starts_with(prefix))
      continue;
    std::string_view name = std::string_view(key).substr(prefix.size());
    auto isName = [&](const auto &entry) { return entry.key == name; };
    if (std::ranges::find(otherKeys, name) == std::end(otherKeys) &&
        std::ranges::none_of(ggufSizes(), isName) && std::ranges::none_of(family.numbers, isName))
      m.bad(key, "is not understood, and could change what the model computes");
  }
}

/// Keys that must say what the graph computes.
void checkFixed(const GgufMetadata &m, const GgufFamily &family, const ModelConfig &c) {
  for (const char *name : {"rope.dimension_count", "attention.value_length"}) {
    std::string key = keyOf(family, name);
    if (m.integer(key, 0, maxWidth, c.headDim) != c.headDim)
      m.bad(key, fmt::format("is {}, only the head's {} is supported", m.integer(key, 0, maxWidth),
                             c.headDim));
  }
  if (std::string key = keyOf(family, "rope.scaling.type"); m.text(key, "none") != "none")
    m.bad(key, fmt::format("is '{}', which is not supported", m.text(key)));
  if (std::string key = keyOf(family, "rope.scaling.factor"); m.number(key, 1) != 1)
    m.bad(key, fmt::format("is {}, which is not supported", m.number(key)));
  for (const char *name : {"expert_count", "expert_used_count"})
    if (std::string key = keyOf(family, name); m.integer(key, 0, INT64_MAX, 0) != 0)
      m.bad(key, "is not 0; mixtures of experts are not supported");
}

int64_t vocabOf(const GgufFile &file, const GgufFamily &family) {
  const TensorView *table = file.find("token_embd.weight");
  if (!table || table->shape.size() != 2)
    fail("'{}': has no tensor 'token_embd.weight' of shape [vocab, width]", file.path().string());
  int64_t rows = table->shape[0];
  std::string key = keyOf(family, "vocab_size");
  if (int64_t vocab = file.metadata().integer(key, 1, maxVocab, rows); vocab != rows)
    file.metadata().bad(key, fmt::format("is {}, but tensor 'token_embd.weight' is {}", vocab,
                                         shapeText(table->shape)));
  return rows;
}

} // namespace

ModelConfig readGgufConfig(const GgufFile &file) {
  const GgufMetadata &m = file.metadata();
  const GgufFamily &family = ggufFamilyOf(m);
  checkKnown(m, family);
  ModelConfig c;
  c.architecture = family.architecture;
  c.activation = family.activation;
  for (const GgufSize &size : ggufSizes())
    c.*size.field = m.integer(keyOf(family, size.key), size.optional ? 0 : 1, size.most,
                              size.optional ? std::optional<int64_t>(0) : std::nullopt);
  for (const GgufNumber &number : family.numbers) {
    std::string key = keyOf(family, number.key);
    number.field(c) = m.number(key, number.fallback);
    if (number.field(c) <= 0)
      m.bad(key, fmt::format("is {}, expected a number above 0", number.field(c)));
  }
  c.vocab = vocabOf(file, family);
  c.tiedHead = !file.find("output.weight");
  c.biases = file.find("output_norm.bias") != nullptr;
  GgufTokenizer tokenizer = readGgufTokenizer(m);
  c.bosId = tokenizer.bos;
  for (const std::optional<int64_t> &id : {tokenizer.eos, tokenizer.eot})
    if (id && std::ranges::find(c.eosIds, *id) == c.eosIds.end())
      c.eosIds.push_back(*id);
  std::string width = keyOf(family, "embedding_length"),
              heads = keyOf(family, "attention.head_count"), kvHeads = heads + "_kv",
              headDim = keyOf(family, "attention.key_length"), vocab = keyOf(family, "vocab_size");
  completeSizes(c, SpecFields(file.path().string()),
                {width, heads, kvHeads, headDim, vocab, "tokenizer.ggml.bos_token_id"});
  checkFixed(m, family, c);
  return c;
}

GgufMetadata writeGgufConfig(const ModelConfig &config, const std::string &name) {
  const GgufFamily &family = ggufFamilyOf(config.architecture);
  ModelConfig c = config;
  // What is read back knows none of these.
  if (c.rope.scaling != RopeConfig::Scaling::None || c.rope.dims != 0 || c.window != 0 ||
      c.attentionBiases || c.mlpBiases)
    fail("the GGUF form of {} here has neither scaled or partial rotations, windows, nor biases; "
         "this "
         "model has some",
         family.name);
  if (c.activation != family.activation)
    fail("GGUF's {} knows one activation, which is not the model's", family.name);
  GgufMetadata m(name);
  m.set("general.architecture", std::string(family.name));
  m.set("general.name", name);
  for (const GgufSize &size : ggufSizes())
    m.set(keyOf(family, size.key), uint32_t(c.*size.field));
  for (const GgufNumber &number : family.numbers)
    m.set(keyOf(family, number.key), float(number.field(c)));
  m.set(keyOf(family, "attention.value_length"), uint32_t(c.headDim));
  if (c.architecture == Architecture::Llama)
    m.set(keyOf(family, "rope.dimension_count"), uint32_t(c.headDim));
  m.set(keyOf(family, "vocab_size"), uint32_t(c.vocab));
  return m;
}

} // namespace lmc
