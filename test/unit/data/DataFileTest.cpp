#include "frontend/data/TokenizeFile.h"

#include "DataFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {

using Ids = std::vector<int32_t>;
using testing::HasSubstr;

static Ids ascii(const std::string &text) { return Ids(text.begin(), text.end()); }

/// Small BPE with an end-of-text token (id 0).
static std::unique_ptr<Tokenizer> smallBpe() {
  return loadTokenizer("test/data/tokenizer/bpe.json");
}

static std::string errorOf(const std::filesystem::path &path, const DataFileOptions &options) {
  try {
    openDataFile(path, options);
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

TEST(DataFile, textOfAnyBytes) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer();
  std::shared_ptr<const TokenFile> file =
      openDataFile(folder.write("a.txt", "hi\xFF\n"), {.tokenizer = bytes.get()});
  EXPECT_EQ(allTokens(*file), (Ids{'h', 'i', 255, '\n'}));
  EXPECT_EQ(file->name(), (folder.path / "a.txt").string());
}

TEST(DataFile, aLongTextInPiecesGivesTheIdsOfTheWhole) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> tokenizer = smallBpe();
  std::string text;
  for (int i = 0; text.size() < 2'300'000; ++i)
    text +=
        "Speak, speak " + std::to_string(i * i) + "  \n\n It's caf\xC3\xA9 \xFF<|endoftext|> end";
  text += std::string(1'200'000, ' ') + "x"; // a piece without a place to cut
  std::shared_ptr<const TokenFile> file =
      openDataFile(folder.write("a.txt", text), {.tokenizer = tokenizer.get()});
  EXPECT_TRUE(allTokens(*file) == tokenizer->encode(text, false));
}

TEST(DataFile, aTextOfWholePieces) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer();
  std::filesystem::path path = folder.write("a.txt", std::string(size_t(2) << 20, 'x'));
  EXPECT_EQ(openDataFile(path, {.tokenizer = bytes.get()})->size(), 2 << 20);
}

TEST(DataFile, jsonLines) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bpe = smallBpe(), bytes = makeByteTokenizer();
  std::filesystem::path path = folder.write(
      "a.jsonl",
      "{\"text\": \"one\"}\r\n\n  \n{\"id\": 3, \"text\": \"tw\\u00f6\\n\"}\n{\"text\":\"\"}");
  Ids expected;
  for (const char *text : {"one", "tw\xC3\xB6\n", ""}) {
    Ids ids = bpe->encode(text, false);
    expected.insert(expected.end(), ids.begin(), ids.end());
    expected.push_back(0);
  }
  EXPECT_EQ(allTokens(*openDataFile(path, {.tokenizer = bpe.get()})), expected);
  // Bytes have no token to end a document with.
  std::string joined = "onetw\xC3\xB6\n";
  EXPECT_EQ(allTokens(*openDataFile(path, {.tokenizer = bytes.get()})),
            bytes->encode(joined, false));
}

TEST(DataFile, jsonLinesErrorsNameTheLine) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer();
  for (const char *bad : {"{\"text\": 3}", "[]", "{\"text\": \"a\"", "\xFF", "{\"txt\": \"a\"}"}) {
    std::filesystem::path path =
        folder.write("a.jsonl", std::string("{\"text\": \"good\"}\n\n") + bad + "\n");
    EXPECT_THAT(errorOf(path, {.tokenizer = bytes.get()}), HasSubstr(path.string() + ":3: "))
        << bad;
  }
  std::filesystem::path deep = folder.write("a.jsonl", std::string(100000, '['));
  EXPECT_THAT(errorOf(deep, {.tokenizer = bytes.get()}), HasSubstr(":1: JSON is nested deeper"));
}

