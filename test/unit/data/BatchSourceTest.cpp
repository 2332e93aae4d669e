#include "frontend/data/BatchSource.h"

#include "DataFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace lmc {

using Ids = std::vector<int32_t>;

TEST(BatchSource, sequential) {
  DataFolder folder;
  BatchSource source(folder.counting(15), {2, 3, 100, DataOrder::Sequential});
  EXPECT_EQ(source.batchesPerEpoch(), 2);
  Batch first = source.read(0), second = source.read(1);
  EXPECT_EQ(first.tokens, (Ids{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(first.targets, (Ids{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(second.tokens, (Ids{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(second.targets, (Ids{7, 8, 9, 10, 11, 12}));
  // Tokens 13 and 14 make no whole batch: back to the start.
  EXPECT_EQ(source.read(2).tokens, first.tokens);
  EXPECT_EQ(source.read(5).targets, second.targets);
  EXPECT_EQ(source.read(5).position, 5);
  EXPECT_EQ(BatchSource(folder.counting(12), {2, 3, 100, DataOrder::Sequential}).batchesPerEpoch(),
            1);
  EXPECT_EQ(BatchSource(folder.counting(13), {2, 3, 100, DataOrder::Sequential}).batchesPerEpoch(),
            2);
}

TEST(BatchSource, shuffledVisitsEachWindowOnceAnEpoch) {
  DataFolder folder;
  BatchSource source(folder.counting(1001), {4, 10, 2000, DataOrder::Shuffled, 9});
  // 100 windows fit, 99 are visited whatever the phase.
  EXPECT_EQ(source.batchesPerEpoch(), 25);
  std::set<int32_t> seen;
  for (int64_t i = 0; i < 24; ++i) {
    Batch batch = source.read(i);
    for (size_t j = 0; j < batch.tokens.size(); ++j) {
      EXPECT_EQ(batch.targets[j], batch.tokens[j] + 1);
      EXPECT_TRUE(seen.insert(batch.tokens[j]).second) << "token " << batch.tokens[j];
    }
  }
  EXPECT_EQ(seen.size(), 960u);
  EXPECT_EQ(source.read(1000).tokens, source.read(1000).tokens);
}

TEST(BatchSource, idsOutsideTheVocabularyAreFoundWhereTheyAre) {
  DataFolder folder;
  std::vector<uint16_t> ids(20, 1);
  ids[13] = 60000;
  BatchSource source(folder.tokens(ids), {1, 4, 256, DataOrder::Sequential});
  EXPECT_NO_THROW(source.read(0));
  try {
    source.read(3);
    FAIL() << "no error";
  } catch (const Error &error) {
    EXPECT_EQ(std::string(error.what()), "'" + (folder.path / "tokens.bin").string() +
                                             "': token 60000 at position 13 is outside the "
                                             "vocabulary of 256");
  }
}

TEST(BatchSource, refusals) {
  DataFolder folder;
  auto message = [&](size_t count, BatchOptions options) {
    try {
      BatchSource(folder.counting(count), options);
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  using testing::HasSubstr;
  EXPECT_THAT(message(12, {3, 4, 9, DataOrder::Sequential}),
              HasSubstr("has 12 tokens, a batch of 3 sequences of 4 needs at least 13"));
  EXPECT_EQ(message(13, {3, 4, 9, DataOrder::Sequential}), "no error");
  EXPECT_THAT(message(4, {3, 4, 9}), HasSubstr("has 4 tokens, a sequence of 4 needs at least 5"));
  EXPECT_EQ(message(5, {3, 4, 9}), "no error");
  EXPECT_THAT(message(9, {0, 4, 9}), HasSubstr("a batch of 0 sequences"));
  EXPECT_THAT(message(9, {1, -1, 9}), HasSubstr("not possible"));
  EXPECT_THAT(message(9, {INT64_MAX, 3, 9}), HasSubstr("not possible"));
  EXPECT_THAT(message(9, {1, 1, 0}), HasSubstr("a vocabulary of 0 tokens"));
  BatchSource source(folder.counting(9), {2, 2, 9});
  EXPECT_THROW(source.read(-1), Error);
  EXPECT_THROW(source.read(INT64_MAX), Error);
}

TEST(BatchSource, recordedTokens) {
  const char *given = std::getenv("LMC_SHARED");
  std::filesystem::path shared = given ? given : "../shared";
  std::filesystem::path path = shared / "golden/gpt2-tiny/tokens.bin";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is absent: recorded tokens were not read";
  auto file = std::make_shared<TokenFile>(path, TokenWidth::U16);
  BatchSource source(file, {4, 32, 256, DataOrder::Sequential});
  EXPECT_EQ(source.batchesPerEpoch(), 20); // the trace's steps
  Batch batch = source.read(0);
  EXPECT_EQ(std::string(batch.tokens.begin(), batch.tokens.begin() + 14), "First Citizen:");
}

} // namespace lmc
