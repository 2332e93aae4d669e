#include "frontend/tokenizer/ModelJson.h"

#include "frontend/tokenizer/BpeModel.h"
#include "frontend/tokenizer/ByteAlphabet.h"
#include "frontend/tokenizer/UnigramModel.h"
#include "frontend/tokenizer/WordModels.h"

namespace lmc::tokenizer_json {

void Vocabulary::resize(size_t size) {
  if (size > spelling.size()) {
    spelling.resize(size);
    used.resize(size);
  }
}

void Vocabulary::add(const std::string &token, int32_t id, const Field &where) {
  resize(size_t(id) + 1);
  if (used[id])
    where.fail("tokens '{}' and '{}' have the same id {}", spelling[id], token, id);
  spelling[id] = token;
  used[id] = true;
  ids[token] = id;
}

static Vocabulary readVocabulary(const Field &node) {
  if (!node.isObject() || node.value().empty())
    node.fail("must be an object of tokens and ids that is not empty");
  Vocabulary result;
  result.ids.reserve(node.value().size());
  for (const auto &[token, value] : node.value().items())
    result.add(token, Field(value, node.where() + "." + token).id(), node);
  return result;
}

static std::optional<int32_t> readUnknown(const Field &node, const Vocabulary &vocabulary) {
  if (node.isNull())
    return std::nullopt;
  auto found = vocabulary.ids.find(node.text());
  if (found == vocabulary.ids.end())
    node.fail("'{}' is not in the vocabulary", node.text());
  return found->second;
}

static std::vector<int32_t> fallbackIds(bool byteFallback, const Vocabulary &vocabulary) {
  std::vector<int32_t> ids;
  for (int byte = 0; byteFallback && byte < 256; ++byte) {
    auto found = vocabulary.ids.find(fmt::format("<0x{:02X}>", byte));
    ids.push_back(found == vocabulary.ids.end() ? -1 : found->second);
  }
  return ids;
}

static std::pair<std::string, std::string> readMerge(const Field &list, size_t index) {
  const Json &node = list.value()[index];
  if (node.is_string()) {
    std::string both = node.get<std::string>();
    size_t space = both.find(' ');
    if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos)
      list[index].fail("merge '{}' must be two tokens with one space between them", both);
    return {both.substr(0, space), both.substr(space + 1)};
  }
  if (!node.is_array() || node.size() != 2 || !node[0].is_string() || !node[1].is_string())
    list[index].fail("a merge must be a pair of tokens, got {}", node.dump().substr(0, 80));
  return {node[0].get<std::string>(), node[1].get<std::string>()};
}

static std::string textOr(const Field &node, std::string byDefault) {
  return node.isNull() ? byDefault : node.text();
}

static std::unique_ptr<TokenModel> readBpe(const Field &node, bool byteLevel,
                                           const Vocabulary &vocabulary) {
  if (Field dropout = node["dropout"]; !dropout.isNull() && dropout.number() != 0)
    dropout.fail("is not supported (set it to null)");
  BpeModel::Options options;
  options.symbols = byteLevel ? BpeSymbols::Bytes : BpeSymbols::Characters;
  options.byteFallback = node["byte_fallback"].flag(false);
  options.ignoreMerges = node["ignore_merges"].flag(false);
  options.fuseUnknown = node["fuse_unk"].flag(false);
  options.unknownId = readUnknown(node["unk_token"], vocabulary);
  options.wordSuffix = textOr(node["end_of_word_suffix"], "");
  options.continuationPrefix = textOr(node["continuing_subword_prefix"], "");

  // What the model sees of a token; nothing if it can never see it (a spelling without bytes).
  auto symbolsOf = [&](const std::string &token) {
    return byteLevel ? unspellBytes(token) : std::optional(token);
  };
  StringMap<int32_t> tokens;
  tokens.reserve(vocabulary.ids.size());
  for (const auto &[token, id] : vocabulary.ids)
    if (std::optional<std::string> symbols = symbolsOf(token))
      tokens.emplace(std::move(*symbols), id);

  // merge_ranks is ours: a SentencePiece vocabulary has merges of equal rank, of which the leftmost
  // goes first.
  Field list = node["merges"], ranks = node["merge_ranks"];
  size_t count = list.arraySize();
  if (!ranks.isNull() && ranks.arraySize() != count)
    ranks.fail("has {} ranks for {} merges", ranks.arraySize(), count);
  std::vector<BpeModel::Merge> merges;
  merges.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    auto [left, right] = readMerge(list, i);
    auto leftSymbols = symbolsOf(left), rightSymbols = symbolsOf(right);
    if (leftSymbols && rightSymbols)
      merges.push_back({std::move(*leftSymbols), std::move(*rightSymbols),
                        uint32_t(ranks.isNull() ? i : ranks[i].count())});
  }
  try {
    return std::make_unique<BpeModel>(std::move(tokens), merges,
                                      fallbackIds(options.byteFallback, vocabulary), options);
  } catch (const Error &error) {
    list.fail("{}", error.what());
  }
}