TEST(DataFile, idsOfEitherWidth) {
  DataFolder folder;
  std::filesystem::path path = folder.write("a.bin", std::string("\1\0\2\0\3\0\0\0", 8));
  EXPECT_EQ(allTokens(*openDataFile(path, {.vocab = 65536})), (Ids{1, 2, 3, 0}));
  EXPECT_EQ(allTokens(*openDataFile(path, {.vocab = 65537})), (Ids{131073, 3}));
  EXPECT_EQ(allTokens(*openDataFile(path, {.vocab = 10, .width = TokenWidth::U32})),
            (Ids{131073, 3}));
  path = folder.write("b.bin", std::string("\xFF\xFF\xFF\xFF", 4));
  std::shared_ptr<const TokenFile> file = openDataFile(path, {.vocab = 70000});
  EXPECT_THROW(allTokens(*file), Error);
}

TEST(DataFile, refusals) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer();
  DataFileOptions options{.tokenizer = bytes.get(), .vocab = 256};
  EXPECT_THAT(errorOf(folder.path / "none.txt", options), HasSubstr("no such data file"));
  EXPECT_THAT(errorOf(folder.write("a.txt", ""), options), HasSubstr("is empty"));
  EXPECT_THAT(errorOf(folder.write("a.jsonl", ""), options), HasSubstr("is empty"));
  EXPECT_THAT(errorOf(folder.write("b.jsonl", "\n \n"), options), HasSubstr("has no tokens"));
  EXPECT_THAT(errorOf(folder.write("a.bin", ""), options), HasSubstr("has no tokens"));
  EXPECT_THAT(errorOf(folder.write("a.bin", "123"), options),
              HasSubstr("3 bytes are no whole number of 2-byte token ids"));
  EXPECT_THAT(errorOf(folder.write("a.csv", "x"), options), HasSubstr("unknown kind of data file"));
  EXPECT_THAT(errorOf(folder.write("c.txt", "x"), {.vocab = 256}), HasSubstr("needs a tokenizer"));
  std::filesystem::create_directory(folder.path / "d.txt");
  EXPECT_NE(errorOf(folder.path / "d.txt", options), "no error");
}

TEST(DataFile, cacheIsKeyedByTextAndTokenizer) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer(), bpe = smallBpe();
  std::filesystem::path cache = folder.path / "deep/cache";
  auto entries = [&] {
    return std::distance(std::filesystem::directory_iterator(cache),
                         std::filesystem::directory_iterator());
  };
  auto open = [&](const Tokenizer &tokenizer) {
    return allTokens(
        *openDataFile(folder.path / "a.txt", {.tokenizer = &tokenizer, .cacheFolder = cache}));
  };
  folder.write("a.txt", "the king");
  EXPECT_EQ(open(*bytes), ascii("the king"));
  EXPECT_EQ(entries(), 1);
  EXPECT_EQ(open(*bytes), ascii("the king"));
  EXPECT_EQ(entries(), 1);
  EXPECT_EQ(open(*bpe), bpe->encode("the king", false));
  EXPECT_EQ(entries(), 2);
  folder.write("a.txt", "the kine");
  EXPECT_EQ(open(*bytes), ascii("the kine"));
  EXPECT_EQ(entries(), 3);

  // A hit is used, not written again: what stands there is what comes.
  for (const auto &entry : std::filesystem::directory_iterator(cache))
    std::ofstream(entry.path(), std::ios::binary) << std::string("\7\0", 2);
  EXPECT_EQ(open(*bytes), Ids{7});
}

TEST(DataFile, aFailedTextLeavesNoCacheEntry) {
  DataFolder folder;
  std::unique_ptr<Tokenizer> bytes = makeByteTokenizer();
  std::filesystem::path cache = folder.path / "cache";
  EXPECT_NE(errorOf(folder.write("a.jsonl", "{\"text\": \"a\"}\n{"),
                    {.tokenizer = bytes.get(), .cacheFolder = cache}),
            "no error");
  EXPECT_TRUE(std::filesystem::is_empty(cache));
}

} // namespace lmc
