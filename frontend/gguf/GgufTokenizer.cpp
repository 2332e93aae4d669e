#include "frontend/gguf/GgufTokenizer.h"

#include "frontend/tokenizer/VocabularyTokenizer.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace lmc {
namespace {

constexpr std::pair<const char *, std::optional<int64_t> GgufTokenizer::*> idKeys[] = {
    {"tokenizer.ggml.bos_token_id", &GgufTokenizer::bos},
    {"tokenizer.ggml.eos_token_id", &GgufTokenizer::eos},
    {"tokenizer.ggml.eot_token_id", &GgufTokenizer::eot},
    {"tokenizer.ggml.eom_token_id", &GgufTokenizer::eom},
    {"tokenizer.ggml.unknown_token_id", &GgufTokenizer::unknown},
    {"tokenizer.ggml.padding_token_id", &GgufTokenizer::padding},
    {"tokenizer.ggml.cls_token_id", &GgufTokenizer::classifier},
    {"tokenizer.ggml.seperator_token_id", &GgufTokenizer::separator}, // spelled so
};
constexpr std::pair<const char *, std::optional<bool> GgufTokenizer::*> flagKeys[] = {
    {"tokenizer.ggml.add_bos_token", &GgufTokenizer::addBos},
    {"tokenizer.ggml.add_eos_token", &GgufTokenizer::addEos},
    {"tokenizer.ggml.add_space_prefix", &GgufTokenizer::addSpacePrefix},
    {"tokenizer.ggml.remove_extra_whitespaces", &GgufTokenizer::removeExtraSpaces},
};
constexpr std::pair<const char *, std::string GgufTokenizer::*> textKeys[] = {
    {"tokenizer.ggml.model", &GgufTokenizer::model},
    {"tokenizer.ggml.pre", &GgufTokenizer::pre},
    {"tokenizer.chat_template", &GgufTokenizer::chatTemplate},
    {"tokenizer.huggingface.json", &GgufTokenizer::huggingFaceJson},
};
constexpr const char *tokensKey = "tokenizer.ggml.tokens", *mergesKey = "tokenizer.ggml.merges",
                     *scoresKey = "tokenizer.ggml.scores", *typesKey = "tokenizer.ggml.token_type",
                     *charsmapKey = "tokenizer.ggml.precompiled_charsmap";

template <typename T> void setList(GgufMetadata &m, const char *key, const std::vector<T> &list) {
  if (!list.empty())
    m.set(key, GgufArray{list});
}

/// tokenizer_config.json.
std::string configJson(const GgufTokenizer &t) {
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  auto name = [&](const char *key, std::optional<int64_t> id) {
    if (id && size_t(*id) < t.tokens.size())
      config[key] = t.tokens[*id];
  };
  name("bos_token", t.bos);
  name("eos_token", t.eos);
  name("unk_token", t.unknown);
  name("pad_token", t.padding);
  if (t.addBos)
    config["add_bos_token"] = *t.addBos;
  if (t.addEos)
    config["add_eos_token"] = *t.addEos;
  if (!t.chatTemplate.empty())
    config["chat_template"] = t.chatTemplate;
  return config.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

struct Defaults {
  std::optional<int64_t> bos = {}, eos = {}, unknown = {};
  bool addBos = false, addEos = false;
};

VocabularyParts partsOf(const GgufTokenizer &t, const Defaults &defaults) {
  VocabularyParts parts;
  parts.scores = t.scores;
  parts.merges = t.merges;
  parts.chatTemplate = t.chatTemplate;
  for (size_t id = 0; id < t.tokens.size(); ++id) {
    parts.tokens.push_back(t.tokens[id].empty() ? fmt::format("[EMPTY_{}]", id) : t.tokens[id]);
    int32_t type = t.types.empty() ? int32_t(GgufTokenizer::Normal) : t.types[id];
    bool known = type >= GgufTokenizer::Normal && type <= GgufTokenizer::Byte;
    parts.types.push_back(known ? PieceType(type) : PieceType::Normal);
  }
  auto idOf = [&](std::optional<int64_t> id, std::optional<int64_t> other) {
    if (!id && other && *other < int64_t(t.tokens.size()))
      id = other;
    return id ? std::optional(int32_t(*id)) : std::nullopt;
  };
  parts.bosId = idOf(t.bos, defaults.bos);
  parts.eosId = idOf(t.eos, defaults.eos);
  parts.unknownId = idOf(t.unknown, defaults.unknown);
  parts.padId = idOf(t.padding, {});
  parts.addBos = t.addBos.value_or(defaults.addBos && parts.bosId);
  parts.addEos = t.addEos.value_or(defaults.addEos && parts.eosId);
  return parts;
}

std::unique_ptr<Tokenizer> makeFromLists(const GgufTokenizer &t) {
  if (t.tokens.empty())
    fail("the file holds no tokenizer (tokenizer.ggml.tokens)");
  SentencePieceNormalizer normalizer{t.charsmap, t.addSpacePrefix.value_or(true),
                                     t.removeExtraSpaces.value_or(false)};
  if (t.model == "gpt2") {
    const BytePreTokenizer &pre = bytePreTokenizer(t.pre.empty() ? "default" : t.pre);
    return makeByteLevelBpe(partsOf(t, {.addBos = pre.addsBos}), pre);
  }
  if (t.model == "llama")
    return makeSentencePieceBpe(partsOf(t, {.bos = 1, .eos = 2, .unknown = 0, .addBos = true}),
                                normalizer);
  if (t.model == "t5")
    return makeUnigram(partsOf(t, {.eos = 1, .unknown = 2, .addEos = true}), normalizer);
  if (t.model == "bert") {
    GgufTokenizer bert = t;
    bert.bos = t.classifier ? t.classifier : t.bos;
    bert.eos = t.separator ? t.separator : t.eos;
    return makeWordPiece(
        partsOf(bert, {.bos = 101, .eos = 102, .unknown = 100, .addBos = true, .addEos = true}),
        true);
  }
  fail("the tokenizer is of kind '{}' (known: gpt2, llama, t5, bert)", t.model);
}

} // namespace

GgufTokenizer readGgufTokenizer(const GgufMetadata &m) {
  GgufTokenizer t;
  for (const auto &[key, field] : textKeys)
    t.*field = m.text(key, "");
  for (const auto &[key, field] : flagKeys)
    if (m.find(key))
      t.*field = m.boolean(key);
  t.tokens = m.texts(tokensKey);
  t.merges = m.texts(mergesKey);
  for (double score : m.numbers(scoresKey)) {
    if (!std::isfinite(score))
      m.bad(scoresKey, "has an element that is no finite number");
    t.scores.push_back(float(score));
  }
  for (int64_t type : m.integers(typesKey))
    t.types.push_back(int32_t(type));
  for (int64_t byte : m.integers(charsmapKey))
    t.charsmap.push_back(char(byte));
  for (const auto &[key, size] :
       {std::pair(scoresKey, t.scores.size()), {typesKey, t.types.size()}})
    if (size && size != t.tokens.size())
      m.bad(key, fmt::format("has {} elements, '{}' has {}", size, tokensKey, t.tokens.size()));
  for (const auto &[key, field] : idKeys)
    if (m.find(key))
      t.*field = m.integer(key, 0, t.tokens.empty() ? INT32_MAX : int64_t(t.tokens.size()) - 1);
  return t;
}

void writeGgufTokenizer(const GgufTokenizer &t, GgufMetadata &m) {
  for (const auto &[key, field] : textKeys)
    if (!(t.*field).empty())
      m.set(key, t.*field);
  setList(m, tokensKey, t.tokens);
  setList(m, scoresKey, t.scores);
  setList(m, typesKey, t.types);
  setList(m, mergesKey, t.merges);
  setList(m, charsmapKey, std::vector<uint8_t>(t.charsmap.begin(), t.charsmap.end()));
  for (const auto &[key, field] : idKeys)
    if (t.*field)
      m.set(key, uint32_t(*(t.*field)));
  for (const auto &[key, field] : flagKeys)
    if (t.*field)
      m.set(key, *(t.*field));
}

std::unique_ptr<Tokenizer> makeTokenizer(const GgufTokenizer &t, const std::string &name) {
  if (!t.huggingFaceJson.empty())
    return parseTokenizer(t.huggingFaceJson, configJson(t), name);
  try {
    return makeFromLists(t);
  } catch (const Error &error) {
    fail("'{}': {}; use the model's folder with tokenizer.json", name, error.what());
  }
}

} // namespace lmc
