// Drives one sequence from prompt to the end of its answer, one bounded piece of work at a time, so
// that a scheduler can interleave many and stop any of them between two pieces.
#pragma once

#include "serve/Engine.h"
#include "serve/Request.h"
#include "serve/Sampler.h"
#include "serve/Speculation.h"
#include "serve/StopStrings.h"

#include "frontend/tokenizer/Tokenizer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lmc {

enum class Finish { Stop, Length, Cancelled };
std::string_view nameOf(Finish finish); ///< "stop"

/// What one step added to the answer. Text may be empty (it may yet become a stop string, or is
/// half a character), and the last piece may hold text only.
struct Piece {
  std::string text; ///< valid UTF-8
  std::vector<int32_t> tokens;
  std::vector<Sampled> sampled; ///< one per token, where logprobs were asked for
};

/// The whole answer: the pieces joined.
struct Generated : Piece {
  int64_t promptTokens = 0;
  Finish finish = Finish::Cancelled;
  int64_t drafted = 0, accepted = 0; ///< guessed tokens that were checked, and that stayed
};

class Generator {
public:
  using OnPiece = std::function<void(const Piece &)>;

  /// `prefillChunk`: the most prompt tokens in one step.
  Generator(GenerationRequest request, const ModelInfo &model, const Tokenizer &tokenizer,
            std::unique_ptr<Sequence> sequence, std::unique_ptr<Sampler> sampler, OnPiece onPiece,
            int64_t prefillChunk = 128);

  /// From now on lets the drafter guess, up to `longestScore` - 1 tokens a step.
  void speculate(std::unique_ptr<Drafter> drafter, int64_t longestScore);

  /// One chunk of the prompt, or one token, or with a drafter one and those of its guess that stay.
  /// Returns false once the answer is complete.
  /// Throws RequestFailure (deadline, engine, malformed_logits, sampling, tokenizer); generated()
  /// then holds what was made so far.
  bool step();

  /// The one run that step() would make, where that is a token whose successor is drawn where its logits are:
  /// whoever makes it says what was drawn. None: step() does something else. Throws as step().
  std::optional<Step> singleStep();
  /// What step() does with the token; returns and throws as step().
  bool finishStep(int32_t drawn);

  const Generated &generated() const { return answer; }
  int64_t cachedTokens() const { return sequence->length(); }

private:
  std::span<const float> append(std::span<const int32_t> tokens);
  void appendOnly(std::span<const int32_t> tokens);
  Sampled drawnBehind(std::span<const int32_t> tokens);
  bool stepWithDraft();
  Sampled sampled(const auto &draw);
  Sampled checked(int32_t drawn);
  void checkDeadline() const;
  bool accept(const Sampled &sampled);
  bool finish(Finish reason, Piece piece);
  void emit(Piece piece);

  GenerationRequest request;
  const ModelInfo &model;
  std::unique_ptr<Sequence> sequence;
  std::unique_ptr<Sampler> sampler;
  StreamDecoder decoder;
  StopStrings stop;
  OnPiece onPiece;
  int64_t prefillChunk;
  int64_t prefilled = 0;
  int64_t held = 0; // tokens of prompt and answer whose logits have been seen
  std::unique_ptr<Drafter> drafter;
  int64_t longestScore = 0;
  Generated answer;
};

/// Engine::appendAndDraw of several sequences, with its failures as those of Generator::step().
std::vector<int32_t> drawTogether(Engine &engine, std::span<const Step> steps);

/// Tokens that the request's sequence holds at most.
int64_t longestOf(const GenerationRequest &request, const ModelInfo &model);

/// Runs one request to its end on the calling thread.
Generated generate(Engine &engine, const Tokenizer &tokenizer, const GenerationRequest &request,
                   const Generator::OnPiece &onPiece = {},
                   std::unique_ptr<Drafter> drafter = nullptr);

} // namespace lmc
