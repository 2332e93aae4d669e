#include "frontend/Rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lmc {
namespace {

using Scaling = RopeConfig::Scaling;
constexpr double tau = 2 * std::numbers::pi;

double llama3(const RopeConfig &rope, double frequency) {
  double turns = static_cast<double>(rope.originalContext) * frequency / tau;
  if (turns < rope.lowFreqFactor)
    return frequency / rope.factor;
  if (turns > rope.highFreqFactor)
    return frequency;
  double kept = (turns - rope.lowFreqFactor) / (rope.highFreqFactor - rope.lowFreqFactor);
  return (1 - kept) * frequency / rope.factor + kept * frequency;
}

/// The share of dimension i's own frequency in Yarn's mixture.
double yarnShare(const RopeConfig &rope, int64_t i) {
  auto D = static_cast<double>(rope.dims), length = static_cast<double>(rope.originalContext);
  auto dimensionOf = [&](double turns) {
    return D * std::log(length / (turns * tau)) / (2 * std::log(rope.theta));
  };
  double low = dimensionOf(rope.betaFast), high = dimensionOf(rope.betaSlow);
  if (rope.truncate)
    low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, D - 1);
  if (low == high)
    high += 0.001;
  return 1 - std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
}

/// Of pair i, without any scaling.
double ownFrequency(const RopeConfig &rope, int64_t i) {
  return std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rope.dims));
}

double frequency(const RopeConfig &rope, int64_t i, bool beyond) {
  double own = ownFrequency(rope, i);
  switch (rope.scaling) {
  case Scaling::None:
    return own;
  case Scaling::Linear:
    return own / rope.factor;
  case Scaling::Llama3:
    return llama3(rope, own);
  case Scaling::Yarn: {
    double share = yarnShare(rope, i);
    return own / rope.factor * (1 - share) + own * share;
  }
  case Scaling::LongRope:
    return own / (beyond ? rope.longFactors : rope.shortFactors)[static_cast<size_t>(i)];
  }
  return own;
}

} // namespace

std::vector<float> inverseFrequencies(const RopeConfig &rope, bool beyond) {
  std::vector<float> result;
  for (int64_t i = 0; i < rope.dims / 2; ++i)
    result.push_back(static_cast<float>(frequency(rope, i, beyond)));
  return result;
}

std::vector<double> frequencyFactors(const RopeConfig &rope, bool beyond) {
  std::vector<double> result;
  for (int64_t i = 0; i < rope.dims / 2; ++i)
    result.push_back(ownFrequency(rope, i) / frequency(rope, i, beyond));
  return result;
}

double defaultAttentionFactor(Scaling scaling, double factor, int64_t originalContext) {
  if (factor <= 1)
    return 1;
  if (scaling == Scaling::Yarn)
    return 0.1 * std::log(factor) + 1;
  if (scaling == Scaling::LongRope)
    return std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(originalContext)));
  return 1;
}

} // namespace lmc
