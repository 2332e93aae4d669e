// What a tokenizer.json may say, and what is refused by name.
#include "TestData.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

static std::string errorOf(const std::string &text, const std::string &config = {}) {
  try {
    parseTokenizer(text, config, "t.json");
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

struct Refusal {
  const char *patch;   // merged into bpe.json
  const char *message; // part of the error
};

TEST(TokenizerJson, refusals) {
  const Refusal cases[] = {
      {R"({"model": {"type": "Martian"}})", "model.type: unknown tokenizer model 'Martian'"},
      {R"({"model": {"type": 3}})", "model.type: must be a string, got 3"},
      {R"({"model": null})", "model.type: is missing"},
      {R"({"model": {"dropout": 0.1}})", "model.dropout: is not supported"},
      {R"({"model": {"vocab": {}, "merges": 1}})", "model.merges: must be an array"},
      {R"({"model": {"vocab": null}})", "model.vocab: must be an object"},
      {R"({"model": {"vocab": {"zz": -1}}})", "model.vocab.zz: must be an integer from 0"},
      {R"({"model": {"vocab": {"zz": 4000000000}}})", "model.vocab.zz: must be an integer from 0"},
      {R"({"model": {"vocab": {"zz": 7.5}}})", "model.vocab.zz: must be an integer from 0"},
      {R"({"model": {"vocab": {"zz": 7}}})", "have the same id 7"},
      {R"({"model": {"merges": ["a b c"]}})", "model.merges[0]: merge 'a b c' must be two tokens"},
      {R"({"model": {"merges": [["a", "@@"]]}})", "which is not in the vocabulary"},
      {R"({"model": {"merges": [["a", 1]]}})", "model.merges[0]: a merge must be a pair of tokens"},
      {R"({"model": {"merge_ranks": [1]}})", "model.merge_ranks: has 1 ranks for"},
      {R"({"model": {"unk_token": "<unk>"}})", "model.unk_token: '<unk>' is not in the vocabulary"},
      {R"({"model": {"fuse_unk": "yes"}})", "model.fuse_unk: must be true or false, got \"yes\""},
      {R"({"model": {"type": "Unigram"}})", "'ByteLevel' is only supported with BPE"},
      {R"({"pre_tokenizer": null, "model": {"type": "Unigram"}})", "model.vocab: must be an array"},
      {R"({"pre_tokenizer": null, "model": {"type": "Unigram", "vocab": [["a", "b"]]}})",
       "model.vocab[0]: must be [token, score]"},
      {R"({"pre_tokenizer": null, "model": {"type": "Unigram", "vocab": []}})",
       "model.vocab: must not be empty"},
      {R"({"pre_tokenizer": null, "model": {"type": "Unigram", "vocab": [["a", 1]], "unk_id": 1}})",
       "model.unk_id: 1 is not in the vocabulary of 1 tokens"},
      {R"({"pre_tokenizer": null, "model": {"type": "WordPiece"}})", "model.unk_token: is missing"},
      {R"({"normalizer": {"type": "NFX"}})", "normalizer: unknown normalizer 'NFX'"},
      {R"({"normalizer": {"type": "Sequence"}})", "normalizer.normalizers: is missing"},
      {R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}]}})",
       "normalizer.normalizers[0]: unknown normalizer 'Nmt'"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "b"}})",
       "normalizer.pattern.String: must be a string that is not empty"},
      {R"({"normalizer": {"type": "Replace", "pattern": 1, "content": "b"}})",
       "normalizer.pattern: must be"},
      {R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}})",
       "normalizer.precompiled_charsmap: is not base64"},
      {R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}})",
       "a charsmap of 3 bytes is cut short"},
      {R"({"pre_tokenizer": {"type": "CharDelimiterSplit"}})",
       "pre_tokenizer: unknown pre_tokenizer 'CharDelimiterSplit'"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}})",
       "pattern \"(\""},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"}})",
       "pre_tokenizer.behavior: unknown behavior 'Odd'"},
      {R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "odd"}})",
       "pre_tokenizer.prepend_scheme: unknown prepend_scheme 'odd'"},
      {R"({"post_processor": {"type": "Odd"}})", "post_processor: unknown post_processor 'Odd'"},
      {R"({"post_processor": {"type": "BertProcessing", "sep": ["a", 99999], "cls": ["b", 1]}})",
       "post_processor.sep[1]: adds id 99999"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single": []}})",
       "post_processor.single: has no place for the text"},
      {R"({"decoder": {"type": "CTC"}})", "decoder: unknown decoder 'CTC'"},
      {R"({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "WordPiece"}]}})",
       "decoder.decoders[1]: decoder 'WordPiece' is not supported after 'Fuse'"},
      {R"({"decoder": null, "pre_tokenizer": null})", "decoder: is missing"},
      {R"({"added_tokens": {}})", "added_tokens: must be an array"},
      {R"({"added_tokens": [{"id": 5, "content": "<x>"}]})", "has the id 5 of token"},
      {R"({"added_tokens": [{"id": 900, "content": "a"}]})", "has the id 900, but"},
      {R"({"added_tokens": [{"content": "a"}]})", "added_tokens[0].id: is missing"},
  };
  Json base = readTable("bpe.json");
  for (const Refusal &refusal : cases) {
    Json file = base;
    file.merge_patch(Json::parse(refusal.patch));
    std::string message = errorOf(file.dump());
    EXPECT_THAT(message, testing::HasSubstr(refusal.message)) << refusal.patch;
    EXPECT_THAT(message, testing::StartsWith("'t.json': ")) << refusal.patch;
  }
}

