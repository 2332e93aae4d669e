#include "frontend/gguf/GgufTokenizer.h"

#include "../checkpoint/TemporaryFolder.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace lmc {
namespace {

std::unique_ptr<Tokenizer> build(const GgufTokenizer &tokenizer) {
  return makeTokenizer(tokenizer, "m.gguf");
}

GgufTokenizer sentencePiece() {
  GgufTokenizer t;
  t.model = "llama";
  t.tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "\u2581", "a", "b", "ab", "\u2581ab", "aa"};
  t.types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1};
  t.scores = {0, 0, 0, 0, -10, -11, -12, -2, -3, -1};
  t.unknown = 0;
  t.bos = 1;
  t.eos = 2;
  return t;
}

} // namespace

TEST(GgufTokenizer, scoresDecideWhatIsMerged) {
  auto tokenizer = build(sentencePiece());
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(tokenizer->encode("ab", false), (Ids{8}));
  EXPECT_EQ(tokenizer->encode("ab", true), (Ids{1, 8}));      // BOS by default
  EXPECT_EQ(tokenizer->encode("aab", false), (Ids{4, 9, 6})); // "aa" has a higher score than "ab"
  EXPECT_EQ(tokenizer->encode("a\nb", false), (Ids{4, 5, 3, 6}));
  EXPECT_EQ(tokenizer->decode(Ids{8, 4, 9}), "ab aa");
  EXPECT_EQ(tokenizer->eosId(), 2);
  EXPECT_TRUE(tokenizer->isSpecial(1));
  GgufTokenizer other = sentencePiece();
  std::swap(other.scores[7], other.scores[9]);
  EXPECT_EQ(build(other)->encode("aab", false), (Ids{4, 5, 7}));
  other.addBos = false;
  EXPECT_EQ(build(other)->encode("b", true), (Ids{4, 6}));
}

TEST(GgufTokenizer, byteLevelBpeGoesBothWays) {
  TemporaryFolder folder;
  bool given = false;
  auto trained = trainBpe(
      [&](TextPiece &piece) {
        piece = {"the cat sat on the mat, the cat ate the rat", true};
        return !std::exchange(given, true);
      },
      280, {"<|endoftext|>"});
  folder.write("tokenizer.json", trained->serialize());
  folder.write("tokenizer_config.json", R"({"eos_token":"<|endoftext|>","chat_template":"{{x}}"})");
  GgufTokenizer converted = convertTokenizer(folder.path);
  EXPECT_EQ(converted.model, "gpt2");
  EXPECT_EQ(converted.pre, "gpt-2");
  EXPECT_EQ(converted.tokens.size(), size_t(trained->vocabSize()));
  EXPECT_EQ(converted.eos, 0);
  EXPECT_EQ(converted.types[0], GgufTokenizer::Control);
  EXPECT_EQ(converted.chatTemplate, "{{x}}");

  GgufMetadata metadata("m");
  writeGgufTokenizer(converted, metadata);
  GgufTokenizer read = readGgufTokenizer(metadata);
  EXPECT_EQ(read.huggingFaceJson, trained->serialize());
  EXPECT_EQ(read.tokens, converted.tokens);
  EXPECT_EQ(read.merges, converted.merges);
  read.huggingFaceJson.clear(); // as in files of others
  for (const char *text :
       {"the cat sat", " a rat\n\nthe mat", "<|endoftext|>the", "\u00e9\U0001F642"})
    EXPECT_EQ(build(read)->encode(text, false), trained->encode(text, false)) << text;
}

TEST(GgufTokenizer, sentencePieceGoesBothWays) {
  TemporaryFolder folder;
  GgufTokenizer original = sentencePiece();
  auto tokenizer = build(original);
  folder.write("tokenizer.json", tokenizer->serialize());
  folder.write("tokenizer_config.json", tokenizer->serializeConfig());
  GgufTokenizer converted = convertTokenizer(folder.path);
  EXPECT_EQ(converted.model, "llama");
  EXPECT_EQ(converted.tokens, original.tokens);
  EXPECT_EQ(converted.types, original.types);
  EXPECT_EQ(converted.bos, 1);
  EXPECT_EQ(converted.unknown, 0);
  EXPECT_EQ(converted.addBos, true);
  converted.huggingFaceJson.clear();
  for (const char *text : {"ab", "aab", "b a\nab", "aaab ab"})
    EXPECT_EQ(build(converted)->encode(text, true), build(original)->encode(text, true)) << text;
}

