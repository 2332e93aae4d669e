#include "runtime/Session.h"

#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <array>
#include <limits>
#include <map>

using namespace lmc;
using namespace lmc::test;
using testing::HasSubstr;

namespace {

float input(int64_t i) { return 0.5f * float(i) - 3.0f; }

void writeInput(Session &session) {
  std::span<float> x = session.f32("x");
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = input(int64_t(i));
}

/// What `runs` runs over n items must leave: every product is exact in f32.
void expectResults(Session &session, int64_t n, int runs, int slot = 0) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    float cached = float(runs) * input(i) * tinyWeight(i);
    EXPECT_EQ(session.f32("cache", slot)[i], cached) << i;
    EXPECT_EQ(session.f32("y")[i], cached * kScale) << i;
    total += session.f32("y")[i];
  }
  EXPECT_EQ(session.f32("total")[0], float(total));
}

uint64_t arenaRows(const std::vector<LedgerRow> &rows) {
  uint64_t bytes = 0;
  for (const LedgerRow &row : rows)
    if (row.category != "mapped_weights")
      bytes += row.bytes;
  return bytes;
}

} // namespace

TEST(Session, RunsAnyNumberOfThreads) {
  for (int threads = 1; threads <= 4; ++threads) {
    Session session(tinyExecutable(), {.threads = threads});
    EXPECT_EQ(session.threads(), threads);
    writeInput(session);
    session.run("forward");
    expectResults(session, kMostItems, 1);
    session.run("forward");
    expectResults(session, kMostItems, 2);
  }
}

TEST(Session, RunsALoadedFile) {
  Folder folder;
  tinyExecutable()->save(folder / "tiny.lmx");
  Session session(Executable::load(folder / "tiny.lmx"), {.threads = 2});
  writeInput(session);
  session.run("forward");
  expectResults(session, kMostItems, 1);
}

TEST(Session, SymbolicDims) {
  Session session(tinyExecutable(), {.threads = 2});
  writeInput(session);
  for (int64_t n : {37, 1, 100}) {
    std::ranges::fill(session.f32("cache"), 0.0f);
    std::ranges::fill(session.f32("y"), -1.0f);
    session.run("forward", std::array{n});
    expectResults(session, n, 1);
    if (n < kMostItems) {
      EXPECT_EQ(session.f32("y")[n], -1.0f) << "computed more than asked for";
    }
  }
  EXPECT_THAT(errorOf([&] { session.run("forward", std::array{int64_t(0)}); }),
              HasSubstr("dim 'n' is 0, must be 1 to 100"));
  EXPECT_THAT(errorOf([&] { session.run("forward", std::array{int64_t(101)}); }),
              HasSubstr("dim 'n' is 101, must be 1 to 100"));
  EXPECT_THAT(errorOf([&] { session.run("forward", std::array{int64_t(1), int64_t(1)}); }),
              HasSubstr("2 dims given, the executable has 1"));
}

TEST(Session, SlotsAreIndependent) {
  Session session(tinyExecutable(), {.threads = 2, .slots = 3});
  writeInput(session);
  session.run("forward", {}, 0);
  session.run("forward", {}, 2);
  session.run("forward", {}, 2);
  expectResults(session, kMostItems, 2, 2);
  EXPECT_EQ(session.f32("cache", 0)[99], input(99) * tinyWeight(99));
  EXPECT_EQ(session.f32("cache", 1)[99], 0);
  EXPECT_THAT(errorOf([&] { session.run("forward", {}, 3); }), HasSubstr("slot 3"));
  EXPECT_THAT(errorOf([&] { session.bytes("cache", -1); }), HasSubstr("slot -1"));
}

TEST(Session, Names) {
  Session session(tinyExecutable(), {.threads = 1});
  EXPECT_EQ(session.bytes("w").size(), 400u);
  EXPECT_EQ(session.f32("scale")[0], kScale);
  EXPECT_THAT(errorOf([&] { session.bytes("v"); }), HasSubstr("no tensor 'v'"));
  EXPECT_THAT(errorOf([&] { session.run("backward"); }), HasSubstr("no program 'backward'"));
  EXPECT_THAT(errorOf([&] { session.i32("x"); }), HasSubstr("'x' is f32, not i32"));
}

