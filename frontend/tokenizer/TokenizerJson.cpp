// Reads Hugging Face's tokenizer.json. Every field that can change ids or text is either carried
// out or refused by name; the others (offsets, type ids) are passed over.
#include "frontend/tokenizer/BpeTokenizer.h"
#include "frontend/tokenizer/ByteAlphabet.h"
#include "frontend/tokenizer/PreTokenizerJson.h"
#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <algorithm>
#include <cctype>

namespace lmc {

using namespace tokenizer_json;

namespace {

class TokenizerReader {
public:
  explicit TokenizerReader(const Json &file) : file(file) {}
  std::unique_ptr<Tokenizer> read(std::string_view json, std::string_view configJson);

private:
  void readHeader();
  void readVocabulary();
  void readAddedTokens();
  void readMerges(BpeModel &model);
  void readPostProcessor(const Json &node);
  void readDecoder(const Json &node);
  void readConfig(const Json &config);
  void guessBosAndEos();
  void setTokenBytes();
  bool cutsBeforeSpaces() const;
  std::optional<int32_t> idOf(const std::string &token) const;
  std::optional<std::string> symbolsOf(const std::string &token) const;

  const Json &file;
  TokenizerPlan plan;
  bool byteLevel = false;
  std::vector<std::string> patterns;      // of the Split steps, as written
  std::vector<std::string> spelling;      // by id, as in the file
  StringMap<int32_t> modelIds, addedIds;  // by spelling
  std::vector<bool> isAdded;              // by id
  std::vector<ReplaceStep> decodeReplace; // before byte fallback
  bool decodeBytes = false, decodeByteLevel = false, fused = false;
};

} // namespace

std::optional<int32_t> TokenizerReader::idOf(const std::string &token) const {
  if (auto found = addedIds.find(token); found != addedIds.end())
    return found->second;
  if (auto found = modelIds.find(token); found != modelIds.end())
    return found->second;
  return std::nullopt;
}

/// What the model sees of a token; nothing if it can never see it (a spelling without bytes).
std::optional<std::string> TokenizerReader::symbolsOf(const std::string &token) const {
  return byteLevel ? unspellBytes(token) : token;
}

void TokenizerReader::readHeader() {
  if (!file.is_object())
    fail("must be an object");
  if (!member(file, "truncation").is_null())
    fail("'truncation' is not supported (set it to null)");
  const Json &padding = member(file, "padding");
  if (!padding.is_null() && member(padding, "strategy") != "BatchLongest")
    fail("'padding' to a fixed length is not supported (set it to null)");
  const Json &model = member(file, "model");
  std::string type =
      member(model, "type").is_null() && model.contains("merges") ? "BPE" : text(model, "type");
  if (type != "BPE")
    fail("unknown tokenizer model '{}' (known: BPE)", type);
  const Json &dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0.0)
    fail("'dropout' is not supported (set it to null)");
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!member(model, name).is_null() && member(model, name) != "")
      fail("'{}' is not supported", name);
}

void TokenizerReader::readVocabulary() {
  const Json &vocab = member(member(file, "model"), "vocab");
  if (!vocab.is_object() || vocab.empty())
    fail("'model.vocab' must be a non-empty object");
  for (const auto &[token, value] : vocab.items()) {
    int32_t id = tokenId(value, "token '" + token + "'");
    if (size_t(id) >= spelling.size()) {
      spelling.resize(id + 1);
      isAdded.resize(id + 1);
    }
    modelIds.emplace(token, id);
    if (!spelling[id].empty())
      fail("tokens '{}' and '{}' have the same id {}", spelling[id], token, id);
    spelling[id] = token;
  }
}

