#include "frontend/tokenizer/Tokenizer.h"

#include "TestData.h"
#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace lmc {

using Ids = std::vector<int32_t>;

static std::string randomBytes(std::mt19937 &random, size_t size) {
  std::string bytes(size, '\0');
  for (char &byte : bytes)
    byte = char(random() % 256);
  return bytes;
}

TEST(Tokenizer, byteIdsAreTheBytes) {
  std::unique_ptr<Tokenizer> tokenizer = loadTokenizer("byte");
  EXPECT_EQ(tokenizer->encode(std::string_view("A\0\xFF", 3), true), (Ids{65, 0, 255}));
  EXPECT_EQ(tokenizer->decode(Ids{104, 105, 200}), "hi\xC8");
  EXPECT_EQ(tokenizer->vocabSize(), 256);
  EXPECT_FALSE(tokenizer->eosId());
  EXPECT_THROW(tokenizer->decode(Ids{256}), Error);
  EXPECT_THROW(tokenizer->decode(Ids{-1}), Error);
  EXPECT_EQ(parseTokenizer(tokenizer->serialize())->encode("\xE6\x97", true), (Ids{0xE6, 0x97}));
}

TEST(Tokenizer, byteFileMeansTheSameToTheGeneralReader) {
  // Another layout of the same JSON is not recognised as `byte`, and must give the same ids.
  std::string text = nlohmann::json::parse(makeByteTokenizer()->serialize()).dump();
  std::unique_ptr<Tokenizer> general = parseTokenizer(text);
  std::mt19937 random(1);
  std::string bytes = randomBytes(random, 2000);
  EXPECT_EQ(general->encode(bytes, true), makeByteTokenizer()->encode(bytes, true));
}

TEST(Tokenizer, anyBytesComeBack) {
  std::unique_ptr<Tokenizer> tokenizer = loadTokenizer("test/data/tokenizer/bpe.json");
  std::mt19937 random(2);
  for (size_t size = 0; size < 300; ++size) {
    std::string bytes = randomBytes(random, size);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, false)), bytes);
  }
  // An ill-formed byte parts two words.
  Ids whole = tokenizer->encode("the\xFFthe", false), word = tokenizer->encode("the", false);
  ASSERT_EQ(whole.size(), 2 * word.size() + 1);
  EXPECT_TRUE(std::equal(word.begin(), word.end(), whole.begin()));
}

TEST(Tokenizer, aLoadedFileIsSerializedAsItWas) {
  std::string text = readFile("test/data/tokenizer/bpe.json");
  EXPECT_EQ(parseTokenizer(text)->serialize(), text);
}

TEST(Tokenizer, longHostileTextEnds) {
  std::unique_ptr<Tokenizer> tokenizer = loadTokenizer("test/data/tokenizer/bpe.json");
  for (std::string unit :
       {"a", " ", "\n", "'", "the", "\xFF", "\xE6\x97\xA5", "<|endoftext|", "e "}) {
    std::string text;
    while (text.size() < 500000)
      text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false)), text);
  }
}

TEST(Tokenizer, threadsShareOne) {
  std::unique_ptr<Tokenizer> tokenizer = loadTokenizer("test/data/tokenizer/bpe.json");
  std::string text = readFile("test/data/tokenizer/corpus.txt");
  Ids expected = tokenizer->encode(text, true);
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round)
        equal[i] += tokenizer->encode(text, true) == expected;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 5));
}

TEST(StreamDecoder, holdsBackUnfinishedCharacters) {
  std::unique_ptr<Tokenizer> tokenizer = makeByteTokenizer();
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.push(0x80), "\xF0\x9F\x98\x80");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.push('b'), "\xEF\xBF\xBD"
                              "b");
  EXPECT_EQ(stream.push(0xE6), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, piecesMakeTheWholeForAnyBytes) {
  std::unique_ptr<Tokenizer> tokenizer = makeByteTokenizer();
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    // Lead and continuation bytes are frequent, so that near misses are.
    std::string bytes;
    for (int i = 0; i < 12; ++i)
      bytes += "a\x80\xBF\xC2\xE0\xA0\xED\x9F\xF0\x90\xF4\x8F\xFF\xE6"[random() % 14];
    StreamDecoder stream(*tokenizer);
    std::string pieces;
    for (char byte : bytes) {
      std::string piece = stream.push(uint8_t(byte));
      EXPECT_EQ(validUtf8Prefix(piece), piece.size());
      pieces += piece;
    }
    EXPECT_EQ(pieces + stream.finish(), toValidUtf8(bytes));
  }
}

TEST(Utf8, illFormedPartsAsTheStandardCutsThem) {
  // Unicode Standard 3.9, table 3-8 to 3-11.
  const std::string bad = "\xEF\xBF\xBD";
  auto repeated = [&](int count) {
    std::string text;
    while (count-- > 0)
      text += bad;
    return text;
  };
  EXPECT_EQ(toValidUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), repeated(8) + "A");
  EXPECT_EQ(toValidUtf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), repeated(8) + "A");
  EXPECT_EQ(toValidUtf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            repeated(5) + "A" + repeated(2) + "B");
  EXPECT_EQ(toValidUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), repeated(4) + "A");
}

TEST(SplitPattern, refusesWhatItWouldReadDifferently) {
  for (const char *pattern : {"(", "\\h+", "[a[b]]", "[a&&b]", "[\\S]", "a\\b", "(a)\\1"})
    EXPECT_THROW(SplitPattern{pattern}, Error) << pattern;
}

TEST(SplitPattern, runawayBacktrackingIsAnError) {
  SplitPattern pattern("(a+)+$");
  std::vector<SplitPattern::Range> matches;
  EXPECT_THROW(pattern.findAll(std::string(60, 'a') + "b", matches), Error);
}

} // namespace lmc
