// Speculative decoding: a cheap guess of the next tokens, which the model checks in one run. What comes
// out has the model's own distribution, whatever is guessed.
//   Source: Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318; the guess from
//   the text itself: Saxena 2023, "Prompt lookup decoding".
#pragma once

#include "serve/Engine.h"
#include "serve/Sampler.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lmc {

/// Guessed tokens, and what each was drawn from (as distribution() gives it); empty: the guess was no
/// draw.
struct Draft {
  std::vector<int32_t> tokens;
  std::vector<std::vector<Scored>> distributions;
};

/// Guesses how one sequence goes on.
class Drafter {
public:
  virtual ~Drafter() = default;
  /// At most `most` tokens (>= 1) behind all tokens of the sequence, perhaps none. Of two calls the
  /// later one's text need not go on as the earlier one's guess did.
  virtual Draft draft(std::span<const int32_t> text, int64_t most) = 0;
};

/// Guesses what followed the latest earlier place that ends with the same 4 tokens as the text, else the
/// same 3, and so on down to 1.
std::unique_ptr<Drafter> makeLookupDrafter();

/// Guesses by a smaller model with the same vocabulary, drawing with the request's own options. Null
/// while the engine has no free slot.
std::unique_ptr<Drafter> makeModelDrafter(Engine &engine, const SamplingOptions &options);

/// The rule by which a token x, drawn from q, stands for a draw from p: keep it with probability
/// min(1, p(x) / q(x)), else draw from what remains, max(0, p - q) scaled to add up to 1.
double acceptance(const std::vector<Scored> &p, const std::vector<Scored> &q, int32_t x);
std::vector<Scored> remainder(const std::vector<Scored> &p, const std::vector<Scored> &q);

} // namespace lmc