void TokenizerReader::readAddedTokens() {
  const Json &list = member(file, "added_tokens");
  if (!list.is_null() && !list.is_array())
    fail("'added_tokens' must be an array");
  std::vector<AddedToken> raw, normalized;
  for (const Json &node : list) {
    AddedToken token;
    token.content = text(node, "content");
    token.id = tokenId(member(node, "id"), "added token '" + token.content + "'");
    token.special = flag(node, "special", false);
    token.normalized = flag(node, "normalized", !token.special);
    token.stripLeft = flag(node, "lstrip", false);
    token.stripRight = flag(node, "rstrip", false);
    if (flag(node, "single_word", false))
      fail("added token '{}': 'single_word' is not supported", token.content);
    if (size_t(token.id) >= spelling.size())
      spelling.resize(token.id + 1);
    isAdded.resize(spelling.size());
    plan.special.resize(spelling.size());
    if (!spelling[token.id].empty() && spelling[token.id] != token.content)
      fail("added token '{}' has the id {} of token '{}'", token.content, token.id,
           spelling[token.id]);
    if (auto found = modelIds.find(token.content);
        found != modelIds.end() && found->second != token.id)
      fail("added token '{}' has the id {}, but {} in the vocabulary", token.content, token.id,
           found->second);
    isAdded[token.id] = true;
    plan.special[token.id] = token.special;
    addedIds[token.content] = token.id;
    if (token.normalized) {
      token.content = normalize(plan.normalizer, token.content, true);
      normalized.push_back(token);
    } else {
      raw.push_back(token);
    }
    spelling[token.id] = token.content;
  }
  plan.special.resize(spelling.size());
  plan.rawTokens = SpecialTokens(std::move(raw));
  plan.normalizedTokens = SpecialTokens(std::move(normalized));
}

void TokenizerReader::readMerges(BpeModel &model) {
  const Json &merges = member(member(file, "model"), "merges");
  if (!merges.is_array())
    fail("'model.merges' must be an array");
  for (const Json &node : merges) {
    std::string left, right;
    if (node.is_string()) {
      std::string both = node.get<std::string>();
      size_t space = both.find(' ');
      if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos)
        fail("merge '{}' must be two tokens with one space between them", both);
      left = both.substr(0, space);
      right = both.substr(space + 1);
    } else if (node.is_array() && node.size() == 2 && node[0].is_string() && node[1].is_string()) {
      left = node[0].get<std::string>();
      right = node[1].get<std::string>();
    } else {
      fail("a merge must be a pair of tokens, got {}", node.dump());
    }
    if (auto leftBytes = symbolsOf(left), rightBytes = symbolsOf(right); leftBytes && rightBytes)
      model.addMerge(*leftBytes, *rightBytes);
  }
}

void TokenizerReader::readPostProcessor(const Json &node) {
  if (node.is_null())
    return;
  std::string type = text(node, "type");
  auto pairId = [&](const char *name) {
    const Json &pair = member(node, name);
    if (!pair.is_array() || pair.size() != 2)
      fail("post_processor '{}': '{}' must be [token, id]", type, name);
    return tokenId(pair[1], name);
  };
  if (type == "ByteLevel") {
    // Only trims offsets.
  } else if (type == "Sequence") {
    for (const Json &step : array(node, "processors"))
      readPostProcessor(step);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    plan.prefix.insert(plan.prefix.begin(), pairId("cls"));
    plan.suffix.push_back(pairId("sep"));
  } else if (type == "TemplateProcessing") {
    std::vector<int32_t> before, after;
    bool seenText = false;
    for (const Json &part : array(node, "single")) {
      if (part.contains("Sequence")) {
        if (seenText)
          fail("post_processor 'TemplateProcessing': the text may come once");
        seenText = true;
        continue;
      }
      std::string token = text(member(part, "SpecialToken"), "id");
      const Json &ids = member(member(member(node, "special_tokens"), token.c_str()), "ids");
      if (!ids.is_array() || ids.empty())
        fail("post_processor 'TemplateProcessing': '{}' is not in special_tokens", token);
      for (const Json &id : ids)
        (seenText ? after : before).push_back(tokenId(id, token));
    }
    if (!seenText)
      fail("post_processor 'TemplateProcessing' has no place for the text");
    plan.prefix.insert(plan.prefix.begin(), before.begin(), before.end());
    plan.suffix.insert(plan.suffix.end(), after.begin(), after.end());
  } else {
    fail("unknown post_processor '{}' (known: Sequence, ByteLevel, TemplateProcessing, "
         "BertProcessing, RobertaProcessing)",
         type);
  }
  for (const std::vector<int32_t> *ids : {&plan.prefix, &plan.suffix})
    for (int32_t id : *ids)
      if (size_t(id) >= spelling.size())
        fail("post_processor '{}' adds id {}, which is not in the vocabulary", type, id);
}

