// Tokenizers made of the parts that a GGUF file holds.
#include "TestData.h"
#include "frontend/tokenizer/SentencePiece.pb.h"
#include "frontend/tokenizer/VocabularyTokenizer.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;

static VocabularyParts partsOf(const nlohmann::json &file) {
  VocabularyParts parts;
  const nlohmann::json &vocab = file["model"]["vocab"];
  parts.tokens.resize(vocab.size());
  for (const auto &[token, id] : vocab.items())
    parts.tokens.at(id) = token;
  parts.types.assign(vocab.size(), PieceType::Normal);
  for (const nlohmann::json &token : file["added_tokens"])
    parts.types.at(token["id"]) = PieceType::Control;
  if (file["model"].contains("merges"))
    for (const nlohmann::json &merge : file["model"]["merges"])
      parts.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return parts;
}

TEST(Vocabulary, byteLevel) {
  std::unique_ptr<Tokenizer> tokenizer =
      makeByteLevelBpe(partsOf(readTable("bpe.json")), bytePreTokenizer("gpt-2"));
  for (const nlohmann::json &row : readTable("bpe_ids.json"))
    EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), false), row["ids"].get<Ids>());
  for (const nlohmann::json &variant : readTable("variants.json"))
    if (variant["name"] == "llama 3") {
      tokenizer = makeByteLevelBpe(partsOf(readTable("bpe.json")), bytePreTokenizer("llama-bpe"));
      for (const nlohmann::json &row : variant["rows"])
        EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), false), row["ids"].get<Ids>());
    }
}

static VocabularyParts partsOfModel(const std::string &name) {
  sentencepiece::Model model;
  model.ParseFromString(readFile("test/data/tokenizer/" + name));
  VocabularyParts parts;
  for (const auto &piece : model.pieces()) {
    parts.tokens.push_back(piece.piece());
    parts.scores.push_back(piece.score());
    parts.types.push_back(PieceType(piece.type()));
  }
  parts.unknownId = 0;
  parts.bosId = 1;
  parts.eosId = 2;
  return parts;
}

TEST(Vocabulary, sentencePieceBpe) {
  VocabularyParts parts = partsOfModel("bpe.model");
  parts.addBos = true;
  std::unique_ptr<Tokenizer> tokenizer = makeSentencePieceBpe(parts, {});
  const nlohmann::json table = readTable("sentencepiece.json")[0];
  ASSERT_EQ(table["name"], "bpe.model");
  for (const nlohmann::json &row : table["rows"]) {
    Ids expected = row["ids"];
    EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), false), expected);
    expected.insert(expected.begin(), 1);
    EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), true), expected);
  }
  EXPECT_EQ(tokenizer->bosId(), 1);
  EXPECT_EQ(tokenizer->eosId(), 2);
}

/// Of merges with equal scores the leftmost goes first, whatever their order in the vocabulary.
TEST(Vocabulary, equalScores) {
  VocabularyParts parts;
  parts.tokens = {"<unk>", "a", "b", "c", "bc", "ab"};
  parts.scores = {0, -3, -3, -3, -1, -1};
  parts.types.assign(6, PieceType::Normal);
  parts.types[0] = PieceType::Unknown;
  parts.unknownId = 0;
  SentencePieceNormalizer plain{"", false, false};
  EXPECT_EQ(makeSentencePieceBpe(parts, plain)->encode("abc", false), (Ids{5, 3}));
  parts.scores[4] = -0.5;
  EXPECT_EQ(makeSentencePieceBpe(parts, plain)->encode("abc", false), (Ids{1, 4}));
}

TEST(Vocabulary, unigram) {
  std::unique_ptr<Tokenizer> tokenizer =
      makeUnigram(partsOfModel("unigram.model"), {"", true, true});
  // The table's model has a charsmap, which this text does not meet.
  Ids direct = tokenizer->encode("  before we  proceed ", false);
  EXPECT_EQ(
      direct,
      loadTokenizer("test/data/tokenizer/unigram.model")->encode("  before we  proceed ", false));
  EXPECT_EQ(tokenizer->decode(direct), "before we proceed");
}

TEST(Vocabulary, wordPiece) {
  for (const nlohmann::json &kind : readTable("kinds.json")) {
    if (kind["name"] != "bert")
      continue;
    VocabularyParts parts = partsOf(kind["file"]);
    parts.unknownId = 1;
    parts.bosId = 2;
    parts.eosId = 3;
    parts.addBos = parts.addEos = true;
    std::unique_ptr<Tokenizer> tokenizer = makeWordPiece(parts, false);
    VocabularyParts phantom = parts;
    for (std::string &token : phantom.tokens)
      if (token.starts_with("##"))
        token = token.substr(2);
      else if (!token.starts_with('[') || !token.ends_with(']'))
        token = "\u2581" + token;
    std::unique_ptr<Tokenizer> gguf = makeWordPiece(phantom, true);
    for (const nlohmann::json &row : kind["rows"]) {
      EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), true), row["ids"].get<Ids>());
      EXPECT_EQ(gguf->encode(row["text"].get<std::string>(), true), row["ids"].get<Ids>());
    }
  }
}

TEST(Vocabulary, refusals) {
  auto errorOf = [](auto make) -> std::string {
    try {
      make();
    } catch (const Error &error) {
      return error.what();
    }
    return "no error";
  };
  VocabularyParts parts;
  auto bpe = [&] { makeSentencePieceBpe(parts, {}); };
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("from 1 to 2^22 tokens, got 0"));
  parts.tokens = {"a", "a"};
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("0 scores for 2 tokens"));
  parts.scores = {0, NAN};
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("the score of token 1 ('a') is not finite"));
  parts.scores[1] = 0;
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("tokens 0 and 1 are both 'a'"));
  parts.tokens[1] = "\xFF";
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("is not UTF-8"));
  parts.tokens[1] = "b";
  parts.bosId = 2;
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("token id 2 is not in the vocabulary of 2 tokens"));
  parts.bosId = {};
  parts.addBos = true;
  EXPECT_THAT(errorOf(bpe), testing::HasSubstr("has no id"));
  parts.addBos = false;
  EXPECT_THAT(errorOf([&] { makeByteLevelBpe(parts, bytePreTokenizer("odd")); }),
              testing::HasSubstr("the way 'odd' to cut a text is unknown (known: gpt-2, "));
  EXPECT_THAT(errorOf([&] { makeWordPiece(parts, true); }),
              testing::HasSubstr("needs an unknown token"));
}

} // namespace lmc
