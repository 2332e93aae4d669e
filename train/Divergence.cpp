#include "train/Divergence.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lmc {
namespace {

/// ln of the sum of exponentials.
double logSum(std::span<const float> row, const char *model, int64_t token) {
  double largest = *std::ranges::max_element(row), sum = 0;
  for (float logit : row)
    sum += std::exp(logit - largest);
  double result = largest + std::log(sum);
  if (!std::isfinite(result)) // NaN, +inf and nothing but -inf all end here
    fail("the logits of {} behind token {} are no distribution", model, token);
  return result;
}

/// Between the two nearest ranks, as NumPy's percentile.
double percentile(const std::vector<float> &sorted, double share) {
  double rank = share * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<size_t>(rank);
  size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] +
         (rank - static_cast<double>(below)) * (double(sorted[above]) - sorted[below]);
}

} // namespace

void Divergence::add(std::span<const float> logits, std::span<const float> reference,
                     std::span<const int32_t> targets) {
  assert(logits.size() == reference.size() && !targets.empty());
  size_t vocab = logits.size() / targets.size();
  for (size_t t = 0; t < targets.size(); ++t) {
    auto q = logits.subspan(t * vocab, vocab), p = reference.subspan(t * vocab, vocab);
    auto token = static_cast<int64_t>(divergences.size());
    double qSum = logSum(q, "the model", token), pSum = logSum(p, "the reference", token),
           divergence = 0;
    for (size_t i = 0; i < vocab; ++i)
      if (double share = std::exp(p[i] - pSum); share > 0)
        divergence += share * ((p[i] - pSum) - (q[i] - qSum));
    divergences.push_back(static_cast<float>(divergence));
    auto best = [](std::span<const float> row) {
      return std::ranges::max_element(row) - row.begin();
    };
    sameTop += best(p) == best(q);
    double qTarget = q[targets[t]] - qSum, pTarget = p[targets[t]] - pSum;
    loss -= qTarget;
    referenceLoss -= pTarget;
    double change = std::exp(qTarget) - std::exp(pTarget);
    squaredChange += change * change;
  }
}

DivergenceReport Divergence::report() const {
  assert(!divergences.empty());
  DivergenceReport r;
  r.tokens = static_cast<int64_t>(divergences.size());
  auto count = static_cast<double>(r.tokens);
  std::vector<float> sorted = divergences;
  std::ranges::sort(sorted);
  double sum = 0, squares = 0;
  for (float value : sorted)
    sum += value;
  r.mean = sum / count;
  for (float value : sorted)
    squares += (value - r.mean) * (value - r.mean);
  r.meanError = r.tokens > 1 ? std::sqrt(squares / (count - 1) / count) : 0;
  r.median = percentile(sorted, 0.5);
  r.p90 = percentile(sorted, 0.9);
  r.p99 = percentile(sorted, 0.99);
  r.max = sorted.back();
  r.loss = loss / count;
  r.referenceLoss = referenceLoss / count;
  r.sameTop = static_cast<double>(sameTop) / count;
  r.rmsProbabilityChange = std::sqrt(squaredChange / count);
  return r;
}

} // namespace lmc
