#include "frontend/data/BatchLoader.h"

#include "DataFolder.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

namespace lmc {

static Batch numbered(int64_t position) { return {{int32_t(position)}, {}, position}; }

TEST(BatchLoader, givesWhatReadingGives) {
  DataFolder folder;
  BatchSource source(folder.counting(1000), {3, 7, 1000, DataOrder::Shuffled, 5});
  for (size_t depth : {1, 2, 8}) {
    BatchLoader loader(source, 4, depth);
    for (int64_t i = 4; i < 120; ++i) {
      EXPECT_EQ(loader.position(), i);
      Batch batch = loader.next(), expected = source.read(i);
      EXPECT_EQ(batch.position, i);
      ASSERT_EQ(batch.tokens, expected.tokens);
      ASSERT_EQ(batch.targets, expected.targets);
    }
  }
}

TEST(BatchLoader, seekIsLikeStartingThere) {
  BatchLoader loader(numbered, 0, 3);
  for (int64_t start : {7, 0, 0, 100, 99, 5}) {
    loader.seek(start);
    EXPECT_EQ(loader.position(), start);
    for (int64_t i = start; i < start + 10; ++i)
      ASSERT_EQ(loader.next().position, i);
  }
}

TEST(BatchLoader, seekWhileABatchIsBeingReadDropsIt) {
  std::promise<void> started, goOn;
  std::shared_future<void> mayGoOn = goOn.get_future().share();
  std::atomic<bool> first = true;
  BatchLoader loader(
      [&](int64_t position) {
        if (first.exchange(false)) {
          started.set_value();
          mayGoOn.wait();
        }
        return numbered(position);
      },
      0, 2);
  started.get_future().wait();
  loader.seek(50);
  goOn.set_value();
  EXPECT_EQ(loader.next().position, 50);
  EXPECT_EQ(loader.next().position, 51);
}

TEST(BatchLoader, doesNotReadFurtherThanItsDepth) {
  std::atomic<int64_t> reads = 0;
  BatchLoader loader(
      [&](int64_t position) {
        ++reads;
        return numbered(position);
      },
      0, 3);
  for (int64_t i = 0; i < 20; ++i) {
    loader.next();
    // i + 1 given, at most 3 waiting; the thread has time to break this, not to be slow.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_LE(reads, i + 1 + 3);
  }
}

TEST(BatchLoader, errorsComeInTheirTurn) {
  BatchLoader loader(
      [](int64_t position) {
        if (position == 3)
          fail("bad token at {}", position);
        return numbered(position);
      },
      0, 8);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_EQ(loader.next().position, i);
  EXPECT_THROW(loader.next(), Error);
  EXPECT_THROW(loader.next(), Error);
  EXPECT_EQ(loader.position(), 3);
  loader.seek(4);
  EXPECT_EQ(loader.next().position, 4);
}

TEST(BatchLoader, stopsAtAnyTime) {
  for (int round = 0; round < 50; ++round) {
    BatchLoader loader(numbered, round, 1 + round % 3);
    for (int i = 0; i < round % 5; ++i)
      loader.next();
  }
}

} // namespace lmc