void TokenizerReader::readDecoder(const Json &node) {
  if (node.is_null()) {
    if (!byteLevel)
      fail("'decoder' is missing: how tokens are joined is unknown");
    decodeByteLevel = true;
    return;
  }
  std::string type = text(node, "type");
  if (type == "ByteLevel") {
    decodeByteLevel = true;
  } else if (type == "Sequence") {
    for (const Json &step : array(node, "decoders"))
      readDecoder(step);
  } else if (type == "Replace" && !decodeBytes && !fused) {
    const Json &pattern = member(node, "pattern");
    if (!pattern.contains("String") || text(pattern, "String").empty())
      fail("decoder 'Replace' needs a pattern that is a non-empty string, got {}", pattern.dump());
    decodeReplace.push_back({text(pattern, "String"), text(node, "content")});
  } else if (type == "ByteFallback" && !fused) {
    decodeBytes = true;
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Strip" && fused) {
    const Json &start = member(node, "start");
    if (text(node, "content") != " " || !start.is_number_unsigned() || member(node, "stop") != 0)
      fail("decoder 'Strip' may only take spaces from the start, got {}", node.dump());
    plan.leadingSpacesDropped += start.get<size_t>();
  } else {
    fail("unknown decoder '{}' at its place (known: ByteLevel, or Replace, ByteFallback, Fuse, "
         "Strip "
         "in this order)",
         type);
  }
}

/// "<0x0A>" is the byte 10.
static std::optional<uint8_t> fallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>' ||
      !std::isxdigit(uint8_t(token[3])) || !std::isxdigit(uint8_t(token[4])))
    return std::nullopt;
  return uint8_t(std::stoi(std::string(token.substr(3, 2)), nullptr, 16));
}

void TokenizerReader::setTokenBytes() {
  for (size_t id = 0; id < spelling.size(); ++id) {
    std::string bytes = spelling[id];
    std::vector<NormalizeStep> replace(decodeReplace.begin(), decodeReplace.end());
    if (decodeByteLevel && !isAdded[id])
      bytes = unspellBytes(bytes).value_or(bytes);
    bytes = normalize(replace, bytes, false);
    if (auto byte = fallbackByte(bytes); decodeBytes && byte)
      bytes = std::string(1, char(*byte));
    plan.tokenBytes.push_back(std::move(bytes));
  }
}

/// Names that models use when no tokenizer_config.json says it.
void TokenizerReader::guessBosAndEos() {
  for (const char *name : {"<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>"})
    if (!plan.bos && addedIds.contains(name))
      plan.bos = addedIds.at(name);
  for (const char *name : {"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"})
    if (!plan.eos && addedIds.contains(name))
      plan.eos = addedIds.at(name);
}

void TokenizerReader::readConfig(const Json &config) {
  if (!config.is_object())
    fail("tokenizer_config.json must be an object");
  auto read = [&](const char *name, std::optional<int32_t> &id) {
    const Json &value = member(config, name);
    if (value.is_null())
      return;
    std::string token = value.is_object() ? text(value, "content") : text(config, name);
    id = idOf(token);
    if (!id)
      fail("tokenizer_config.json: {} '{}' is not in the vocabulary", name, token);
  };
  read("bos_token", plan.bos);
  read("eos_token", plan.eos);

  // Where these keys are given they decide, whatever the template says.
  if (!member(config, "add_bos_token").is_null()) {
    bool add = flag(config, "add_bos_token", false);
    if (add && !plan.bos)
      fail("tokenizer_config.json: add_bos_token needs a bos_token");
    bool there = plan.bos && !plan.prefix.empty() && plan.prefix.front() == *plan.bos;
    if (add && !there)
      plan.prefix.insert(plan.prefix.begin(), *plan.bos);
    else if (!add && there)
      plan.prefix.erase(plan.prefix.begin());
  }
  if (!member(config, "add_eos_token").is_null()) {
    bool add = flag(config, "add_eos_token", false);
    if (add && !plan.eos)
      fail("tokenizer_config.json: add_eos_token needs an eos_token");
    bool there = plan.eos && !plan.suffix.empty() && plan.suffix.back() == *plan.eos;
    if (add && !there)
      plan.suffix.push_back(*plan.eos);
    else if (!add && there)
      plan.suffix.pop_back();
  }
}

