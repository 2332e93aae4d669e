#include "frontend/data/WindowOrder.h"

#include <gtest/gtest.h>

#include <set>

namespace lmc {

/// Windows of an epoch must be whole, apart, in the file, and visited once.
static void checkEpochs(int64_t numTokens, int64_t length, uint64_t seed) {
  WindowOrder order(numTokens, length, seed);
  int64_t windows = order.windowsPerEpoch();
  ASSERT_GE(windows, 1);
  EXPECT_GT((windows + 2) * length, numTokens - 1) << "more than two windows' tokens left out";
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> firsts;
    for (int64_t i = 0; i < windows; ++i) {
      int64_t first = order.firstToken(epoch * windows + i);
      ASSERT_GE(first, 0);
      ASSERT_LE(first + length + 1, numTokens);
      firsts.insert(first);
    }
    ASSERT_EQ(int64_t(firsts.size()), windows);
    EXPECT_EQ(*firsts.rbegin() - *firsts.begin(), (windows - 1) * length);
    for (int64_t first : firsts)
      EXPECT_EQ((first - *firsts.begin()) % length, 0);
  }
}

TEST(WindowOrder, everyEpochIsAPermutation) {
  for (int64_t length : {1, 2, 7, 64})
    for (int64_t numTokens : {2, 3, 8, 9, 15, 64, 65, 66, 129, 193, 1000, 5000})
      if (numTokens > length) {
        SCOPED_TRACE(testing::Message() << numTokens << " tokens, length " << length);
        checkEpochs(numTokens, length, 42);
      }
}

TEST(WindowOrder, dependsOnSeedAndEpoch) {
  WindowOrder order(100000, 10, 1), same(100000, 10, 1), other(100000, 10, 2);
  int64_t windows = order.windowsPerEpoch();
  int equalSeeds = 0, equalEpochs = 0, ascending = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(order.firstToken(i), same.firstToken(i));
    equalSeeds += order.firstToken(i) / 10 == other.firstToken(i) / 10;
    equalEpochs += order.firstToken(i) / 10 == order.firstToken(windows + i) / 10;
    ascending += order.firstToken(i) < order.firstToken(i + 1);
  }
  EXPECT_LT(equalSeeds, 10);
  EXPECT_LT(equalEpochs, 10);
  // A fair order rises every second time: 500, standard deviation below 13 for 1000 tries.
  EXPECT_NEAR(ascending, 500, 80);
}

TEST(WindowOrder, everyPhaseComes) {
  WindowOrder order(1000, 4, 7);
  std::set<int64_t> phases;
  for (int64_t epoch = 0; epoch < 60; ++epoch)
    phases.insert(order.firstToken(epoch * order.windowsPerEpoch()) % 4);
  EXPECT_EQ(phases.size(), 4u);
}

TEST(WindowOrder, farPositions) {
  WindowOrder order(1 << 20, 1024, 3);
  for (int64_t n : {int64_t(1) << 40, int64_t(1) << 62, INT64_MAX}) {
    int64_t first = order.firstToken(n);
    EXPECT_GE(first, 0);
    EXPECT_LT(first + 1024, 1 << 20);
  }
}

} // namespace lmc
