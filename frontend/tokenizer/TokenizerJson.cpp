// Reads Hugging Face's tokenizer.json. Every field that can change ids or text is either carried
// out or refused by name; the others (offsets, type ids) are passed over.
#include "frontend/tokenizer/PipelineTokenizer.h"
#include "frontend/tokenizer/StepsJson.h"
#include "frontend/tokenizer/TemplateJson.h"

#include <algorithm>

namespace lmc {

using namespace tokenizer_json;

namespace {

class TokenizerReader {
public:
  explicit TokenizerReader(const Field &file) : file(file) {}
  TokenizerPlan read(std::string_view configJson, std::string_view configName);

private:
  void readHeader() const;
  void readAddedTokens();
  AddedToken readAddedToken(const Field &node);
  bool tokensEndAtSpaces() const;
  bool cutsBeforeSpaces(const PieceSteps &pieces) const;

  const Field &file;
  TokenizerPlan plan;
  Vocabulary vocabulary;       // added tokens included
  StringMap<int32_t> modelIds; // without them
  StringMap<int32_t> addedIds; // only them
  std::vector<bool> isAdded;   // by id
};

} // namespace

void TokenizerReader::readHeader() const {
  if (!file.isObject())
    file.fail("must be an object");
  // `truncation` and `padding` are how batches were made for another program: nothing is cut or padded
  // here, and what does not fit into a model is an error of whoever gives it the text.
}

AddedToken TokenizerReader::readAddedToken(const Field &node) {
  AddedToken token;
  token.content = node["content"].text();
  token.id = node["id"].id();
  token.special = node["special"].flag(false);
  token.normalized = node["normalized"].flag(!token.special);
  token.stripLeft = node["lstrip"].flag(false);
  token.stripRight = node["rstrip"].flag(false);
  token.singleWord = node["single_word"].flag(false);
  vocabulary.resize(size_t(token.id) + 1);
  if (vocabulary.used[token.id] && vocabulary.spelling[token.id] != token.content)
    node.fail("added token '{}' has the id {} of token '{}'", token.content, token.id,
              vocabulary.spelling[token.id]);
  if (auto found = vocabulary.ids.find(token.content);
      found != vocabulary.ids.end() && found->second != token.id)
    node.fail("added token '{}' has the id {}, but {} in the vocabulary", token.content, token.id,
              found->second);
  vocabulary.used[token.id] = true;
  vocabulary.spelling[token.id] = token.content;
  vocabulary.ids[token.content] = token.id;
  addedIds[token.content] = token.id;
  return token;
}

void TokenizerReader::readAddedTokens() {
  Field list = file["added_tokens"];
  std::vector<AddedToken> raw, normalized;
  for (size_t i = 0, count = list.isNull() ? 0 : list.arraySize(); i < count; ++i) {
    AddedToken token = readAddedToken(list[i]);
    isAdded.resize(vocabulary.used.size());
    plan.special.resize(vocabulary.used.size());
    isAdded[token.id] = true;
    plan.special[token.id] = token.special;
    if (token.normalized)
      vocabulary.spelling[token.id] = token.content =
          normalize(plan.normalizer, token.content, true);
    (token.normalized ? normalized : raw).push_back(std::move(token));
  }
  isAdded.resize(vocabulary.used.size());
  plan.special.resize(vocabulary.used.size());
  plan.rawTokens = SpecialTokens(std::move(raw));
  plan.normalizedTokens = SpecialTokens(std::move(normalized));
}

/// Whether no token holds a space behind another character, when there is no pre_tokenizer.
bool TokenizerReader::tokensEndAtSpaces() const {
  for (const NormalizeStep &step : plan.normalizer) {
    auto *replace = std::get_if<ReplaceStep>(&step);
    if (!std::holds_alternative<PrependStep>(step) && !(replace && replace->from == " "))
      return false;
  }
  std::string space = normalize(plan.normalizer, " ", false);
  for (const auto &[token, id] : modelIds)
    for (size_t at = token.find(space, 1); at != std::string::npos; at = token.find(space, at + 1))
      if (!std::string_view(token).substr(0, at).ends_with(space))
        return false;
  return true;
}

bool TokenizerReader::cutsBeforeSpaces(const PieceSteps &pieces) const {
  if (plan.rawTokens.anyContainsSpace() || plan.normalizedTokens.anyContainsSpace() ||
      (!plan.normalizedTokens.empty() && !plan.normalizer.empty()))
    return false;
  if (plan.preTokenizer.empty())
    return tokensEndAtSpaces();
  return pieces.cutsBeforeSpaces && std::ranges::all_of(plan.normalizer, normalizesInParts);
}

TokenizerPlan TokenizerReader::read(std::string_view configJson, std::string_view configName) {
  readHeader();
  plan.normalizer = readNormalizer(file["normalizer"]);
  PieceSteps pieces = readPreTokenizer(file["pre_tokenizer"]);
  plan.preTokenizer = pieces.list;
  ModelParts parts = readModel(file["model"], pieces.byteLevel);
  plan.model = std::move(parts.model);
  vocabulary = std::move(parts.vocabulary);
  modelIds = vocabulary.ids;
  readAddedTokens();
  Template around = readPostProcessor(file["post_processor"], vocabulary);
  guessBosAndEos(addedIds, around);
  if (!configJson.empty())
    readConfig(Field(parseJson(configJson), std::string(configName)), vocabulary.ids, around);
  plan.prefix = std::move(around.prefix);
  plan.suffix = std::move(around.suffix);
  plan.bos = around.bos;
  plan.eos = around.eos;
  plan.cutsBeforeSpaces = cutsBeforeSpaces(pieces);
  plan.decoder = Decoder(readDecoder(file["decoder"], pieces.byteLevel),
                         std::move(vocabulary.spelling), std::move(isAdded));
  return std::move(plan);
}

std::unique_ptr<Tokenizer> parseTokenizer(std::string_view json, std::string_view configJson,
                                          std::string_view name) {
  try {
    if (json == makeByteTokenizer()->serialize())
      return makeByteTokenizer();
    Json file = parseJson(json);
    Field root(file);
    TokenizerPlan plan = TokenizerReader(root).read(configJson, "tokenizer_config.json");
    plan.json = json;
    plan.configJson = configJson.empty() ? "{}" : std::string(configJson);
    return std::make_unique<PipelineTokenizer>(std::move(plan));
  } catch (const Json::exception &error) {
    fail("'{}': {}", name, error.what());
  } catch (const Error &error) {
    fail("'{}': {}", name, error.what());
  }
}

} // namespace lmc
