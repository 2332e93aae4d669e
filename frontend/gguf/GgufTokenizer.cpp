#include "frontend/gguf/GgufTokenizer.h"

#include "runtime/Error.h"

#include <cmath>
#include <utility>

namespace lmc {
namespace {

constexpr std::pair<const char *, std::optional<int64_t> GgufTokenizer::*> idKeys[] = {
    {"tokenizer.ggml.bos_token_id", &GgufTokenizer::bos},
    {"tokenizer.ggml.eos_token_id", &GgufTokenizer::eos},
    {"tokenizer.ggml.eot_token_id", &GgufTokenizer::eot},
    {"tokenizer.ggml.unknown_token_id", &GgufTokenizer::unknown},
    {"tokenizer.ggml.padding_token_id", &GgufTokenizer::padding},
};
constexpr std::pair<const char *, std::optional<bool> GgufTokenizer::*> flagKeys[] = {
    {"tokenizer.ggml.add_bos_token", &GgufTokenizer::addBos},
    {"tokenizer.ggml.add_eos_token", &GgufTokenizer::addEos},
    {"tokenizer.ggml.add_space_prefix", &GgufTokenizer::addSpacePrefix},
};
constexpr std::pair<const char *, std::string GgufTokenizer::*> textKeys[] = {
    {"tokenizer.ggml.model", &GgufTokenizer::model},
    {"tokenizer.ggml.pre", &GgufTokenizer::pre},
    {"tokenizer.chat_template", &GgufTokenizer::chatTemplate},
    {"tokenizer.huggingface.json", &GgufTokenizer::huggingFaceJson},
};
constexpr const char *tokensKey = "tokenizer.ggml.tokens", *mergesKey = "tokenizer.ggml.merges",
                     *scoresKey = "tokenizer.ggml.scores", *typesKey = "tokenizer.ggml.token_type";

template <typename T> void setList(GgufMetadata &m, const char *key, const std::vector<T> &list) {
  if (!list.empty())
    m.set(key, GgufArray{list});
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
  for (const auto &[key, field] : idKeys)
    if (t.*field)
      m.set(key, uint32_t(*(t.*field)));
  for (const auto &[key, field] : flagKeys)
    if (t.*field)
      m.set(key, *(t.*field));
}

} // namespace lmc
