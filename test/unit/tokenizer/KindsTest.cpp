// Every kind of model and every component against tables that Hugging Face's `tokenizers` and
// `sentencepiece` wrote (test/data/tokenizer/make_kinds.py).
#include "TestData.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "frontend/tokenizer/Utf8.h"

#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;

static std::string streamed(const Tokenizer &tokenizer, const Ids &ids, bool skipSpecial) {
  StreamDecoder stream(tokenizer, false, skipSpecial);
  std::string text;
  for (int32_t id : ids) {
    std::string piece = stream.push(id);
    EXPECT_EQ(validUtf8Prefix(piece), piece.size());
    text += piece;
  }
  return text + stream.finish();
}

/// The ids of text in two parts, at each place that may be cut.
static void checkCuts(const Tokenizer &tokenizer, const std::string &text, const Ids &expected) {
  for (size_t size = 1; size <= text.size(); ++size) {
    size_t cut = tokenizer.safeCut(std::string_view(text).substr(0, size));
    if (cut == 0)
      continue;
    Ids ids;
    tokenizer.encodePart(std::string_view(text).substr(0, cut), true, ids);
    tokenizer.encodePart(std::string_view(text).substr(cut), false, ids);
    EXPECT_EQ(ids, expected) << text << " cut at " << cut;
  }
}

static void checkRows(const Tokenizer &tokenizer, const nlohmann::json &rows) {
  ASSERT_FALSE(rows.empty());
  for (const nlohmann::json &row : rows) {
    SCOPED_TRACE(row["text"].dump());
    std::string text = row["text"];
    EXPECT_EQ(tokenizer.encode(text, true), row["ids"].get<Ids>());
    Ids plain = tokenizer.encode(text, false);
    checkCuts(tokenizer, text, plain);
    EXPECT_EQ(toValidUtf8(tokenizer.decode(plain)), row["decoded"].get<std::string>());
    EXPECT_EQ(streamed(tokenizer, plain, false), row["decoded"].get<std::string>());
    EXPECT_EQ(streamed(tokenizer, plain, true), row["shown"].get<std::string>());
  }
}

TEST(Kinds, models) {
  nlohmann::json kinds = readTable("kinds.json");
  ASSERT_EQ(kinds.size(), 10u);
  for (const nlohmann::json &kind : kinds) {
    SCOPED_TRACE(kind["name"].get<std::string>());
    std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(kind["file"].dump());
    checkRows(*tokenizer, kind["rows"]);
    std::unique_ptr<Tokenizer> again =
        parseTokenizer(tokenizer->serialize(), tokenizer->serializeConfig());
    EXPECT_EQ(again->encode("naïve <s> the", true), tokenizer->encode("naïve <s> the", true));
  }
}

TEST(Kinds, components) {
  nlohmann::json base = readTable("bpe.json");
  for (const nlohmann::json &variant : readTable("components.json")) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    nlohmann::json file = base;
    for (const auto &[member, value] : variant["patch"].items())
      file[member] = value;
    checkRows(*parseTokenizer(file.dump()), variant["rows"]);
  }
}

TEST(Kinds, sentencePieceModels) {
  for (const nlohmann::json &table : readTable("sentencepiece.json")) {
    SCOPED_TRACE(table["name"].get<std::string>());
    std::string file = "test/data/tokenizer/" + table["name"].get<std::string>();
    std::unique_ptr<Tokenizer> tokenizer = loadTokenizer(file);
    EXPECT_EQ(tokenizer->bosId(), 1);
    EXPECT_EQ(tokenizer->eosId(), 2);
    for (const nlohmann::json &row : table["rows"])
      EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), false), row["ids"].get<Ids>())
          << row["text"];
    // What is saved with a checkpoint is the same tokenizer.
    std::unique_ptr<Tokenizer> saved =
        parseTokenizer(tokenizer->serialize(), tokenizer->serializeConfig());
    for (const nlohmann::json &row : table["rows"])
      EXPECT_EQ(saved->encode(row["text"].get<std::string>(), false), row["ids"].get<Ids>());
  }
}

TEST(Kinds, bytesThatAreNotUtf8) {
  std::string bytes = "the\xFF \xC3 \xE6\x97\xE6\x97\xA5 \xED\xA0\x80";
  for (const nlohmann::json &kind : readTable("kinds.json")) {
    std::string name = kind["name"];
    SCOPED_TRACE(name);
    std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(kind["file"].dump());
    Ids ids = tokenizer->encode(bytes, false);
    if (name == "llama 2" || name == "gemma" || name == "phi-3")
      EXPECT_EQ(tokenizer->decode(ids), bytes);
    else
      EXPECT_FALSE(ids.empty()); // unknown tokens
  }
  std::unique_ptr<Tokenizer> model = loadTokenizer("test/data/tokenizer/bpe.model");
  EXPECT_EQ(model->decode(model->encode(bytes, false)), bytes);
}

TEST(Kinds, aStreamThatContinuesATextKeepsItsSpaces) {
  for (const nlohmann::json &kind : readTable("kinds.json")) {
    std::string name = kind["name"];
    if (name != "llama 2" && name != "bert" && name != "unigram")
      continue;
    SCOPED_TRACE(name);
    std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(kind["file"].dump());
    Ids ids = tokenizer->encode("the king", false);
    EXPECT_EQ(streamed(*tokenizer, ids, true), "the king");
    StreamDecoder stream(*tokenizer, true);
    std::string text;
    for (int32_t id : ids)
      text += stream.push(id);
    EXPECT_EQ(text + stream.finish(), " the king");
  }
}

TEST(Kinds, aWordsEndWaitsForTheNextToken) {
  for (const nlohmann::json &kind : readTable("kinds.json")) {
    if (kind["name"] != "word suffix")
      continue;
    std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(kind["file"].dump());
    Ids ids = tokenizer->encode("the", false);
    ASSERT_EQ(ids.size(), 1u);
    StreamDecoder stream(*tokenizer);
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.push(ids[0]), "the ");
    EXPECT_EQ(stream.finish(), "the");
  }
}

} // namespace lmc
