#include "train/Progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace lmc {
namespace {

using testing::HasSubstr;

StepRecord record(int64_t step, double seconds = 0.5) {
  return {step, 2.5f, 0.75f, 3e-4f, step * 100, 16234, seconds};
}

TEST(Progress, PlainLinesElsewhere) {
  std::ostringstream out;
  {
    Progress progress({&out, false, nullptr}, 100);
    progress.step(record(1), 10.0);
    progress.step(record(2), 10.5); // too soon for a line
    progress.line("step 2/100  val_loss 2.0");
    progress.step(record(12), 15.5);
    progress.step(record(100), 15.6); // the last step always
  }
  EXPECT_EQ(out.str(),
            "step 1/100  loss 2.5000  grad_norm 0.75  lr 0.0003  16.2k tokens/s  ETA 50s\n"
            "step 2/100  val_loss 2.0\n"
            "step 12/100  loss 2.5000  grad_norm 0.75  lr 0.0003  16.2k tokens/s  ETA 44s\n"
            "step 100/100  loss 2.5000  grad_norm 0.75  lr 0.0003  16.2k tokens/s  ETA 0s\n");
}

TEST(Progress, OneLineOnATerminal) {
  std::ostringstream out;
  {
    Progress progress({&out, true, [] { return 80; }}, 200);
    progress.step(record(50), 0);
    progress.step(record(51), 0.01); // not redrawn so soon
    progress.line("step 51/200  val_loss 2.0");
    progress.step(record(100), 1);
  }
  EXPECT_EQ(
      out.str(),
      "\r 50/200 [#######.......................] loss 2.5000  16.2k tokens/s  ETA 1m15s\x1b[K"
      "\r\x1b[Kstep 51/200  val_loss 2.0\n"
      "\r100/200 [################................] loss 2.5000  16.2k tokens/s  ETA 50s\x1b[K"
      "\n");
}

TEST(Progress, KeepsWithinTheTerminal) {
  for (int columns : {0, 1, 2, 10, 30, 50, 60, 80, 300}) {
    std::ostringstream out;
    {
      Progress progress({&out, true, [=] { return columns; }}, 1000000);
      progress.step(record(999), 0);
    }
    std::string text = out.str();
    size_t end = text.find("\x1b[K");
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - 1, static_cast<size_t>(std::max(columns - 1, 0))) << columns; // less the \r
    EXPECT_TRUE(text.ends_with("\n"));
    if (columns >= 50) {
      EXPECT_THAT(text, HasSubstr("ETA"));
    }
  }
}

TEST(Progress, ShortTexts) {
  EXPECT_EQ(shortNumber(0), "0");
  EXPECT_EQ(shortNumber(999), "999");
  EXPECT_EQ(shortNumber(999.6), "1.00k");
  EXPECT_EQ(shortNumber(1500), "1.50k");
  EXPECT_EQ(shortNumber(16234), "16.2k");
  EXPECT_EQ(shortNumber(3.2e6), "3.20M");
  EXPECT_EQ(shortNumber(124e9), "124.0G");
  EXPECT_EQ(shortDuration(0.4), "0s");
  EXPECT_EQ(shortDuration(59.4), "59s");
  EXPECT_EQ(shortDuration(59.6), "1m00s");
  EXPECT_EQ(shortDuration(192), "3m12s");
  EXPECT_EQ(shortDuration(7500), "2h05m");
  EXPECT_EQ(shortDuration(1e300), "--");
}

} // namespace
} // namespace lmc
