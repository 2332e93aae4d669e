// How far one model's next-token distributions are from another's, token by token: what quantising a
// model, or approximating it in another way, costs. Keeps one number a token, no logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lmc {

/// Over all tokens; p is the reference's distribution, q the model's, y the token that follows.
struct DivergenceReport {
  int64_t tokens = 0;
  double loss = 0, referenceLoss = 0; ///< means of -ln q(y), -ln p(y): nats a token
  /// Kullback-Leibler divergence KL(p || q) in nats: mean with its standard error (0 for one token),
  /// percentiles interpolated between ranks, largest. Rounding may take it a little below 0.
  double mean = 0, meanError = 0, median = 0, p90 = 0, p99 = 0, max = 0;
  double sameTop = 0; ///< share of tokens for which p and q have the same most likely token
  double rmsProbabilityChange = 0; ///< root of the mean of (q(y) - p(y))^2
};

class Divergence {
public:
  /// Adds T tokens. logits, reference: [T, vocab] f32, finite or -inf; targets [T] in [0, vocab).
  /// Throws Error where a row has a NaN, +inf or nothing but -inf, naming the model and the token.
  void add(std::span<const float> logits, std::span<const float> reference,
           std::span<const int32_t> targets);

  /// At least one token must have been added.
  DivergenceReport report() const;

private:
  std::vector<float> divergences;
  double loss = 0, referenceLoss = 0, squaredChange = 0;
  int64_t sameTop = 0;
};

} // namespace lmc
