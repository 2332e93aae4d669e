// Logits to one token: temperature, then top-k, then top-p (the order of Hugging Face's warpers), as
// runtime/Sampling.h defines the draw.
#pragma once

#include "runtime/Sampling.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace lmc {

struct SamplingOptions {
  double temperature = 1; ///< 0: always the most likely token
  int64_t topK = 0;       ///< keep this many most likely tokens; 0 keeps all
  double topP = 1; ///< keep the shortest run of most likely tokens that reaches this probability
  uint64_t seed = 0;
  std::optional<int> logprobs; ///< log-probabilities of the token drawn and of this many best ones
};

struct Scored {
  int32_t token = 0;
  double value = 0; ///< a probability or its natural logarithm, as the function says
};

struct Sampled {
  int32_t token = 0;
  double logprob = 0;      ///< of the model's own distribution, before temperature and filters
  std::vector<Scored> top; ///< best first, logarithms; empty unless asked for
};

/// The options in the numbers of a draw, f32.
Draw drawOf(const SamplingOptions &options, uint64_t bits);

/// What may be drawn and with which probability (they add up to 1), by rising id. Tokens of probability
/// 0 are left out. Throws RequestFailure (malformed_logits) for NaN, +inf, all -inf, or a size other
/// than vocab.
std::vector<Scored> distribution(std::span<const float> logits, int64_t vocab,
                                 const SamplingOptions &options);

class Sampler {
public:
  virtual ~Sampler() = default;
  /// Draws the next token of one sequence from logits [V].
  virtual Sampled sample(std::span<const float> logits) = 0;
  /// The next draw, for whoever makes it where the logits are; it is over then, as after sample(). None:
  /// the logits are needed here.
  virtual std::optional<Draw> draw() { return std::nullopt; }
  /// Draws from the same distribution where `draft` was drawn from q beforehand, so as to get `draft`
  /// again as often as can be. Without q the draw is the one of sample().
  virtual Sampled sampleWithDraft(std::span<const float> logits, int32_t draft,
                                  const std::vector<Scored> &q) {
    return sample(logits);
  }
};

/// The token at a point of the unit interval that 64 random bits name.
int32_t pick(const std::vector<Scored> &candidates, uint64_t bits);

/// The n-th draw depends on the logits, the options and n alone: not on other requests, not on
/// threads.
std::unique_ptr<Sampler> makeSampler(int64_t vocab, const SamplingOptions &options);

} // namespace lmc
