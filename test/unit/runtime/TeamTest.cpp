#include "runtime/Team.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

using namespace lmc;

TEST(Team, EveryWorkerRunsAJobOnce) {
  for (int threads = 1; threads <= 4; ++threads) {
    Team team(threads);
    std::vector<int> calls(threads);
    for (int i = 0; i < 1000; ++i)
      team.parallel([&](int worker) { ++calls[worker]; });
    EXPECT_EQ(calls, std::vector<int>(threads, 1000));
  }
}

TEST(Team, EveryItemIsComputedOnceInPieces) {
  for (int threads = 1; threads <= 4; ++threads) {
    Team team(threads);
    for (int64_t items : {0, 1, 2, 3, 7, 64, 1001})
      for (int64_t grain : {0, 1, 3, 64, 5000}) {
        std::vector<int> times(items);
        std::atomic<bool> sane = true;
        team.run(items, grain, [&](int worker, int64_t begin, int64_t end) {
          bool pieces = grain == 0 || (end - begin <= grain && begin % grain == 0);
          if (worker < 0 || worker >= threads || begin >= end || end > items || !pieces)
            sane = false;
          for (int64_t i = begin; i < end; ++i)
            ++times[i];
        });
        EXPECT_TRUE(sane);
        EXPECT_EQ(times, std::vector<int>(items, 1)) << threads << " " << items << " " << grain;
      }
  }
}

TEST(Team, AnEvenSplitDiffersByOneAtMost) {
  Team team(4);
  std::vector<int64_t> sizes(4);
  team.run(10, 0, [&](int worker, int64_t begin, int64_t end) { sizes[worker] = end - begin; });
  EXPECT_EQ(sizes, (std::vector<int64_t>{3, 3, 2, 2}));
}

// Each loop reads what all workers wrote in the one before, as launches do.
TEST(Team, BarriersSeparateLoops) {
  constexpr int64_t kItems = 257;
  constexpr int kLoops = 2000;
  for (int threads = 1; threads <= 4; ++threads) {
    Team team(threads);
    std::vector<uint64_t> from(kItems), to(kItems);
    std::iota(from.begin(), from.end(), 0);
    team.parallel([&](int worker) {
      for (int loop = 0; loop < kLoops; ++loop) {
        auto &source = loop % 2 ? to : from, &target = loop % 2 ? from : to;
        team.share(worker, kItems, loop % 3 * 5, [&](int, int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            target[i] = source[(i + 1) % kItems];
        });
        team.barrier();
      }
    });
    for (int64_t i = 0; i < kItems; ++i)
      ASSERT_EQ(from[i], uint64_t(i + kLoops) % kItems) << threads;
  }
}

// Spinning has long ended when the next job comes.
TEST(Team, WakesSleepers) {
  Team team(3);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> calls = 0;
    team.parallel([&](int worker) {
      if (worker == 1) // and the others fall asleep at the barrier
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ++calls;
    });
    EXPECT_EQ(calls, 3);
  }
}

TEST(Team, TeamsComeAndGo) {
  for (int i = 0; i < 50; ++i)
    Team team(1 + i % 4);
}
