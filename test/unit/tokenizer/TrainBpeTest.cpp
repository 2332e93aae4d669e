#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;

static TextSource documents(std::vector<std::string> texts) {
  return [texts, next = size_t(0)](TextPiece &piece) mutable {
    if (next == texts.size())
      return false;
    piece = {texts[next++], true};
    return true;
  };
}

TEST(TrainBpe, specialTokensComeFirstAndAreFound) {
  std::unique_ptr<Tokenizer> tokenizer =
      trainBpe(documents({"low low low lower"}), 270, {"<|endoftext|>", "<pad>"});
  EXPECT_EQ(tokenizer->encode("<pad><|endoftext|>", false), (Ids{1, 0}));
  EXPECT_EQ(tokenizer->eosId(), 0);
  EXPECT_TRUE(tokenizer->isSpecial(1));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("low<pad>er", false), true), "lower");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("low<pad>er", false)), "low<pad>er");
}

TEST(TrainBpe, noPairReachesAcrossDocuments) {
  std::unique_ptr<Tokenizer> tokenizer = trainBpe(documents({"a", "b", "a", "b"}), 300);
  EXPECT_EQ(tokenizer->vocabSize(), 256);
}

TEST(TrainBpe, anEmptyTextLeavesTheBytes) {
  std::unique_ptr<Tokenizer> tokenizer = trainBpe(documents({}), 300);
  EXPECT_EQ(tokenizer->vocabSize(), 256);
  std::string bytes("\x00\xFF x", 4);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, true)), bytes);
}

TEST(TrainBpe, bytesThatAreNotUtf8AreTrainedOnToo) {
  std::unique_ptr<Tokenizer> tokenizer = trainBpe(documents({"\xFF\xFE\xFF\xFE\xFF\xFE"}), 257);
  EXPECT_EQ(tokenizer->tokenBytes(256), "\xFF\xFE");
}

TEST(TrainBpe, impossibleRequestsAreErrors) {
  auto message = [](int32_t vocab, std::vector<std::string> special) {
    try {
      trainBpe(documents({"abc"}), vocab, special);
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message(100, {}), testing::HasSubstr("between 256"));
  EXPECT_THAT(message(256, {"<x>"}), testing::HasSubstr("between 257"));
  EXPECT_THAT(message(300, {"<x>", "<x>"}), testing::HasSubstr("different"));
  EXPECT_THAT(message(300, {""}), testing::HasSubstr("not empty"));
}

} // namespace lmc
