// What the server needs from a model: narrow enough that a test double is a page long.
#pragma once

#include "runtime/Sampling.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lmc {

struct ModelInfo {
  std::string name;
  std::string architecture; ///< "gpt2", "llama", ...
  int64_t vocab = 0;        ///< V, the length of one row of logits
  int64_t context = 0;      ///< the most tokens one sequence may hold, prompt and answer together
  int64_t parameters = 0;
  std::optional<int32_t> bos;
  std::vector<int32_t> eos; ///< any of these ends an answer; never shown in its text
};

/// One sequence's KV cache. Its destructor gives the slot back.
class Sequence {
public:
  virtual ~Sequence() = default;

  /// Appends T >= 1 tokens (a piece of a prompt, or one sampled token) and returns the logits [V]
  /// that follow the last of them. The span stays valid until the next call on any sequence of the
  /// engine. Throws where the tokens do not fit or the computation fails.
  virtual std::span<const float> append(std::span<const int32_t> tokens) = 0;

  /// Appends 1 to Engine::longestScore() tokens and returns the logits [T, V] that follow each of them.
  /// A row is the same to the bit however many tokens are appended with it, up to 6; beyond that it is
  /// the same but for rounding. Valid and throws as append.
  virtual std::span<const float> score(std::span<const int32_t> tokens) {
    throw std::logic_error("this engine scores no drafts");
  }

  /// Forgets all tokens but the first `length` (0 to length()).
  virtual void truncate(int64_t length) { throw std::logic_error("this engine forgets nothing"); }

  /// Whether appendAndDraw is there.
  virtual bool draws() const { return false; }

  /// Appends like append, and draws the token that follows as runtime/Sampling.h says, without the host
  /// seeing the logits. -1: they are malformed. Throws as append.
  virtual int32_t appendAndDraw(std::span<const int32_t> tokens, const Draw &draw) {
    throw std::logic_error("this engine draws no tokens");
  }

  /// The logits [V] behind the last token of an appendAndDraw. Valid as those of append.
  virtual std::span<const float> logits() { throw std::logic_error("this engine draws no tokens"); }

  virtual int64_t length() const = 0; ///< tokens held
};

/// One token of a sequence, and the draw of the next one.
struct Step {
  Sequence *sequence;
  int32_t token;
  Draw draw;
};

/// A model that is ready to run. One thread starts and drives sequences; info, slots and arenaBytes
/// never change and may be asked from any thread.
class Engine {
public:
  virtual ~Engine() = default;
  virtual const ModelInfo &info() const = 0;
  virtual std::unique_ptr<Sequence> start() = 0; ///< nullptr while every slot is taken
  /// A sequence that will hold so many tokens at most; nullptr also while there is no memory for them. Once it
  /// lives it never lacks any.
  virtual std::unique_ptr<Sequence> startFor(int64_t tokens) { return start(); }
  /// Tokens that there is memory for, of all sequences together.
  virtual int64_t cachedTokens() const { return slots() * info().context; }
  virtual int slots() const = 0; ///< sequences that may live at the same time
  virtual uint64_t arenaBytes() const { return 0; }
  /// Sequences whose steps are computed together at most; 0: each by itself.
  virtual int64_t mostSteps() const { return 0; }
  /// Does what appendAndDraw of each does, for 1 to mostSteps() sequences of this engine, and gives the ids. What
  /// comes out for one of them does not depend on the others. Throws as appendAndDraw; no
  /// sequence is longer then.
  virtual std::vector<int32_t> appendAndDraw(std::span<const Step> steps) {
    throw std::logic_error("this engine computes each sequence by itself");
  }
  virtual int64_t longestScore() const { return 0; } ///< tokens of Sequence::score; 0: it has none
};

} // namespace lmc
