// Between the lists of a GGUF file and Hugging Face's tokenizer.json: vocabulary and merges are the
// same things; SentencePiece's scores are merges ordered by what they make.
#include "frontend/gguf/GgufTokenizer.h"

#include "frontend/ModelLimits.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <unordered_map>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char *space = "\u2581"; // what SentencePiece writes for a space

int32_t typeOf(const GgufTokenizer &t, size_t id) {
  return t.types.empty() ? int32_t(GgufTokenizer::Normal) : t.types[id];
}

/// Every way to make a token of two others, the highest score first. Of equal ones the lowest pair
/// of ids is first, as in Hugging Face's conversion of SentencePiece models.
Json mergesOfScores(const GgufTokenizer &t) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < t.tokens.size(); ++id)
    if (typeOf(t, id) == GgufTokenizer::Normal)
      ids.emplace(t.tokens[id], id);
  struct Merge {
    float score;
    size_t left, right;
  };
  std::vector<Merge> merges;
  for (const auto &[token, id] : ids)
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if ((token[cut] & 0xC0) == 0x80)
        continue; // within a character
      auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left != ids.end() && right != ids.end())
        merges.push_back({t.scores[id], left->second, right->second});
    }
  std::ranges::sort(merges, [](const Merge &a, const Merge &b) {
    return std::tuple(-a.score, a.left, a.right) < std::tuple(-b.score, b.left, b.right);
  });
  Json result = Json::array();
  for (const Merge &merge : merges)
    result.push_back({t.tokens[merge.left], t.tokens[merge.right]});
  return result;
}

Json addedTokens(const GgufTokenizer &t) {
  Json result = Json::array();
  for (size_t id = 0; id < t.tokens.size(); ++id) {
    int32_t type = typeOf(t, id);
    bool special = type == GgufTokenizer::Control || type == GgufTokenizer::Unknown;
    if (special || type == GgufTokenizer::UserDefined)
      result.push_back({{"id", id},
                        {"content", t.tokens[id]},
                        {"single_word", false},
                        {"lstrip", false},
                        {"rstrip", false},
                        {"normalized", false},
                        {"special", special}});
  }
  return result;
}

void addByteLevel(const GgufTokenizer &t, Json &root) {
  if (t.pre != "gpt-2")
    fail(
        "the tokenizer cuts text as '{}' says, only 'gpt-2' can be taken from a GGUF file; use the "
        "model's folder with tokenizer.json",
        t.pre);
  Json step = {{"type", "ByteLevel"},
               {"add_prefix_space", t.addSpacePrefix.value_or(false)},
               {"use_regex", true}};
  root["pre_tokenizer"] = step;
  root["decoder"] = step;
  root["model"]["merges"] = t.merges;
}

void addSentencePiece(const GgufTokenizer &t, Json &root) {
  if (t.scores.empty())
    fail("the tokenizer has no scores (tokenizer.ggml.scores)");
  Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}};
  Json normalizers = Json::array(), decoders = Json::array();
  bool prefix = t.addSpacePrefix.value_or(true);
  if (prefix)
    normalizers.push_back({{"type", "Prepend"}, {"prepend", space}});
  normalizers.push_back(replace);
  root["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
  decoders = {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}}};
  if (prefix)
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  root["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  Json &model = root["model"];
  if (t.unknown)
    model["unk_token"] = t.tokens[*t.unknown];
  model["fuse_unk"] = true;
  model["byte_fallback"] = true;
  model["merges"] = mergesOfScores(t);
}

std::string configJson(const GgufTokenizer &t) {
  Json config = Json::object();
  auto name = [&](const char *key, std::optional<int64_t> id) {
    if (id && size_t(*id) < t.tokens.size())
      config[key] = t.tokens[*id];
  };
  name("bos_token", t.bos);
  name("eos_token", t.eos);
  name("unk_token", t.unknown);
  name("pad_token", t.padding);
  // SentencePiece models begin with BOS where the file says nothing.
  if (t.addBos || (t.model == "llama" && t.bos))
    config["add_bos_token"] = t.addBos.value_or(true);
  if (t.addEos)
    config["add_eos_token"] = *t.addEos;
  if (!t.chatTemplate.empty())
    config["chat_template"] = t.chatTemplate;
  return config.dump();
}