/// Sixty steps, each of which doubles what the one before left.
TEST(TokenizerJson, replacementsDoNotGrowWithoutEnd) {
  Json doubling = Json::array();
  for (int i = 0; i < 60; ++i)
    doubling.push_back({{"type", "Replace"}, {"pattern", {{"String", "e"}}}, {"content", "ee"}});
  Json file = readTable("bpe.json");
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", doubling}};
  std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(file.dump());
  EXPECT_FALSE(tokenizer->encode("a", false).empty());
  EXPECT_THROW(tokenizer->encode("e", false), Error);
  file = readTable("bpe.json");
  file["decoder"] = {{"type", "Sequence"}, {"decoders", doubling}};
  EXPECT_THAT(errorOf(file.dump()), testing::HasSubstr("decodes to more than"));
}

// Sentence encoders' files say how batches were cut and filled up; a text keeps all its ids here.
TEST(TokenizerJson, nothingIsCutOrPadded) {
  Json file = readTable("bpe.json");
  Ids expected = parseTokenizer(file.dump())->encode("the cat sat on the mat", false);
  file["truncation"] = {{"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {{"strategy", {{"Fixed", 128}}}, {"pad_id", 0}, {"pad_token", "[PAD]"}};
  EXPECT_EQ(parseTokenizer(file.dump())->encode("the cat sat on the mat", false), expected);
}

TEST(TokenizerJson, brokenJson) {
  std::string text = readFile("test/data/tokenizer/bpe.json");
  EXPECT_THAT(errorOf(""), testing::HasSubstr("parse error"));
  EXPECT_THAT(errorOf("[]"), testing::HasSubstr("must be an object"));
  EXPECT_THAT(errorOf("3"), testing::HasSubstr("must be an object"));
  for (size_t size = 1; size < text.size(); size += 97)
    EXPECT_NE(errorOf(text.substr(0, size)), "no error");
  EXPECT_THAT(errorOf(std::string(100000, '[')), testing::HasSubstr("nested deeper"));
  EXPECT_THAT(errorOf(R"({"model": {"vocab": {"a": 1, "a": 2}}})"),
              testing::HasSubstr("the member 'a' comes twice"));
}

TEST(TokenizerJson, configDecidesAboutBosAndEos) {
  std::string text = readFile("test/data/tokenizer/bpe.json");
  auto ids = [&](const std::string &config) {
    return parseTokenizer(text, config)->encode("e", true);
  };
  Ids plain = ids("");
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(ids(R"({"bos_token": "<|endoftext|>", "add_bos_token": true})"), (Ids{0, plain[0]}));
  EXPECT_EQ(ids(R"({"eos_token": {"content": "<|endoftext|>"}, "add_eos_token": true})"),
            (Ids{plain[0], 0}));
  EXPECT_EQ(ids(R"({"bos_token": "<|endoftext|>", "add_bos_token": false})"), plain);
  EXPECT_THAT(
      errorOf(text, R"({"bos_token": "<nope>"})"),
      testing::HasSubstr("tokenizer_config.json.bos_token: '<nope>' is not in the vocabulary"));
  EXPECT_THAT(errorOf(text, "[]"), testing::HasSubstr("tokenizer_config.json: must be an object"));

  std::string config = R"({"bos_token": "<|endoftext|>", "add_bos_token": true})";
  std::unique_ptr<Tokenizer> first = parseTokenizer(text, config);
  std::unique_ptr<Tokenizer> again = parseTokenizer(first->serialize(), first->serializeConfig());
  EXPECT_EQ(again->encode("e", true), first->encode("e", true));
}

TEST(TokenizerJson, configTakesTheTemplatesBosAway) {
  Json file = readTable("bpe.json");
  file["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": []}}})");
  EXPECT_EQ(parseTokenizer(file.dump())->encode("", true), (Ids{0}));
  EXPECT_EQ(parseTokenizer(file.dump(), R"({"add_bos_token": false})")->encode("", true), (Ids{}));
}

TEST(TokenizerJson, aByteWithoutATokenIsAnError) {
  Json file = readTable("bpe.json");
  file["model"]["merges"] = Json::array();
  file["model"]["vocab"] = {{"a", 1}, {"b", 2}};
  std::unique_ptr<Tokenizer> tokenizer = parseTokenizer(file.dump());
  EXPECT_EQ(tokenizer->encode("ab", false), (Ids{1, 2}));
  try {
    tokenizer->encode("abc", false);
    FAIL() << "no error";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(),
                 "the tokenizer has no token for 'c' (byte 0x63) and no unknown token");
  }
}

TEST(TokenizerJson, missingFilesAreNamed) {
  EXPECT_THROW(loadTokenizer("no/such/folder"), Error);
  EXPECT_THROW(loadTokenizer("test/data"), Error); // a folder without tokenizer.json
}

} // namespace lmc
