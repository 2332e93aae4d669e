#include "runtime/Walk.h"

#include <gtest/gtest.h>

#include <thread>

namespace lmc {
namespace {

/// Counts per launch and item, and checks what must be complete.
class Record {
public:
  explicit Record(std::span<const WalkLaunch> launches)
      : launches(launches), finished(launches.size()) {
    for (const WalkLaunch &launch : launches)
      items.emplace_back(launch.items);
  }

  void operator()(int, size_t launch, int64_t begin, int64_t end) {
    for (uint32_t before = 0; before < launches[launch].needs; ++before)
      if (finished[before].load() != launches[before].items)
        ++early;
    for (int64_t i = begin; i < end; ++i)
      ++items[launch][i];
    finished[launch] += end - begin;
  }

  void expectOnceEach() const {
    EXPECT_EQ(early, 0) << "pieces that started before what they need was complete";
    for (size_t l = 0; l < items.size(); ++l)
      for (size_t i = 0; i < items[l].size(); ++i)
        ASSERT_EQ(items[l][i], 1) << "launch " << l << ", item " << i;
  }

private:
  std::span<const WalkLaunch> launches;
  std::vector<std::vector<std::atomic<int>>> items;
  std::vector<std::atomic<int64_t>> finished;
  std::atomic<int> early = 0;
};

TEST(Walk, EachItemOnceAndInOrder) {
  for (int threads : {1, 2, 3, 7}) {
    Team team(threads);
    std::vector<WalkLaunch> launches = {{0, 0, 0}, {1, 0, 0},   {100, 0, 2}, {13, 5, 0},
                                        {2, 9, 4}, {1, 0, 5},   {0, 4, 6},   {57, 1, 7},
                                        {3, 0, 3}, {1000, 7, 9}};
    Walk walk(team, launches.size());
    for (int round = 0; round < 50; ++round) {
      Record record(launches);
      walk.run(launches, record);
      record.expectOnceEach();
    }
  }
}

TEST(Walk, ShorterListsAndEmptyOnes) {
  Team team(2);
  Walk walk(team, 3);
  std::vector<WalkLaunch> launches = {{5, 0, 0}, {0, 0, 1}};
  Record record(launches);
  walk.run(launches, record);
  record.expectOnceEach();
  walk.run({}, [](int, size_t, int64_t, int64_t) { ADD_FAILURE(); });
  std::vector<WalkLaunch> nothing = {{0, 0, 0}, {0, 1, 1}, {0, 0, 2}};
  walk.run(nothing, [](int, size_t, int64_t, int64_t) { ADD_FAILURE(); });
}

/// A piece that is stuck holds up only what needs it.
TEST(Walk, GoesOnWhereNothingIsNeeded) {
  Team team(2);
  Walk walk(team, 3);
  std::vector<WalkLaunch> launches = {{2, 0, 0}, {8, 1, 0}, {1, 0, 2}};
  std::atomic<int> others = 0;
  bool last = false;
  walk.run(launches, [&](int, size_t launch, int64_t begin, int64_t) {
    if (launch == 0 && begin == 1)
      while (others < 9) // the first piece of this launch and all of the next
        std::this_thread::yield();
    else
      ++others;
    if (launch == 2)
      last = true;
  });
  EXPECT_EQ(others, 10);
  EXPECT_TRUE(last);
}

/// A worker that never comes leaves its share to the others.
TEST(Walk, SharesAreTakenOver) {
  Team team(2);
  Walk walk(team, 2);
  std::vector<WalkLaunch> launches = {{2, 0, 0}, {64, 4, 0}};
  std::atomic<int> here = 0, workerOfLast[2] = {};
  walk.run(launches, [&](int worker, size_t launch, int64_t begin, int64_t end) {
    if (launch == 0 && here++ == 0)
      while (workerOfLast[0] + workerOfLast[1] < 64)
        std::this_thread::yield();
    if (launch == 1)
      workerOfLast[worker] += int(end - begin);
  });
  EXPECT_EQ(std::max(workerOfLast[0].load(), workerOfLast[1].load()), 64);
}

} // namespace
} // namespace lmc