TEST(Session, CheckedRunFindsTheFirstNonFinite) {
  for (int threads : {1, 2}) {
    Session session(tinyExecutable(), {.threads = threads});
    writeInput(session);
    EXPECT_FALSE(session.runChecked("forward"));
    expectResults(session, kMostItems, 1);

    // Only y, the second output of the second launch, overflows.
    session.f32("scale")[0] = std::numeric_limits<float>::max();
    auto found = session.runChecked("forward");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->op, "lm.accumulate");
    EXPECT_EQ(found->path, "accumulate.output1");

    session.f32("x")[50] = std::numeric_limits<float>::quiet_NaN();
    found = session.runChecked("forward");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, "multiply.output0");
    // Element 50 is not part of a run over 50 items.
    session.f32("scale")[0] = kScale;
    std::ranges::fill(session.f32("cache"), 0.0f);
    EXPECT_FALSE(session.runChecked("forward", std::array{int64_t(50)}));
  }
}

TEST(Session, ProfilesEveryLaunch) {
  Session session(tinyExecutable(), {.threads = 2});
  session.run("forward");
  EXPECT_TRUE(session.launchSeconds().empty());
  session.setProfiling(true);
  session.run("forward");
  ASSERT_EQ(session.launchSeconds().size(), 3u);
  for (double seconds : session.launchSeconds())
    EXPECT_GT(seconds, 0);
}

TEST(Session, LedgerIsWhatIsTaken) {
  for (int threads : {1, 2, 3})
    for (int slots : {1, 5}) {
      auto executable = tinyExecutable();
      Session session(executable, {.threads = threads, .slots = slots});
      std::vector<LedgerRow> rows = memoryLedger(*executable, threads, slots);
      EXPECT_EQ(session.arenaBytes(), arenaRows(rows));
      EXPECT_EQ(session.arenaPeakBytes(), session.arenaBytes());
    }
}

TEST(Session, LedgerRows) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> rows;
  for (const LedgerRow &row : memoryLedger(*tinyExecutable(), 2, 3))
    rows[row.category] = {row.bytes, row.count};
  using Row = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(rows["inputs_outputs"], Row(448 + 448 + 64, 3)); // x, y, total
  EXPECT_EQ(rows["state"], Row(64, 1));                      // scale
  EXPECT_EQ(rows["caches"], Row(3 * 512, 3));
  EXPECT_EQ(rows["activations"], Row(448, 1));
  EXPECT_EQ(rows["workspace"], Row(2 * 64, 2));
  EXPECT_EQ(rows["mapped_weights"], Row(400, 1));
  EXPECT_EQ(rows["parameters"], Row(0, 0));
}

TEST(Session, PeakShowsWhatAPlanReservesInVain) {
  executable::Executable message = tinyMessage();
  message.set_scratch_bytes(8 + 640); // no kernel uses them
  auto executable = std::make_shared<Executable>(message, tinyData());
  Session session(executable, {.threads = 1});
  EXPECT_EQ(session.arenaPeakBytes(), session.arenaBytes() - 640);
}

TEST(Session, EverythingIsAligned) {
  Session session(tinyExecutable(), {.threads = 1, .slots = 2});
  for (const char *name : {"x", "w", "scale", "y", "total", "cache"})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(session.bytes(name, 1).data()) % kArenaAlignment, 0u);
}

TEST(Session, RefusesABrokenPlan) {
  executable::Executable message = tinyMessage();
  message.mutable_programs(0)->mutable_launches(1)->set_kernel(9);
  auto executable = std::make_shared<Executable>(message, tinyData());
  EXPECT_THAT(errorOf([&] { Session session(executable); }),
              HasSubstr("programs[0] ('forward').launches[1].kernel: index 9, there are 3"));
  EXPECT_THAT(errorOf([&] { Session session(tinyExecutable(), {.slots = 0}); }),
              HasSubstr("0 slots"));
}
