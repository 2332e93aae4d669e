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

// What all workers wrote in one job is seen by all in the next.
TEST(Team, JobsFollowEachOther) {
  for (int threads = 1; threads <= 4; ++threads) {
    Team team(threads);
    std::vector<int> from(threads), to(threads);
    std::iota(from.begin(), from.end(), 0);
    for (int job = 0; job < 2000; ++job) {
      team.parallel([&](int worker) { to[worker] = from[(worker + 1) % threads]; });
      std::swap(from, to);
    }
    for (int worker = 0; worker < threads; ++worker)
      EXPECT_EQ(from[worker], (worker + 2000) % threads);
  }
}

TEST(Team, WaitsForAWord) {
  Team team(3);
  std::atomic<uint32_t> word = 7;
  std::atomic<int> late = 0;
  team.parallel([&](int worker) {
    if (worker == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5)); // the others fall asleep
      word = 8;
      word.notify_all();
    } else {
      team.waitWhile(word, 7);
      late += word == 8;
    }
  });
  EXPECT_EQ(late, 2);
}

// Spinning has long ended when the next job comes.
TEST(Team, WakesSleepers) {
  Team team(3);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> calls = 0;
    team.parallel([&](int worker) {
      if (worker == 1) // and the others fall asleep at its end
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
