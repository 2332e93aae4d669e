#include "serve/Sampler.h"

#include "serve/Failure.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>

namespace lmc {
namespace {

using nlohmann::json;

/// What sampler.py made NumPy compute.
json cases() { return json::parse(std::ifstream("test/data/serve/sampler.json")); }

std::vector<float> logitsOf(const json &numbers) {
  std::vector<float> logits;
  for (const json &x : numbers)
    logits.push_back(x.is_null() ? -INFINITY : x.get<float>());
  return logits;
}

SamplingOptions optionsOf(const json &one) {
  SamplingOptions options;
  options.temperature = one["temperature"];
  options.topK = one["top_k"];
  options.topP = one["top_p"];
  return options;
}

Reason reasonOf(const std::vector<float> &logits, int64_t vocab, double temperature = 1) {
  SamplingOptions options;
  options.temperature = temperature;
  try {
    makeSampler(vocab, options)->sample(logits);
  } catch (const RequestFailure &failure) {
    return failure.reason();
  }
  ADD_FAILURE() << "the logits were taken";
  return Reason::Engine;
}

TEST(Sampler, DistributionEqualsNumPys) {
  for (const json &one : cases()) {
    auto logits = logitsOf(one["logits"]);
    auto got = distribution(logits, static_cast<int64_t>(logits.size()), optionsOf(one));
    const json &expected = one["distribution"];
    std::map<int32_t, double> probabilities;
    for (auto [token, probability] : got) {
      EXPECT_TRUE(probabilities.empty() || token > probabilities.rbegin()->first);
      ASSERT_TRUE(expected.contains(std::to_string(token))) << token << one.dump();
      probabilities[token] = probability;
    }
    for (auto &[token, probability] : expected.items()) // weights are f32, and none below 2^-40
      EXPECT_NEAR(probabilities[std::stoi(token)], probability.get<double>(), 1e-6) << one.dump();
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  constexpr int draws = 5000;
  for (const json &one : cases()) {
    auto logits = logitsOf(one["logits"]);
    auto options = optionsOf(one);
    options.seed = 11;
    auto sampler = makeSampler(static_cast<int64_t>(logits.size()), options);
    std::map<int32_t, int> counts;
    for (int i = 0; i < draws; ++i)
      ++counts[sampler->sample(logits).token];
    for (auto &[token, count] : counts)
      ASSERT_TRUE(one["distribution"].contains(std::to_string(token))) << token;
    for (auto &[token, probability] : one["distribution"].items()) {
      double p = probability, deviation = std::sqrt(draws * p * (1 - p));
      EXPECT_NEAR(counts[std::stoi(token)], draws * p, 5 * deviation + 1) << one.dump();
    }
  }
}

TEST(Sampler, ADrawElsewhereIsTheSameDraw) {
  for (const json &one : cases()) {
    auto logits = logitsOf(one["logits"]);
    auto options = optionsOf(one);
    options.seed = 3;
    auto vocab = static_cast<int64_t>(logits.size());
    auto here = makeSampler(vocab, options), elsewhere = makeSampler(vocab, options);
    for (int i = 0; i < 50; ++i) {
      if (i % 3 == 0) { // turn and turn about: each counts
        ASSERT_EQ(elsewhere->sample(logits).token, here->sample(logits).token);
        continue;
      }
      auto draw = elsewhere->draw();
      ASSERT_TRUE(draw);
      ASSERT_EQ(drawnId(keptIds(logits, *draw), draw->bits), here->sample(logits).token);
    }
    options.logprobs = 0;
    EXPECT_FALSE(makeSampler(vocab, options)->draw()) << "their logarithms are asked for";
  }
}

TEST(Sampler, OptionsBecomeFiniteNumbers) {
  SamplingOptions options;
  options.temperature = 1e300;
  options.topK = int64_t(1) << 40;
  options.topP = 1 - 1e-12;
  Draw draw = drawOf(options, 5);
  EXPECT_EQ(draw.temperature, std::numeric_limits<float>::max());
  EXPECT_EQ(draw.topK, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(draw.topP, 1);
  EXPECT_EQ(draw.bits, 5u);
}

TEST(Sampler, GreedyTakesTheLowestOfEqualIds) {
  SamplingOptions options;
  options.temperature = 0;
  EXPECT_EQ(makeSampler(4, options)->sample(std::vector<float>{1, 3, 3, 2}).token, 1);
  options.topK = 1;
  options.temperature = 1;
  EXPECT_EQ(makeSampler(4, options)->sample(std::vector<float>{1, 3, 3, 2}).token, 1);
}

TEST(Sampler, SeedDecidesAlone) {
  std::vector<float> flat(1000, 0.f);
  auto draw = [&](uint64_t seed) {
    SamplingOptions options;
    options.seed = seed;
    auto sampler = makeSampler(1000, options);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 20; ++i)
      tokens.push_back(sampler->sample(flat).token);
    return tokens;
  };
  EXPECT_EQ(draw(5), draw(5));
  EXPECT_NE(draw(5), draw(6));
  EXPECT_NE(draw(5), draw(5ull << 32));
}

TEST(Sampler, TopPOverAWideVocabulary) {
  // Equal logits: the shortest run of lowest ids that reaches 0.9 of 20000.
  std::vector<float> flat(20000, 1.f);
  SamplingOptions options;
  options.topP = 0.9;
  auto kept = distribution(flat, 20000, options);
  EXPECT_NEAR(static_cast<double>(kept.size()), 18000, 1);
  EXPECT_EQ(kept.front().token, 0);
  EXPECT_EQ(kept.back().token, static_cast<int32_t>(kept.size()) - 1);
}

TEST(Sampler, LogprobsAreOfTheUnfilteredDistribution) {
  for (const json &one : cases()) {
    auto logits = logitsOf(one["logits"]);
    auto options = optionsOf(one);
    options.logprobs = 3;
    auto sampled = makeSampler(static_cast<int64_t>(logits.size()), options)->sample(logits);
    double logSum = one["log_sum"];
    EXPECT_NEAR(sampled.logprob, logits[sampled.token] - logSum, 1e-12);
    ASSERT_EQ(sampled.top.size(), 3u);
    auto sorted = logits;
    std::ranges::sort(sorted, std::greater());
    for (size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(sampled.top[i].value, sorted[i] - logSum, 1e-12);
  }
}

TEST(Sampler, RefusesMalformedLogits) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (double temperature : {0., 1.}) {
    EXPECT_EQ(reasonOf({1, nan, 2}, 3, temperature), Reason::MalformedLogits);
    EXPECT_EQ(reasonOf({1, inf, 2}, 3, temperature), Reason::MalformedLogits);
    EXPECT_EQ(reasonOf({-inf, -inf}, 2, temperature), Reason::MalformedLogits);
    EXPECT_EQ(reasonOf({1, 2}, 3, temperature), Reason::MalformedLogits);
    EXPECT_EQ(reasonOf({}, 3, temperature), Reason::MalformedLogits);
  }
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  std::vector<float> logits = {-3e38f, 3e38f, 0};
  for (double temperature : {1e-300, 1e-3, 1e300}) {
    SamplingOptions options;
    options.temperature = temperature;
    double sum = 0;
    for (auto [token, probability] : distribution(logits, 3, options)) {
      EXPECT_TRUE(std::isfinite(probability));
      sum += probability;
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  }
}

} // namespace
} // namespace lmc