Json parseFile(const std::filesystem::path &file, std::string *text = nullptr) {
  std::ifstream stream(file, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  try {
    Json root = Json::parse(content);
    if (text)
      *text = std::move(content);
    return root;
  } catch (const Json::exception &error) {
    fail("'{}': {}", file.string(), error.what());
  }
}

/// Sets pre where text is cut as GPT-2 does it and nothing else is done to it.
bool isGpt2(const Json &root) {
  const Json step = root.value("pre_tokenizer", Json());
  return step.is_object() && step.value("type", "") == "ByteLevel" &&
         step.value("use_regex", true) && root.value("normalizer", Json()).is_null();
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
  bool fallback = t.model == "llama";
  const Json vocab = root.value("model", Json::object()).value("vocab", Json::object());
  for (const auto &[token, id] : vocab.items()) {
    if (vocab.is_array()) { // of a unigram model: [token, score], by id
      put(id.at(0).get<std::string>(), std::stoul(token), GgufTokenizer::Normal);
      continue;
    }
    bool byte = fallback && token.size() == 6 && token.starts_with("<0x") && token.ends_with(">");
    put(token, id.get<size_t>(), byte ? GgufTokenizer::Byte : GgufTokenizer::Normal);
  }
  const Json added = root.value("added_tokens", Json::array());
  for (const Json &token : added)
    put(token.at("content").get<std::string>(), token.at("id").get<size_t>(),
        token.value("special", false) ? GgufTokenizer::Control : GgufTokenizer::UserDefined);
  for (size_t id = 0; id < t.tokens.size(); ++id)
    if (t.types[id] == GgufTokenizer::Unused)
      t.tokens[id] = fmt::format("[PAD{}]", id); // names must differ
}

/// Merges as "left right"; of SentencePiece's the scores of what they make: -1 for the first.
void readMerges(const Json &root, GgufTokenizer &t) {
  std::unordered_map<std::string, float> scores;
  for (const Json &merge : root.at("model").at("merges")) {
    std::string both = merge.is_string()
                           ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
    t.merges.push_back(both);
    size_t cut = both.find(' ');
    scores.emplace(both.substr(0, cut) + both.substr(cut + 1), -float(t.merges.size()));
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

void readConfigFile(const Json &config, GgufTokenizer &t) {
  auto id = [&](const char *key) -> std::optional<int64_t> {
    const Json value = config.value(key, Json());
    std::string token = value.is_object()   ? value.value("content", "")
                        : value.is_string() ? value.get<std::string>()
                                            : "";
    auto found = std::ranges::find(t.tokens, token);
    return token.empty() || found == t.tokens.end() ? std::nullopt
                                                    : std::optional(found - t.tokens.begin());
  };
  t.bos = id("bos_token");
  t.eos = id("eos_token");
  t.unknown = id("unk_token");
  t.padding = id("pad_token");
  for (auto [key, field] : {std::pair("add_bos_token", &GgufTokenizer::addBos),
                            {"add_eos_token", &GgufTokenizer::addEos}})
    if (const Json value = config.value(key, Json()); value.is_boolean())
      t.*field = value.get<bool>();
  if (const Json text = config.value("chat_template", Json()); text.is_string())
    t.chatTemplate = text.get<std::string>();
}

} // namespace

TokenizerTexts tokenizerTexts(const GgufTokenizer &t) {
  if (!t.huggingFaceJson.empty())
    return {t.huggingFaceJson, configJson(t)};
  if (t.tokens.empty())
    fail("the file holds no tokenizer (tokenizer.ggml.tokens)");
  Json root = {{"version", "1.0"},         {"truncation", nullptr},
               {"padding", nullptr},       {"added_tokens", addedTokens(t)},
               {"normalizer", nullptr},    {"pre_tokenizer", nullptr},
               {"post_processor", nullptr}};
  root["model"] = {{"type", "BPE"}};
  if (t.model == "gpt2")
    addByteLevel(t, root);
  else if (t.model == "llama")
    addSentencePiece(t, root);
  else
    fail(
        "the tokenizer is of kind '{}', only 'gpt2' and 'llama' can be taken from a GGUF file; use "
        "the model's folder with tokenizer.json",
        t.model);
  Json &vocab = root["model"]["vocab"] = Json::object();
  for (size_t id = 0; id < t.tokens.size(); ++id)
    if (!vocab.emplace(t.tokens[id], id).second)
      fail("the tokenizer has token '{}' twice", t.tokens[id]);
  try {
    return {root.dump(), configJson(t)};
  } catch (const Json::exception &) {
    fail("the tokenizer's tokens are not all UTF-8");
  }
}

GgufTokenizer convertTokenizer(const std::filesystem::path &folder) {
  GgufTokenizer t;
  std::filesystem::path file = folder / "tokenizer.json", config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(file))
    return t;
  try {
    Json root = parseFile(file, &t.huggingFaceJson);
    Json model = root.value("model", Json::object());
    if (model.value("type", "") == "BPE") {
      t.model = model.value("byte_fallback", false) ? "llama" : isGpt2(root) ? "gpt2" : "";
      t.pre = t.model == "gpt2" ? "gpt-2" : "";
      t.addSpacePrefix =
          t.model == "gpt2" ? root.at("pre_tokenizer").value("add_prefix_space", true) : true;
    }
    readVocabulary(root, t);
    if (!t.model.empty())
      readMerges(root, t);
    if (std::filesystem::exists(config))
      readConfigFile(parseFile(config), t);
    if (t.unknown)
      t.types[*t.unknown] = GgufTokenizer::Unknown;
  } catch (const Json::exception &error) {
    fail("'{}': {}", file.string(), error.what());
  }
  return t;
}

} // namespace lmc
