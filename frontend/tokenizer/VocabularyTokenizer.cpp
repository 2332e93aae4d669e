#include "frontend/tokenizer/VocabularyTokenizer.h"

#include "frontend/tokenizer/Base64.h"
#include "frontend/tokenizer/TokenModel.h"
#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace lmc {

using Json = nlohmann::ordered_json;

constexpr const char *space = "\u2581"; // "▁"

static PieceType typeOf(const VocabularyParts &parts, size_t id) {
  return parts.types.empty() ? PieceType::Normal : parts.types[id];
}

static void checkUtf8(const char *what, size_t index, const std::string &text) {
  if (validUtf8Prefix(text) != text.size())
    fail("{} {} ('{}') is not UTF-8", what, index, toValidUtf8(text));
}

static void check(const VocabularyParts &parts, bool needsScores) {
  size_t count = parts.tokens.size();
  if (count == 0 || count > 1 << 22)
    fail("a vocabulary must have from 1 to 2^22 tokens, got {}", count);
  if (!parts.types.empty() && parts.types.size() != count)
    fail("{} token types for {} tokens", parts.types.size(), count);
  if (needsScores && parts.scores.size() != count)
    fail("{} scores for {} tokens", parts.scores.size(), count);
  for (size_t id = 0; id < count; ++id) {
    checkUtf8("token", id, parts.tokens[id]);
    if (needsScores && !std::isfinite(parts.scores[id]))
      fail("the score of token {} ('{}') is not finite", id, parts.tokens[id]);
  }
  for (size_t i = 0; i < parts.merges.size(); ++i)
    checkUtf8("merge", i, parts.merges[i]);
  for (auto id : {parts.unknownId, parts.bosId, parts.eosId, parts.padId})
    if (id && (*id < 0 || size_t(*id) >= count))
      fail("token id {} is not in the vocabulary of {} tokens", *id, count);
  if ((parts.addBos && !parts.bosId) || (parts.addEos && !parts.eosId))
    fail("a token that is to be added around texts has no id");
}

/// Members keep their order and are known to differ: appending keeps this linear.
static Json vocabularyObject(const std::vector<std::string> &tokens) {
  Json::object_t result;
  StringMap<size_t> seen;
  for (size_t id = 0; id < tokens.size(); ++id) {
    auto [entry, isNew] = seen.emplace(tokens[id], id);
    if (!isNew)
      fail("tokens {} and {} are both '{}'", entry->second, id, tokens[id]);
    result.Container::emplace_back(tokens[id], id);
  }
  return result;
}

/// What is found in a text before anything else: control and unknown symbols, and the user's own,
/// but for Unigram, where those are pieces with a high score.
static Json addedTokens(const VocabularyParts &parts, bool isUnigram) {
  Json list = Json::array();
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    PieceType type = typeOf(parts, id);
    bool special = type == PieceType::Control || type == PieceType::Unknown;
    if (special || (type == PieceType::UserDefined && !isUnigram))
      list.push_back(Json{{"id", id},
                          {"content", parts.tokens[id]},
                          {"single_word", false},
                          {"lstrip", false},
                          {"rstrip", false},
                          {"normalized", false},
                          {"special", special}});
  }
  return list;
}

