// From a folder's tokenizer to the lists of a GGUF file: which of llama.cpp's kinds it is, and for
// byte-level BPE by which name its way to cut text goes.
#include "frontend/gguf/GgufTokenizer.h"

#include "frontend/ModelLimits.h"
#include "frontend/tokenizer/Base64.h"
#include "frontend/tokenizer/BytePreTokenizers.h"
#include "frontend/tokenizer/PublishedPatterns.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <unordered_map>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view space = "\u2581"; // what SentencePiece writes for a space

Json memberOf(const Json &object, const char *key) {
  return object.is_object() ? object.value(key, Json()) : Json();
}
std::string textOf(const Json &object, const char *key) {
  Json value = memberOf(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}
bool flagOf(const Json &object, const char *key, bool fallback) {
  Json value = memberOf(object, key);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

/// The steps of a normalizer or pre_tokenizer, without the sequences around them.
void flatten(const Json &step, const char *member, std::vector<Json> &steps) {
  if (textOf(step, "type") == "Sequence") {
    for (const Json &part : memberOf(step, member))
      flatten(part, member, steps);
  } else if (!step.is_null()) {
    steps.push_back(step);
  }
}
std::vector<Json> stepsOf(const Json &root, const char *key, const char *member) {
  std::vector<Json> steps;
  flatten(memberOf(root, key), member, steps);
  return steps;
}

/// The regular expressions that a byte-level pre_tokenizer cuts by; none where it is another one.
/// Steps behind ByteLevel see spelled bytes, which those on digits do not mind.
std::optional<std::vector<std::string>> bytePatterns(const std::vector<Json> &steps) {
  std::vector<std::string> patterns;
  int byteLevels = 0;
  for (const Json &step : steps) {
    std::string type = textOf(step, "type"), behavior = textOf(step, "behavior");
    if (type == "Split" && behavior == "Isolated" && !flagOf(step, "invert", false)) {
      patterns.push_back(textOf(memberOf(step, "pattern"), "Regex"));
    } else if (type == "Digits") {
      patterns.emplace_back(flagOf(step, "individual_digits", false) ? singleDigitPattern
                                                                     : digitsPattern);
    } else if (type == "Punctuation" && behavior == "Contiguous") {
      patterns.emplace_back(punctuationPattern);
    } else if (type == "ByteLevel" && !flagOf(step, "add_prefix_space", true)) {
      ++byteLevels;
      if (flagOf(step, "use_regex", true))
        patterns.emplace_back(gpt2Pattern);
    } else {
      return std::nullopt;
    }
  }
  return byteLevels == 1 ? std::optional(patterns) : std::nullopt;
}

/// The name for how byte-level BPE cuts text, "" if there is none.
std::string byteLevelName(const Json &root, const Json &model) {
  std::vector<Json> normalizers = stepsOf(root, "normalizer", "normalizers");
  bool composes = normalizers.size() == 1 && textOf(normalizers[0], "type") == "NFC";
  auto patterns = bytePatterns(stepsOf(root, "pre_tokenizer", "pretokenizers"));
  if (!patterns || (!normalizers.empty() && !composes))
    return "";
  const BytePreTokenizer *found =
      findBytePreTokenizer(*patterns, flagOf(model, "ignore_merges", false), composes);
  return found ? std::string(found->names.front()) : "";
}

/// What SentencePiece does to a text first. False where a step is none of its own.
bool readSentencePieceSteps(const Json &root, GgufTokenizer &t) {
  t.addSpacePrefix = false;
  for (const Json &step : stepsOf(root, "normalizer", "normalizers")) {
    std::string type = textOf(step, "type"), content = textOf(step, "content");
    Json pattern = memberOf(step, "pattern");
    std::string regex = textOf(pattern, "Regex");
    if (type == "Precompiled")
      t.charsmap = decodeBase64(textOf(step, "precompiled_charsmap")).value_or("");
    else if (type == "Prepend" && textOf(step, "prepend") == space)
      t.addSpacePrefix = true;
    else if (type == "Replace" && regex == " {2,}" && (content == " " || content == space))
      t.removeExtraSpaces = true;
    else if (type == "Replace" && regex == "\\A +| +\\z" && content.empty())
      t.removeExtraSpaces = true;
    else if (type != "Replace" || textOf(pattern, "String") != " " || content != space)
      return false;
  }
  for (const Json &step : stepsOf(root, "pre_tokenizer", "pretokenizers")) {
    std::string type = textOf(step, "type");
    if (type == "Metaspace" && textOf(step, "replacement") == space) {
      std::string scheme = textOf(step, "prepend_scheme");
      t.addSpacePrefix =
          scheme.empty() ? flagOf(step, "add_prefix_space", true) : scheme != "never";
    } else if (type == "WhitespaceSplit") {
      t.removeExtraSpaces = true;
    } else if (type != "Split" || textOf(step, "behavior") != "MergedWithPrevious" ||
               textOf(memberOf(step, "pattern"), "String") != " ") {
      return false; // Gemma's split finds none of the spaces, which are written otherwise by then
    }
  }
  return true;
}

bool isBert(const Json &root, const Json &model) {
  Json normalizer = memberOf(root, "normalizer");
  return textOf(normalizer, "type") == "BertNormalizer" && flagOf(normalizer, "lowercase", true) &&
         flagOf(normalizer, "strip_accents", true) &&
         flagOf(normalizer, "handle_chinese_chars", true) &&
         textOf(memberOf(root, "pre_tokenizer"), "type") == "BertPreTokenizer" &&
         textOf(model, "continuing_subword_prefix") == "##";
}

/// Sets model, and what goes with it.
void findKind(const Json &root, GgufTokenizer &t) {
  const Json model = memberOf(root, "model");
  std::string type = textOf(model, "type");
  if (type == "BPE" && !flagOf(model, "byte_fallback", false)) {
    t.pre = byteLevelName(root, model);
    t.model = t.pre.empty() ? "" : "gpt2";
  } else if (type == "BPE" || type == "Unigram") {
    if (readSentencePieceSteps(root, t))
      t.model = type == "BPE" ? "llama" : "t5";
    t.pre = t.model.empty() ? "" : "default";
  } else if (type == "WordPiece" && isBert(root, model)) {
    t.model = "bert";
    t.pre = "default";
  }
}

/// BERT's spelling of a token to GGUF's: words begin with "▁", what continues them has no sign.
std::string phantomSpaced(const std::string &token) {
  if (token.starts_with('[') && token.ends_with(']'))
    return token;
  return token.starts_with("##") ? token.substr(2) : std::string(space) + token;
}

void readVocabulary(const Json &root, GgufTokenizer &t) {
  auto put = [&](const std::string &token, size_t id, int32_t type) {
    if (id >= size_t(maxVocab))
      fail("token '{}' has the id {}, at most {} are possible", token, id, maxVocab);
    if (id >= t.tokens.size()) {
      t.tokens.resize(id + 1);
      t.types.resize(id + 1, GgufTokenizer::Unused);
    }
    t.tokens[id] = token;
    t.types[id] = type;
  };
  const Json model = memberOf(root, "model");
  bool fallback = flagOf(model, "byte_fallback", false);
  auto typeOf = [&](const std::string &token) {
    bool byte = fallback && token.size() == 6 && token.starts_with("<0x") && token.ends_with(">");
    return byte ? GgufTokenizer::Byte : GgufTokenizer::Normal;
  };
  const Json vocab = memberOf(model, "vocab");
  if (vocab.is_array()) { // of a unigram model: [token, score], by id
    for (size_t id = 0; id < vocab.size(); ++id) {
      std::string token = vocab[id].at(0);
      put(token, id, typeOf(token));
      t.scores.push_back(vocab[id].at(1));
    }
  } else {
    for (const auto &[token, id] : vocab.items())
      put(t.model == "bert" ? phantomSpaced(token) : token, id.get<size_t>(), typeOf(token));
  }
  const Json added = memberOf(root, "added_tokens");
  for (const Json &token : added)
    put(token.at("content").get<std::string>(), token.at("id").get<size_t>(),
        token.value("special", false) ? GgufTokenizer::Control : GgufTokenizer::UserDefined);
  if (!t.scores.empty())
    t.scores.resize(t.tokens.size());
  for (size_t id = 0; id < t.tokens.size(); ++id)
    if (t.types[id] == GgufTokenizer::Unused)
      t.tokens[id] = fmt::format("[PAD{}]", id); // names must differ
}

/// Merges as "left right"; of SentencePiece's the scores of what they make: -1 for the first.
void readMerges(const Json &model, GgufTokenizer &t) {
  std::unordered_map<std::string, float> scores;
  const Json &merges = model.at("merges");
  const Json ranks = memberOf(model, "merge_ranks");
  for (size_t i = 0; i < merges.size(); ++i) {
    const Json &merge = merges[i];
    std::string both = merge.is_string()
                           ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
    size_t cut = both.find(' '), rank = ranks.is_null() ? i : ranks.at(i).get<size_t>();
    scores.emplace(both.substr(0, cut) + both.substr(cut + 1), -float(rank + 1));
    t.merges.push_back(std::move(both));
  }
  if (t.model != "llama")
    return;
  auto last = -float(t.merges.size() + 1); // tokens that no merge makes
  for (size_t id = 0; id < t.tokens.size(); ++id) {
    auto found = scores.find(t.tokens[id]);
    t.scores.push_back(t.types[id] != GgufTokenizer::Normal ? 0
                       : found == scores.end()              ? last
                                                            : found->second);
  }
  t.merges.clear();
}

/// Of several named ones GGUF's key has the one that is used where none is named.
std::string defaultTemplate(const Json &config) {
  const Json chat = memberOf(config, "chat_template");
  if (chat.is_array())
    for (const Json &named : chat)
      if (textOf(named, "name") == "default")
        return textOf(named, "template");
  return textOf(config, "chat_template");
}

/// What tokenizer_config.json says; of the rest, what the tokenizer makes of its template.
void readConfig(const Json &config, const Json &model, const Tokenizer &tokenizer,
                GgufTokenizer &t) {
  std::unordered_map<std::string_view, int64_t> ids;
  for (size_t id = 0; id < t.tokens.size(); ++id)
    ids.emplace(t.tokens[id], int64_t(id));
  auto id = [&](const Json &object, const char *key) -> std::optional<int64_t> {
    const Json value = memberOf(object, key);
    auto found = ids.find(value.is_object()   ? textOf(value, "content")
                          : value.is_string() ? value.get<std::string>()
                                              : "");
    return found == ids.end() ? std::nullopt : std::optional(found->second);
  };
  t.bos = tokenizer.bosId();
  t.eos = tokenizer.eosId();
  t.unknown = id(config, "unk_token");
  if (!t.unknown)
    t.unknown = id(model, "unk_token");
  if (const Json unknown = memberOf(model, "unk_id"); unknown.is_number())
    t.unknown = unknown.get<int64_t>();
  if (t.unknown && t.model != "gpt2") // whose bytes are all known
    t.types.at(*t.unknown) = GgufTokenizer::Unknown;
  t.padding = id(config, "pad_token");
  std::vector<int32_t> around = tokenizer.encode("", true);
  if (t.bos)
    t.addBos = !around.empty() && around.front() == *t.bos;
  if (t.eos)
    t.addEos = !around.empty() && around.back() == *t.eos && (around.size() > 1 || t.eos != t.bos);
  if (t.model == "bert" && around.size() == 2) {
    t.classifier = around[0];
    t.separator = around[1];
  }
  t.chatTemplate = defaultTemplate(config);
}

} // namespace

GgufTokenizer convertTokenizer(const std::filesystem::path &folder) {
  GgufTokenizer t;
  if (!holdsTokenizer(folder))
    return t;
  auto tokenizer = loadTokenizer(folder.string());
  t.huggingFaceJson = tokenizer->serialize();
  try {
    const Json root = Json::parse(t.huggingFaceJson), model = memberOf(root, "model");
    findKind(root, t);
    readVocabulary(root, t);
    if (t.model == "gpt2" || t.model == "llama")
      readMerges(model, t);
    readConfig(Json::parse(tokenizer->serializeConfig()), model, *tokenizer, t);
  } catch (const Json::exception &error) {
    fail("'{}': {}", folder.string(), error.what());
  }
  return t;
}

} // namespace lmc