static ModelParts readUnigram(const Field &node) {
  ModelParts parts;
  Field list = node["vocab"];
  std::vector<UnigramModel::Piece> pieces;
  for (size_t i = 0, count = list.arraySize(); i < count; ++i) {
    const Json &entry = list.value()[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      list[i].fail("must be [token, score], got {}", entry.dump().substr(0, 80));
    pieces.push_back({entry[0].get<std::string>(), entry[1].get<double>()});
    parts.vocabulary.add(pieces.back().text, int32_t(i), list);
  }
  if (pieces.empty())
    list.fail("must not be empty");
  // unmatched_ids is ours: pieces that SentencePiece never finds in a text (bytes, control symbols).
  if (Field ids = node["unmatched_ids"]; !ids.isNull())
    for (size_t i = 0, count = ids.arraySize(); i < count; ++i) {
      if (size_t(ids[i].id()) >= pieces.size())
        ids[i].fail("{} is not in the vocabulary of {} tokens", ids[i].id(), pieces.size());
      pieces[ids[i].id()].text.clear();
    }
  std::optional<int32_t> unknown;
  if (Field id = node["unk_id"]; !id.isNull()) {
    unknown = id.id();
    if (size_t(*unknown) >= pieces.size())
      id.fail("{} is not in the vocabulary of {} tokens", *unknown, pieces.size());
  }
  parts.model = std::make_unique<UnigramModel>(
      pieces, unknown, fallbackIds(node["byte_fallback"].flag(false), parts.vocabulary));
  return parts;
}

static std::unique_ptr<TokenModel> readWordPiece(const Field &node, const Vocabulary &vocabulary) {
  WordPieceModel::Options options;
  Field unknown = node["unk_token"];
  if (unknown.isNull())
    unknown.fail("is missing: words that are not in the vocabulary need it");
  options.unknownId = *readUnknown(unknown, vocabulary);
  options.prefix = textOr(node["continuing_subword_prefix"], "##");
  if (Field most = node["max_input_chars_per_word"]; !most.isNull())
    options.maxCharacters = most.count();
  return std::make_unique<WordPieceModel>(vocabulary.ids, options);
}

/// Files of before there was a type are told apart by what they have.
static std::string typeOf(const Field &node) {
  if (!node["type"].isNull() || !node.isObject())
    return node["type"].text();
  if (!node["merges"].isNull())
    return "BPE";
  if (node["vocab"].value().is_array())
    return "Unigram";
  return node["continuing_subword_prefix"].isNull() ? "WordLevel" : "WordPiece";
}

ModelParts readModel(const Field &node, bool byteLevel) {
  std::string type = typeOf(node);
  if (type != "BPE" && type != "Unigram" && type != "WordPiece" && type != "WordLevel")
    node["type"].fail("unknown tokenizer model '{}' (known: BPE, Unigram, WordPiece, WordLevel)",
                      type);
  if (byteLevel && type != "BPE")
    node["type"].fail("pre_tokenizer 'ByteLevel' is only supported with BPE, not with {}", type);
  if (type == "Unigram")
    return readUnigram(node);
  ModelParts parts;
  parts.vocabulary = readVocabulary(node["vocab"]);
  if (type == "BPE")
    parts.model = readBpe(node, byteLevel, parts.vocabulary);
  else if (type == "WordPiece")
    parts.model = readWordPiece(node, parts.vocabulary);
  else
    parts.model = std::make_unique<WordLevelModel>(
        parts.vocabulary.ids, readUnknown(node["unk_token"], parts.vocabulary));
  return parts;
}

} // namespace lmc::tokenizer_json