static Json templateOf(const VocabularyParts &parts) {
  if (!parts.addBos && !parts.addEos)
    return nullptr;
  Json single = Json::array(), tokens = Json::object();
  auto add = [&](int32_t id) {
    const std::string &token = parts.tokens[id];
    single.push_back(Json{{"SpecialToken", Json{{"id", token}, {"type_id", 0}}}});
    tokens[token] = Json{{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  };
  if (parts.addBos)
    add(*parts.bosId);
  single.push_back(Json{{"Sequence", Json{{"id", "A"}, {"type_id", 0}}}});
  if (parts.addEos)
    add(*parts.eosId);
  return Json{{"type", "TemplateProcessing"},
              {"single", single},
              {"pair", Json::array()},
              {"special_tokens", tokens}};
}

static std::unique_ptr<Tokenizer> build(const VocabularyParts &parts, Json normalizer,
                                        Json preTokenizer, Json decoder, Json model) {
  Json file{{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", addedTokens(parts, model["type"] == "Unigram")},
            {"normalizer", std::move(normalizer)},
            {"pre_tokenizer", std::move(preTokenizer)},
            {"post_processor", templateOf(parts)},
            {"decoder", std::move(decoder)},
            {"model", std::move(model)}};
  Json config = Json::object();
  auto name = [&](const char *key, std::optional<int32_t> id) {
    if (id)
      config[key] = parts.tokens[*id];
  };
  name("bos_token", parts.bosId);
  name("eos_token", parts.eosId);
  name("unk_token", parts.unknownId);
  name("pad_token", parts.padId);
  if (!parts.chatTemplate.empty())
    config["chat_template"] = toValidUtf8(parts.chatTemplate);
  return parseTokenizer(file.dump(), config.dump(), "tokenizer.json");
}

static Json sequence(const char *member, Json steps) {
  return Json{{"type", "Sequence"}, {member, std::move(steps)}};
}
static Json replaceText(const char *from, const char *to) {
  return Json{{"type", "Replace"}, {"pattern", Json{{"String", from}}}, {"content", to}};
}
static Json replaceRegex(const char *regex, const char *to) {
  return Json{{"type", "Replace"}, {"pattern", Json{{"Regex", regex}}}, {"content", to}};
}

static Json sentencePieceSteps(const SentencePieceNormalizer &normalizer) {
  Json steps = Json::array();
  if (!normalizer.charsmap.empty())
    steps.push_back(Json{{"type", "Precompiled"},
                         {"precompiled_charsmap", encodeBase64(normalizer.charsmap)},
                         {"longest_match", true}});
  if (normalizer.removeExtraSpaces) {
    steps.push_back(replaceRegex("\\A +| +\\z", ""));
    steps.push_back(replaceRegex(" {2,}", " "));
  }
  if (normalizer.addSpacePrefix)
    steps.push_back(Json{{"type", "Prepend"}, {"prepend", space}});
  steps.push_back(replaceText(" ", space));
  return sequence("normalizers", steps);
}

static Json sentencePieceDecoder(const SentencePieceNormalizer &normalizer) {
  Json steps = {replaceText(space, " "), Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}};
  if (normalizer.addSpacePrefix)
    steps.push_back(Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return sequence("decoders", steps);
}

static bool hasByteTokens(const VocabularyParts &parts) {
  return std::ranges::count(parts.types, PieceType::Byte) > 0;
}

/// Every way to make a token of two others, the token of the highest score first.
static void addMerges(const VocabularyParts &parts, Json &model) {
  StringMap<int32_t> ids;
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (typeOf(parts, id) == PieceType::Normal)
      ids.emplace(parts.tokens[id], int32_t(id));
  std::vector<int32_t> order;
  for (const auto &[token, id] : ids)
    order.push_back(id);
  std::ranges::sort(order, [&](int32_t a, int32_t b) {
    return std::pair(-parts.scores[a], a) < std::pair(-parts.scores[b], b);
  });
  Json merges = Json::array(), ranks = Json::array();
  int64_t rank = -1;
  float previous = NAN;
  for (int32_t id : order) {
    if (parts.scores[id] != previous)
      ++rank;
    previous = parts.scores[id];
    std::string_view token = parts.tokens[id];
    for (size_t at = utf8Length(token); at < token.size(); at += utf8Length(token.substr(at)))
      if (ids.contains(token.substr(0, at)) && ids.contains(token.substr(at))) {
        merges.push_back(Json::array({token.substr(0, at), token.substr(at)}));
        ranks.push_back(rank);
      }
  }
  model["merges"] = std::move(merges);
  model["merge_ranks"] = std::move(ranks);
}

std::unique_ptr<Tokenizer> makeSentencePieceBpe(const VocabularyParts &parts,
                                                const SentencePieceNormalizer &normalizer) {
  check(parts, true);
  Json model{{"type", "BPE"},
             {"unk_token", parts.unknownId ? Json(parts.tokens[*parts.unknownId]) : Json()},
             {"fuse_unk", true},
             {"byte_fallback", hasByteTokens(parts)},
             {"vocab", vocabularyObject(parts.tokens)}};
  addMerges(parts, model);
  return build(parts, sentencePieceSteps(normalizer), nullptr, sentencePieceDecoder(normalizer),
               std::move(model));
}

std::unique_ptr<Tokenizer> makeUnigram(const VocabularyParts &parts,
                                       const SentencePieceNormalizer &normalizer) {
  check(parts, true);
  float best = -INFINITY;
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (typeOf(parts, id) == PieceType::Normal)
      best = std::max(best, parts.scores[id]);
  Json vocabulary = Json::array(), unmatched = Json::array();
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    PieceType type = typeOf(parts, id);
    double score = parts.scores[id];
    if (type == PieceType::UserDefined && std::isfinite(best)) // as SentencePiece prefers them
      score = double(parts.tokens[id].size()) * best - 0.1;
    else if (type != PieceType::Normal)
      unmatched.push_back(id);
    vocabulary.push_back(Json::array({parts.tokens[id], score}));
  }
  Json model{{"type", "Unigram"},
             {"unk_id", parts.unknownId ? Json(*parts.unknownId) : Json()},
             {"byte_fallback", hasByteTokens(parts)},
             {"vocab", std::move(vocabulary)},
             {"unmatched_ids", std::move(unmatched)}};
  return build(parts, sentencePieceSteps(normalizer), nullptr, sentencePieceDecoder(normalizer),
               std::move(model));
}

std::unique_ptr<Tokenizer> makeByteLevelBpe(const VocabularyParts &parts,
                                            const BytePreTokenizer &kind) {
  check(parts, false);
  Json byteLevel{{"type", "ByteLevel"},
                 {"add_prefix_space", false},
                 {"trim_offsets", true},
                 {"use_regex", false}};
  Json steps = Json::array();
  for (std::string_view pattern : kind.patterns)
    steps.push_back(Json{{"type", "Split"},
                         {"pattern", Json{{"Regex", pattern}}},
                         {"behavior", "Isolated"},
                         {"invert", false}});
  steps.push_back(byteLevel);
  Json model{{"type", "BPE"},
             {"ignore_merges", kind.ignoreMerges},
             {"vocab", vocabularyObject(parts.tokens)},
             {"merges", parts.merges}};
  return build(parts, kind.composes ? Json{{"type", "NFC"}} : Json(),
               sequence("pretokenizers", std::move(steps)), byteLevel, std::move(model));
}

/// GGUF's spelling of a WordPiece token to BERT's.
static std::string wordPieceOf(std::string_view token) {
  if (token.starts_with('[') && token.ends_with(']'))
    return std::string(token);
  if (token.starts_with(space))
    return std::string(token.substr(std::string_view(space).size()));
  return "##" + std::string(token);
}

std::unique_ptr<Tokenizer> makeWordPiece(const VocabularyParts &given, bool phantomSpaces) {
  VocabularyParts parts = given;
  check(parts, false);
  if (!parts.unknownId)
    fail("a WordPiece vocabulary needs an unknown token");
  if (phantomSpaces)
    std::ranges::transform(parts.tokens, parts.tokens.begin(), wordPieceOf);
  Json model{{"type", "WordPiece"},
             {"unk_token", parts.tokens[*parts.unknownId]},
             {"continuing_subword_prefix", "##"},
             {"max_input_chars_per_word", 100},
             {"vocab", vocabularyObject(parts.tokens)}};
  Json normalizer{{"type", "BertNormalizer"},
                  {"clean_text", true},
                  {"handle_chinese_chars", true},
                  {"strip_accents", nullptr},
                  {"lowercase", true}};
  return build(parts, normalizer, Json{{"type", "BertPreTokenizer"}},
               Json{{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}, std::move(model));
}

} // namespace lmc
