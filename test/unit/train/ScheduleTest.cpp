// Expectations are values of the published formulas, worked out by hand or as closed forms.
#include "train/Schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lmc {
namespace {

TEST(Schedule, WarmUpIsLinearForEveryKind) {
  for (ScheduleKind kind :
       {ScheduleKind::Cosine, ScheduleKind::Linear, ScheduleKind::Constant, ScheduleKind::Wsd}) {
    Schedule schedule{kind, 1e-3, 1e-4, 100, 4, 0};
    EXPECT_DOUBLE_EQ(schedule.at(1), 0.25e-3);
    EXPECT_DOUBLE_EQ(schedule.at(2), 0.5e-3);
    EXPECT_DOUBLE_EQ(schedule.at(3), 0.75e-3);
    EXPECT_DOUBLE_EQ(schedule.at(4), 1e-3);
  }
}

// The lr column of a float64 trace: 4 warm-up steps, then constant.
TEST(Schedule, ConstantStays) {
  Schedule schedule{ScheduleKind::Constant, 1e-3, 0.5, 20, 4, 0};
  for (int64_t step : {4, 5, 19, 20, 1000})
    EXPECT_DOUBLE_EQ(schedule.at(step), 1e-3);
}

TEST(Schedule, CosineHasKnownPoints) {
  Schedule schedule{ScheduleKind::Cosine, 1e-3, 1e-4, 2000, 100, 0};
  EXPECT_DOUBLE_EQ(schedule.at(100), 1e-3);
  // Thirds and halves of the way, where the cosine is 1/2, 0 and -1/2.
  Schedule even{ScheduleKind::Cosine, 3.0, 1.0, 12, 0, 0};
  EXPECT_NEAR(even.at(4), 2.5, 1e-12);
  EXPECT_NEAR(even.at(6), 2.0, 1e-12);
  EXPECT_NEAR(even.at(8), 1.5, 1e-12);
  EXPECT_DOUBLE_EQ(even.at(12), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(2000), 1e-4);
  EXPECT_DOUBLE_EQ(schedule.at(2001), 1e-4);
}

TEST(Schedule, LinearFallsEvenly) {
  Schedule schedule{ScheduleKind::Linear, 1.0, 0.2, 10, 2, 0};
  std::vector<double> expected{0.5, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(schedule.at(static_cast<int64_t>(i) + 1), expected[i], 1e-15) << "step " << i + 1;
}

TEST(Schedule, WsdIsStableThenFalls) {
  Schedule schedule{ScheduleKind::Wsd, 1.0, 0.0, 20, 2, 0}; // decays over a fifth: 4 steps
  EXPECT_EQ(schedule.lastStableStep(), 16);
  EXPECT_DOUBLE_EQ(schedule.at(3), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(16), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(17), 0.75);
  EXPECT_DOUBLE_EQ(schedule.at(18), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(20), 0.0);
  EXPECT_DOUBLE_EQ(schedule.at(99), 0.0);

  schedule.decaySteps = 10;
  EXPECT_DOUBLE_EQ(schedule.at(10), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(15), 0.5);
}

TEST(Schedule, ShortRunsStayContinuous) {
  // A decay longer than what the warm-up leaves starts where the warm-up ends.
  Schedule wsd{ScheduleKind::Wsd, 1.0, 0.0, 10, 6, 8};
  EXPECT_DOUBLE_EQ(wsd.at(6), 1.0);
  EXPECT_DOUBLE_EQ(wsd.at(8), 0.5);
  EXPECT_DOUBLE_EQ(wsd.at(10), 0.0);
  // A run that ends within its warm-up.
  Schedule cosine{ScheduleKind::Cosine, 1.0, 0.0, 5, 10, 0};
  EXPECT_DOUBLE_EQ(cosine.at(5), 0.5);
  // One step: it is also the last.
  EXPECT_DOUBLE_EQ((Schedule{ScheduleKind::Linear, 1.0, 0.1, 1, 0, 0}.at(1)), 0.1);
  EXPECT_DOUBLE_EQ((Schedule{ScheduleKind::Wsd, 1.0, 0.1, 1, 0, 0}.at(1)), 0.1);
}

} // namespace
} // namespace lmc
