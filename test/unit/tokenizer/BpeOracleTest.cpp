// Ids and texts against tables that Hugging Face's `tokenizers` wrote (test/data/tokenizer).
#include "TestData.h"
#include "frontend/tokenizer/Tokenizer.h"

#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;

/// The ids of text when it comes in pieces of `step` bytes.
static Ids encodeInParts(const Tokenizer &tokenizer, const std::string &text, size_t step) {
  Ids ids;
  std::string buffer;
  bool atStart = true;
  for (size_t at = 0; at < text.size(); at += step) {
    buffer += text.substr(at, step);
    if (size_t cut = tokenizer.safeCut(buffer)) {
      tokenizer.encodePart(std::string_view(buffer).substr(0, cut), atStart, ids);
      buffer.erase(0, cut);
      atStart = false;
    }
  }
  tokenizer.encodePart(buffer, atStart, ids);
  return ids;
}

static void checkTable(const Tokenizer &tokenizer, const nlohmann::json &table) {
  ASSERT_FALSE(table.empty());
  for (const nlohmann::json &row : table) {
    std::string text = row["text"];
    EXPECT_EQ(tokenizer.encode(text, true), row["ids"].get<Ids>()) << row["text"].dump();
    Ids plain = tokenizer.encode(text, false);
    if (row.contains("decoded")) {
      EXPECT_EQ(tokenizer.decode(plain), row["decoded"].get<std::string>()) << row["text"].dump();
      EXPECT_EQ(tokenizer.decode(plain, true), row["shown"].get<std::string>())
          << row["text"].dump();
      StreamDecoder stream(tokenizer);
      std::string shown;
      for (int32_t id : plain)
        shown += stream.push(id);
      EXPECT_EQ(shown + stream.finish(), row["shown"].get<std::string>()) << row["text"].dump();
    }
    for (size_t step : {1, 2, 7})
      EXPECT_EQ(encodeInParts(tokenizer, text, step), plain) << row["text"].dump();
  }
}

TEST(BpeOracle, byteLevel) {
  checkTable(*loadTokenizer("test/data/tokenizer/bpe.json"), readTable("bpe_ids.json"));
}

TEST(BpeOracle, everyPipelineStep) {
  nlohmann::json base = readTable("bpe.json");
  for (const nlohmann::json &variant : readTable("variants.json")) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    nlohmann::json file = base;
    file.merge_patch(variant["patch"]);
    checkTable(*parseTokenizer(file.dump()), variant["rows"]);
  }
}

TEST(BpeOracle, sentencePieceStyle) {
  std::filesystem::path folder = sharedFolder() / "models/stories260k";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is absent: the SentencePiece-style table was not checked";
  std::unique_ptr<Tokenizer> tokenizer = loadTokenizer(folder.string());
  checkTable(*tokenizer, readTable("stories260k_ids.json"));
  EXPECT_EQ(tokenizer->vocabSize(), 512);
  EXPECT_EQ(tokenizer->bosId(), 1);
  EXPECT_EQ(tokenizer->eosId(), 2);
  EXPECT_TRUE(tokenizer->isSpecial(1));
  EXPECT_FALSE(tokenizer->isSpecial(300));

  // Bytes that are not UTF-8 go through the byte tokens, and come back.
  std::string bytes = "a\xFF\xC3 \xE6\x97";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, false)), bytes);

  // A text that goes on keeps its leading space, a new one drops it.
  Ids word = tokenizer->encode("little girl", false);
  EXPECT_EQ(StreamDecoder(*tokenizer).push(word[0]), "little");
  EXPECT_EQ(StreamDecoder(*tokenizer, true).push(word[0]), " little");
}

TEST(BpeOracle, trainingFindsTheSameMerges) {
  std::string corpus = readFile("test/data/tokenizer/corpus.txt");
  for (size_t step : {1, 100, 100000}) {
    size_t at = 0;
    TextSource source = [&](TextPiece &piece) {
      if (at >= corpus.size())
        return false;
      piece = {corpus.substr(at, step), false};
      at += step;
      return true;
    };
    std::unique_ptr<Tokenizer> ours = trainBpe(source, 420, {"<|endoftext|>"});
    nlohmann::json mine = nlohmann::json::parse(ours->serialize()), theirs = readTable("bpe.json");
    EXPECT_EQ(mine["model"], theirs["model"]) << "pieces of " << step;
    EXPECT_EQ(mine["added_tokens"], theirs["added_tokens"]);
    EXPECT_EQ(mine["pre_tokenizer"], theirs["pre_tokenizer"]);
  }
}

TEST(BpeOracle, trainingBreaksTiesTheSameWay) {
  for (const nlohmann::json &row : readTable("ties.json")) {
    bool given = false;
    TextSource source = [&](TextPiece &piece) {
      piece = {row["text"].get<std::string>(), true};
      return !std::exchange(given, true);
    };
    std::unique_ptr<Tokenizer> ours = trainBpe(source, row["vocab"].get<int32_t>());
    std::vector<std::string> merges;
    nlohmann::json file = nlohmann::json::parse(ours->serialize());
    for (const nlohmann::json &merge : file["model"]["merges"])
      merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    EXPECT_EQ(merges, row["merges"].get<std::vector<std::string>>());
    EXPECT_EQ(ours->vocabSize(), row["tokens"].get<int32_t>());
  }
}

} // namespace lmc
