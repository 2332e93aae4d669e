#include "train/Divergence.h"

#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lmc {
namespace {

constexpr float none = -std::numeric_limits<float>::infinity();

/// Logits that are the logarithms of probabilities, shifted.
std::vector<float> logitsOf(std::initializer_list<double> probabilities, double shift) {
  std::vector<float> row;
  for (double p : probabilities)
    row.push_back(p > 0 ? static_cast<float>(std::log(p) + shift) : none);
  return row;
}

TEST(Divergence, OneTokenByHand) {
  Divergence divergence;
  std::vector<int32_t> target = {1};
  divergence.add(logitsOf({0.25, 0.25, 0.5}, 3), logitsOf({0.5, 0.5, 0}, -7), target);
  DivergenceReport r = divergence.report();
  EXPECT_EQ(r.tokens, 1);
  EXPECT_NEAR(r.mean, std::log(2.0), 1e-6); // both halves lose a factor of 2
  EXPECT_EQ(r.mean, r.median);
  EXPECT_EQ(r.mean, r.max);
  EXPECT_EQ(r.meanError, 0);
  EXPECT_NEAR(r.loss, std::log(4.0), 1e-6);
  EXPECT_NEAR(r.referenceLoss, std::log(2.0), 1e-6);
  EXPECT_EQ(r.sameTop, 0); // the reference's first of two equal ones is token 0, the model's is 2
  EXPECT_NEAR(r.rmsProbabilityChange, 0.25, 1e-6);
}

TEST(Divergence, IsZeroForTheSameDistribution) {
  Divergence divergence;
  std::vector<int32_t> target = {0};
  divergence.add(logitsOf({0.7, 0.1, 0.2}, 0), logitsOf({0.7, 0.1, 0.2}, 5), target);
  EXPECT_NEAR(divergence.report().mean, 0, 1e-6);
  EXPECT_EQ(divergence.report().sameTop, 1);
}

TEST(Divergence, PercentilesAreBetweenRanks) {
  Divergence divergence;
  std::vector<int32_t> target = {0};
  // KL of certainty in token 0 against q(0) = e^-k is k.
  for (int k : {4, 1, 3, 2, 0})
    divergence.add(logitsOf({std::exp(-k), 1 - std::exp(-k)}, 0), logitsOf({1, 0}, 0), target);
  DivergenceReport r = divergence.report();
  EXPECT_NEAR(r.mean, 2, 1e-5);
  EXPECT_NEAR(r.median, 2, 1e-5);
  EXPECT_NEAR(r.p90, 3.6, 1e-5);
  EXPECT_NEAR(r.p99, 3.96, 1e-5);
  EXPECT_NEAR(r.max, 4, 1e-5);
  EXPECT_NEAR(r.meanError, std::sqrt(2.5 / 5), 1e-5);
}

TEST(Divergence, RefusesWhatIsNoDistribution) {
  std::vector<int32_t> target = {0};
  std::vector<float> good = {0, 1};
  for (auto bad : {std::vector<float>{NAN, 0}, {0, NAN}, {none, none}, {0, INFINITY}}) {
    EXPECT_THROW(Divergence().add(bad, good, target), Error);
    EXPECT_THROW(Divergence().add(good, bad, target), Error);
  }
}

} // namespace
} // namespace lmc