// Tables of Hugging Face's tokenizers (test/data/tokenizer/make_kinds.py, make_tables.py), through the
// lists alone, as files of others have them.
TEST(GgufTokenizer, listsGiveTheIdsOfTokenizerJson) {
  const std::map<std::string, std::string> expected = {
      {"llama 2", "llama"}, {"gemma", "llama"},       {"bert", "bert"},
      {"bert cased", ""},   {"unigram", ""},          {"word level", ""},
      {"word suffix", ""},  {"prefix space", ""},     {"llama 3", "gpt2 llama-bpe"},
      {"removed", ""},      {"digits", "gpt2 smollm"}};
  auto parse = [](const char *name) {
    std::ifstream file(std::string("test/data/tokenizer/") + name);
    return nlohmann::ordered_json::parse(file);
  };
  const nlohmann::ordered_json plain = parse("bpe.json");
  nlohmann::ordered_json cases = parse("kinds.json");
  for (const auto &variant : parse("variants.json")) {
    cases.push_back(variant);
    cases.back()["file"] = plain;
    cases.back()["file"].merge_patch(variant["patch"]);
  }
  size_t seen = 0;
  for (const auto &entry : cases) {
    auto kind = expected.find(entry["name"].get<std::string>());
    if (kind == expected.end())
      continue;
    SCOPED_TRACE(kind->first);
    ++seen;
    TemporaryFolder folder;
    folder.write("tokenizer.json", entry["file"].dump());
    GgufTokenizer converted = convertTokenizer(folder.path);
    EXPECT_EQ(converted.model + (converted.model == "gpt2" ? " " + converted.pre : ""),
              kind->second);
    EXPECT_EQ(converted.huggingFaceJson, entry["file"].dump());
    GgufMetadata metadata("m");
    writeGgufTokenizer(converted, metadata);
    GgufTokenizer read = readGgufTokenizer(metadata);
    read.huggingFaceJson.clear();
    if (kind->second.empty())
      continue;
    auto tokenizer = build(read);
    for (const auto &row : entry["rows"])
      EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), true),
                row["ids"].get<std::vector<int32_t>>())
          << row["text"];
  }
  EXPECT_EQ(seen, expected.size());
}

TEST(GgufTokenizer, errorsSayWhatIsWrong) {
  using testing::HasSubstr;
  auto errorOf = [](auto call) {
    try {
      call();
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  auto text = [&](auto change) {
    GgufTokenizer t = sentencePiece();
    change(t);
    return errorOf([&] { build(t); });
  };
  EXPECT_THAT(
      text([](auto &t) { t.model = "rwkv"; }),
      HasSubstr("'m.gguf': the tokenizer is of kind 'rwkv' (known: gpt2, llama, t5, bert)"));
  EXPECT_THAT(text([](auto &t) {
                t.model = "gpt2";
                t.pre = "qwen9";
              }),
              HasSubstr("the way 'qwen9' to cut a text is unknown (known: gpt-2"));
  EXPECT_THAT(text([](auto &t) { t.scores.clear(); }), HasSubstr("0 scores for 10 tokens"));
  EXPECT_THAT(text([](auto &t) { t.tokens.clear(); }), HasSubstr("holds no tokenizer"));
  EXPECT_THAT(text([](auto &t) { t.tokens[5] = "b"; }), HasSubstr("tokens 5 and 6 are both 'b'"));
  EXPECT_THAT(text([](auto &t) { t.tokens[5] = "\xFF"; }), HasSubstr("is not UTF-8"));
  EXPECT_THAT(text([](auto &t) {
                t.model = "gpt2";
                t.merges = {"a b", "a \xFF"};
              }),
              HasSubstr("merge 1 ('a \uFFFD') is not UTF-8"));
  EXPECT_EQ(text([](auto &t) { t.chatTemplate = "\xFF"; }), "no error");
  GgufMetadata m("m");
  writeGgufTokenizer(sentencePiece(), m);
  m.set("tokenizer.ggml.bos_token_id", 10u);
  EXPECT_THAT(errorOf([&] { readGgufTokenizer(m); }),
              HasSubstr("'tokenizer.ggml.bos_token_id' is 10"));
  m.set("tokenizer.ggml.scores", GgufArray{std::vector<float>{1}});
  EXPECT_THAT(errorOf([&] { readGgufTokenizer(m); }),
              HasSubstr("'tokenizer.ggml.scores' has 1 elements, 'tokenizer.ggml.tokens' has 10"));
}

} // namespace lmc
