#include "frontend/checkpoint/blocks/ScaleSearch.h"

#include <algorithm>
#include <cmath>

namespace lmc {

/// Below this a group counts as zeros; its inverse could overflow.
static constexpr float tiny = 1e-15f;

static float nearestLevel(float value, float low, float high) {
  return std::clamp(std::nearbyint(value), low, high);
}

float fitSymmetric(std::span<const float> x, std::span<const float> weights, int levels) {
  float extreme = *std::max_element(x.begin(), x.end(),
                                    [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  if (std::fabs(extreme) < tiny)
    return 0;
  auto top = float(levels);
  float best = 0, scale = 0;
  // The extreme element at -levels + 0.9 .. -levels - 0.9 (then clamped).
  for (int candidate = -9; candidate <= 9; ++candidate) {
    float inverse = -(top + 0.1f * float(candidate)) / extreme, products = 0, squares = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      float q = nearestLevel(inverse * x[i], -top, top - 1);
      products += weights[i] * x[i] * q;
      squares += weights[i] * q * q;
    }
    // The error that is left is sum(w x^2) - products^2 / squares.
    if (squares > 0 && products * products > best * squares) {
      best = products * products / squares;
      scale = products / squares;
    }
  }
  return scale;
}

AffineFit fitAffine(std::span<const float> x, std::span<const float> weights, int top,
                    const AffineSearch &search) {
  auto [lowest, highest] = std::minmax_element(x.begin(), x.end());
  float low = std::min(*lowest, 0.0f), range = *highest - low; // minimums are stored unsigned
  if (range < tiny)
    return {0, -low};
  float sumW = 0, sumX = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sumW += weights[i];
    sumX += weights[i] * x[i];
  }
  auto maximum = float(top);
  auto quantised = [&](float value, float inverse) {
    return nearestLevel(inverse * (value - low), 0, maximum);
  };
  auto error = [&](const AffineFit &fit, float inverse) {
    float sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      float difference = fit.scale * quantised(x[i], inverse) - fit.minimum - x[i];
      sum += weights[i] * (search.absoluteError ? std::fabs(difference) : difference * difference);
    }
    return sum;
  };

  AffineFit best{range / maximum, -low};
  float least = error(best, maximum / range);
  for (int candidate = 0; candidate < search.count; ++candidate) {
    float inverse = (maximum + search.first + search.step * float(candidate)) / range;
    float sumQ = 0, sumQ2 = 0, sumXQ = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      float q = quantised(x[i], inverse);
      sumQ += weights[i] * q;
      sumQ2 += weights[i] * q * q;
      sumXQ += weights[i] * q * x[i];
    }
    float determinant = sumW * sumQ2 - sumQ * sumQ;
    if (!(determinant > 0))
      continue;
    AffineFit fit{(sumW * sumXQ - sumX * sumQ) / determinant,
                  (sumQ * sumXQ - sumQ2 * sumX) / determinant};
    if (fit.minimum < 0)
      fit = {sumXQ / sumQ2, 0};
    if (float e = error(fit, inverse); fit.scale > 0 && e < least) {
      least = e;
      best = fit;
    }
  }
  return best;
}

} // namespace lmc