/// Whether no piece, and without a pattern no token, can reach across "x| ".
bool TokenizerReader::cutsBeforeSpaces() const {
  if (plan.rawTokens.anyContainsSpace() || plan.normalizedTokens.anyContainsSpace() ||
      (!plan.normalizedTokens.empty() && !plan.normalizer.empty()))
    return false;
  if (!patterns.empty())
    return plan.normalizer.empty() &&
           std::all_of(patterns.begin(), patterns.end(), patternBreaksBeforeSpaces);
  if (byteLevel || !plan.preTokenizer.empty())
    return false;
  std::string space = normalize(plan.normalizer, " ", false);
  for (const NormalizeStep &step : plan.normalizer)
    if (auto *replace = std::get_if<ReplaceStep>(&step); replace && replace->from != " ")
      return false;
  for (const auto &[token, id] : modelIds)
    for (size_t at = token.find(space, 1); at != std::string::npos; at = token.find(space, at + 1))
      if (at < space.size() || token.compare(at - space.size(), space.size(), space) != 0)
        return false;
  return true;
}

std::unique_ptr<Tokenizer> TokenizerReader::read(std::string_view json,
                                                 std::string_view configJson) {
  readHeader();
  PieceSteps steps = readPieceSteps(member(file, "normalizer"), member(file, "pre_tokenizer"));
  plan.normalizer = std::move(steps.normalizer);
  plan.preTokenizer = std::move(steps.preTokenizer);
  patterns = std::move(steps.patterns);
  byteLevel = steps.byteLevel;
  readVocabulary();
  readAddedTokens();
  readPostProcessor(member(file, "post_processor"));
  readDecoder(member(file, "decoder"));
  setTokenBytes();
  guessBosAndEos();
  if (!configJson.empty())
    readConfig(parseJson(configJson));

  const Json &node = member(file, "model");
  BpeModel::Options options;
  options.symbols = byteLevel ? BpeSymbols::Bytes : BpeSymbols::Characters;
  options.byteFallback = flag(node, "byte_fallback", false);
  options.ignoreMerges = flag(node, "ignore_merges", false);
  options.fuseUnknown = flag(node, "fuse_unk", false);
  if (!member(node, "unk_token").is_null()) {
    std::string unknown = text(node, "unk_token");
    auto found = modelIds.find(unknown);
    if (found == modelIds.end())
      fail("unk_token '{}' is not in the vocabulary", unknown);
    options.unknownId = found->second;
  }
  std::vector<int32_t> fallbackIds;
  if (options.byteFallback) {
    fallbackIds.assign(256, -1);
    for (int byte = 0; byte < 256; ++byte)
      if (auto found = modelIds.find(fmt::format("<0x{:02X}>", byte)); found != modelIds.end())
        fallbackIds[byte] = found->second;
  }
  StringMap<int32_t> vocabulary;
  for (const auto &[token, id] : modelIds)
    if (std::optional<std::string> symbols = symbolsOf(token))
      vocabulary.emplace(std::move(*symbols), id);
  plan.cutsBeforeSpaces = cutsBeforeSpaces();
  plan.json = json;
  plan.configJson = configJson.empty() ? "{}" : std::string(configJson);
  BpeModel model(std::move(vocabulary), std::move(fallbackIds), options);
  readMerges(model);
  return std::make_unique<BpeTokenizer>(std::move(plan), std::move(model));
}

std::unique_ptr<Tokenizer> parseTokenizer(std::string_view json, std::string_view configJson,
                                          std::string_view name) {
  try {
    if (json == makeByteTokenizer()->serialize())
      return makeByteTokenizer();
    Json file = parseJson(json);
    return TokenizerReader(file).read(json, configJson);
  } catch (const Json::exception &error) {
    fail("'{}': {}", name, error.what());
  } catch (const Error &error) {
    fail("'{}': {}", name, error.what());
  }
}

} // namespace lmc
