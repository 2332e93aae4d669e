// Encoding texts with tokenizers of each published kind, whose vocabularies are made of the texts.
#include "tools/bench/Case.h"
#include "tools/bench/TokenizerText.h"

#include "frontend/tokenizer/VocabularyTokenizer.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <utility>

namespace lmc::bench {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t numTokens = 16000, numBytes = 1 << 20;

/// What vocabularies are made of: a sample, as those of models are.
std::string sample() {
  constexpr size_t size = numBytes / 4;
  return proseText(size) + codeText(size) + mixedText(size);
}

VocabularyParts trainedParts() {
  std::string text = sample();
  auto source = [&, given = false](TextPiece &piece) mutable {
    piece = {text, true};
    return !std::exchange(given, true);
  };
  Json model = Json::parse(trainBpe(source, numTokens)->serialize())["model"];
  VocabularyParts parts;
  parts.tokens.resize(model["vocab"].size());
  for (const auto &[token, id] : model["vocab"].items())
    parts.tokens[id.get<size_t>()] = token;
  for (const Json &merge : model["merges"])
    parts.merges.push_back(merge.is_string()
                               ? merge.get<std::string>()
                               : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return parts;
}

std::unique_ptr<Tokenizer> byteLevel(const char *preTokenizer) {
  static const VocabularyParts parts = trainedParts();
  return makeByteLevelBpe(parts, bytePreTokenizer(preTokenizer));
}

std::unique_ptr<Tokenizer> sentencePiece(bool addSpacePrefix) {
  VocabularyParts parts;
  parts.tokens = {"<unk>", "<s>", "</s>"};
  parts.types = {PieceType::Unknown, PieceType::Control, PieceType::Control};
  parts.unknownId = 0;
  for (int byte = 0; byte < 256; ++byte) {
    parts.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    parts.types.push_back(PieceType::Byte);
  }
  for (auto &[part, count] : frequentParts(sample(), numTokens, {"\u2581", "", false})) {
    parts.tokens.push_back(part);
    parts.types.push_back(PieceType::Normal);
  }
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    parts.scores.push_back(-float(id));
  SentencePieceNormalizer normalizer;
  normalizer.addSpacePrefix = addSpacePrefix;
  return makeSentencePieceBpe(parts, normalizer);
}

std::unique_ptr<Tokenizer> wordPiece() {
  VocabularyParts parts;
  parts.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  parts.types = {PieceType::Control, PieceType::Unknown, PieceType::Control, PieceType::Control};
  parts.unknownId = 1;
  for (auto &[part, count] : frequentParts(sample(), numTokens, {"", "##", true}))
    if (part != "##") {
      parts.tokens.push_back(part);
      parts.types.push_back(PieceType::Normal);
    }
  return makeWordPiece(parts, false);
}

std::unique_ptr<Tokenizer> unigram() {
  Json vocabulary = Json::array({Json::array({"<unk>", 0.0})});
  for (auto &[part, count] : frequentParts(sample(), numTokens, {"\u2581", "", false}))
    vocabulary.push_back(Json::array({part, std::log(double(count) / double(numBytes))}));
  Json metaspace{{"type", "Metaspace"},
                 {"replacement", "\u2581"},
                 {"prepend_scheme", "always"},
                 {"split", true}};
  Json file{{"normalizer", Json{{"type", "NFKC"}}},
            {"pre_tokenizer", metaspace},
            {"decoder", metaspace},
            {"model", Json{{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocabulary}}}};
  return parseTokenizer(file.dump());
}

class Encoding : public Workload {
public:
  Encoding(std::unique_ptr<Tokenizer> made, std::string given, bool lossless)
      : tokenizer(std::move(made)), text(std::move(given)), lossless(lossless) {
    bytes = double(text.size());
  }

  void run() override { ids = tokenizer->encode(text, false); }

  /// What is lossless comes back; in all kinds no token has a space behind a letter or symbol, so that
  /// the text can be encoded word by word.
  std::string check() override {
    run();
    tokens = double(ids.size());
    if (lossless) {
      if (tokenizer->decode(ids) != text)
        fail("the text does not come back");
      return "round trip";
    }
    std::vector<int32_t> expected;
    for (size_t begin = 0, end; begin < text.size(); begin = end) {
      end = begin + 1;
      while (end < text.size() && !(text[end] == ' ' && text[end - 1] > ' '))
        ++end;
      for (int32_t id : tokenizer->encode(std::string_view(text).substr(begin, end - begin), false))
        expected.push_back(id);
    }
    if (ids != expected)
      fail("{} ids, word by word {}, or others", ids.size(), expected.size());
    return "word by word";
  }

private:
  std::unique_ptr<Tokenizer> tokenizer;
  std::string text;
  bool lossless;
  std::vector<int32_t> ids;
};

} // namespace

void addTokenizers(std::vector<Case> &cases) {
  using Make = std::function<std::unique_ptr<Tokenizer>()>;
  auto add = [&](const char *kind, const Make &make, bool lossless) {
    for (auto [name, write] :
         {std::pair("prose", &proseText), {"code", &codeText}, {"mixed", &mixedText}})
      cases.push_back({fmt::format("tokenize.{}.{}", kind, name), "1 MiB, 16,000 tokens, 1 thread",
                       Bound::None, [=, write = write] {
                         return std::make_unique<Encoding>(make(), write(numBytes), lossless);
                       }});
  };
  for (const char *kind : {"gpt-2", "llama3", "qwen2", "gpt-4o"})
    add(kind, [=] { return byteLevel(kind); }, !bytePreTokenizer(kind).composes);
  add("llama2", [] { return sentencePiece(true); }, true);
  add("gemma", [] { return sentencePiece(false); }, true);
  add("bert", wordPiece, false);
  add("unigram", unigram, false);
}

} // namespace lmc::bench
