// The learning rate, clipping and the guard against NaN as the compiled graph has them.
#include "../ir/OpCases.h"
#include "Graphs.h"

#include "passes/Passes.h"
#include "train/Schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

/// One parameter p [2]; loss = sum(p * x).
constexpr const char *kLinear = R"(
  func.func @loss(%p: tensor<2xf64> {lm.role = "parameter", lm.name = "p"},
                  %x: tensor<2xf64> {lm.role = "input", lm.name = "x"})
      -> (tensor<f64> {lm.role = "output", lm.name = "loss"}) {
    %y = lm.mul %p, %x : (tensor<2xf64>, tensor<2xf64>) -> tensor<2xf64>
    %s = lm.reduce %y {kind = "sum", dims = array<i64: 0>} : (tensor<2xf64>) -> tensor<f64>
    return %s : tensor<f64>
  })";

struct Compiled : Context {
  explicit Compiled(const OptimizerUpdateOptions &options) : module(parse(kLinear)) {
    DifferentiateOptions differentiate;
    differentiate.seed = 1.0 / options.accumulate;
    EXPECT_TRUE(run(*module, createDifferentiate(differentiate))) << errors;
    EXPECT_TRUE(run(*module, createOptimizerUpdate(options))) << errors;
  }
  SmallVector<lm::Tensor> operator()(StringRef function, std::vector<std::vector<double>> data) {
    func::FuncOp f = functionOf(*module, function);
    return evaluated(f, tensorsFor(f, data));
  }
  OwningOpRef<ModuleOp> module;
};

TEST(OptimizerUpdate, LearningRatesFollowTheSchedules) {
  const std::pair<const char *, ScheduleKind> kinds[] = {{"cosine", ScheduleKind::Cosine},
                                                         {"linear", ScheduleKind::Linear},
                                                         {"constant", ScheduleKind::Constant},
                                                         {"wsd", ScheduleKind::Wsd}};
  for (auto [name, kind] : kinds)
    for (int64_t warmup : {0, 3})
      for (int64_t decay : {0, 4}) {
        Schedule schedule{kind, 0.5, 0.125, 13, warmup, decay};
        OptimizerUpdateOptions options;
        options.schedule = name;
        options.lr = schedule.peak;
        options.minLr = schedule.minimum;
        options.steps = schedule.steps;
        options.warmupSteps = warmup;
        options.decaySteps = decay;
        Compiled step(options);
        for (int64_t s = 1; s <= 15; ++s) { // `step` counts the steps that are done
          auto results = step("train_step", {{1, 2}, {3, 4}, {double(s - 1)}, {0, 0}, {1, 1}});
          EXPECT_NEAR(results[2].data[0], schedule.at(s), 1e-15)
              << name << ", warm-up " << warmup << ", decay " << decay << ", step " << s;
        }
      }
}

TEST(OptimizerUpdate, ClipsCorrectsAndDecays) {
  OptimizerUpdateOptions options;
  options.lr = 0.1;
  options.gradClip = 1;
  Compiled step(options);
  // Rank 1: no weight decay. Gradient x = (3, 4), norm 5, scaled by 1 / (5 + 1e-6).
  auto r = step("train_step", {{1, 2}, {3, 4}, {0}, {0, 0}, {0, 0}});
  EXPECT_DOUBLE_EQ(r[0].data[0], 11);
  EXPECT_DOUBLE_EQ(r[1].data[0], 5);
  double scale = 1 / (5 + 1e-6);
  for (int i = 0; i < 2; ++i) {
    double g = (i ? 4 : 3) * scale;
    EXPECT_NEAR(r[3].data[i], (i ? 2 : 1) - 0.1 * g / (std::sqrt(g * g) + 1e-8),
                1e-12); // step 1: m/c1 = g
    EXPECT_NEAR(r[4].data[i], 0.1 * g, 1e-15);
    EXPECT_NEAR(r[5].data[i], 0.05 * g * g, 1e-15);
  }
  EXPECT_EQ(r[6].data[0], 1);
}

TEST(OptimizerUpdate, LeavesEverythingWhereTheGradientIsNotFinite) {
  Compiled step(OptimizerUpdateOptions{});
  for (double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    auto r = step("train_step", {{1, 2}, {bad, 4}, {6}, {0.5, 0.25}, {0.125, 2}});
    EXPECT_EQ(r[3].data, (std::vector<double>{1, 2}));
    EXPECT_EQ(r[4].data, (std::vector<double>{0.5, 0.25}));
    EXPECT_EQ(r[5].data, (std::vector<double>{0.125, 2}));
    EXPECT_EQ(r[6].data[0], 6);
  }
}

TEST(OptimizerUpdate, AccumulatesTheMeanOfMicroBatches) {
  OptimizerUpdateOptions one, two;
  two.accumulate = 2;
  Compiled whole(one), parts(two);
  // accumulate: p, x, sum, loss_sum -> loss_sum', sum'. The mean of x = (2, 6) and (4, 2) is (3,
  // 4).
  auto first = parts("accumulate", {{1, 2}, {2, 6}, {0, 0}, {0}});
  auto second = parts("accumulate", {{1, 2}, {4, 2}, first[1].data, first[0].data});
  // apply: p, sum, loss_sum, step, m, v -> loss, grad_norm, lr, p', m', v', step', zeros.
  auto r = parts("apply", {{1, 2}, second[1].data, second[0].data, {0}, {0, 0}, {0, 0}});
  auto expected = whole("train_step", {{1, 2}, {3, 4}, {0}, {0, 0}, {0, 0}});
  expectClose(ArrayRef(r).take_front(7), expected, 1e-15, "apply");
  EXPECT_EQ(r[7].data, (std::vector<double>{0, 0}));
  EXPECT_EQ(r[8].data, (std::vector<double>{0}));
}

} // namespace
