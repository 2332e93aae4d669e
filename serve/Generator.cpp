#include "serve/Generator.h"

#include "runtime/DeviceLost.h"
#include "serve/Failure.h"

#include <algorithm>

namespace lmc {
namespace {

/// Gives failures without a reason of their own the one of the part they come from.
template <typename F> auto orFail(Reason reason, std::string_view what, F &&f) {
  try {
    return f();
  } catch (const RequestFailure &) {
    throw;
  } catch (const DeviceLost &error) {
    throw EngineLost(fmt::format("{} failed: {}; restart the server", what, error.what()));
  } catch (const std::exception &error) {
    refuse(reason, "{} failed: {}", what, error.what());
  } catch (...) {
    refuse(reason, "{} failed", what);
  }
}

/// Whether there is a text that the answer goes on with; BOS alone is none.
bool hasText(const std::vector<int32_t> &tokens, const Tokenizer &tokenizer) {
  return std::ranges::any_of(tokens, [&](int32_t token) { return !tokenizer.isSpecial(token); });
}

} // namespace

std::string_view nameOf(Finish finish) {
  switch (finish) {
  case Finish::Stop:
    return "stop";
  case Finish::Length:
    return "length";
  case Finish::Cancelled:
    return "cancelled";
  }
  return "";
}

Generator::Generator(GenerationRequest request, const ModelInfo &model, const Tokenizer &tokenizer,
                     std::unique_ptr<Sequence> sequence, std::unique_ptr<Sampler> sampler,
                     OnPiece onPiece, int64_t prefillChunk)
    : request(std::move(request)), model(model), sequence(std::move(sequence)),
      sampler(std::move(sampler)), decoder(tokenizer, hasText(this->request.tokens, tokenizer)),
      stop(this->request.stop), onPiece(std::move(onPiece)),
      prefillChunk(std::max<int64_t>(prefillChunk, 1)) {
  answer.promptTokens = static_cast<int64_t>(this->request.tokens.size());
}

void Generator::checkDeadline() const {
  if (request.deadline && Clock::now() >= *request.deadline)
    refuse(Reason::Deadline, "the deadline passed after {} generated tokens", answer.tokens.size());
}

std::optional<Step> Generator::singleStep() {
  checkDeadline();
  if (prefilled < answer.promptTokens || answer.tokens.empty() || drafter || !sequence->draws())
    return std::nullopt;
  std::optional<Draw> draw = sampler->draw();
  if (!draw)
    return std::nullopt;
  return Step{sequence.get(), answer.tokens.back(), *draw};
}

bool Generator::finishStep(int32_t drawn) {
  Sampled next = checked(drawn);
  held = sequence->length();
  return accept(next);
}

bool Generator::step() {
  checkDeadline();
  std::span<const int32_t> tokens;
  if (prefilled < answer.promptTokens) {
    int64_t count = std::min(prefillChunk, answer.promptTokens - prefilled);
    tokens = std::span(request.tokens).subspan(prefilled, count);
    prefilled += count;
    if (prefilled < answer.promptTokens) {
      appendOnly(tokens);
      return true;
    }
  } else if (drafter) {
    return stepWithDraft();
  } else {
    tokens = std::span(answer.tokens).last(1);
  }
  Sampled next = drawnBehind(tokens);
  held = sequence->length();
  return accept(next);
}

void Generator::speculate(std::unique_ptr<Drafter> guesses, int64_t longest) {
  drafter = std::move(guesses);
  longestScore = longest;
}

/// The last token and a guess behind it are scored in one run; each guessed token stays as long as the
/// model draws the same one, and what was scored behind the first that does not is forgotten.
bool Generator::stepWithDraft() {
  std::vector<int32_t> text = request.tokens;
  text.insert(text.end(), answer.tokens.begin(), answer.tokens.end());
  int64_t made = std::ssize(answer.tokens);
  int64_t most =
      std::min({longestScore - 1, request.maxTokens - made - 1, model.context - std::ssize(text)});
  Draft draft;
  if (most > 0)
    draft = orFail(Reason::Engine, "the draft", [&] { return drafter->draft(text, most); });
  std::vector<int32_t> scored = {text.back()};
  scored.insert(scored.end(), draft.tokens.begin(), draft.tokens.end());
  held = sequence->length();
  auto logits = orFail(Reason::Engine, "the engine", [&] { return sequence->score(scored); });
  answer.drafted += std::ssize(draft.tokens);
  static const std::vector<Scored> none;
  for (size_t i = 0;; ++i) {
    auto row = logits.subspan(i * model.vocab, model.vocab);
    ++held;
    bool isGuessed = i < draft.tokens.size();
    Sampled next = sampled([&] {
      return isGuessed ? sampler->sampleWithDraft(
                             row, draft.tokens[i],
                             draft.distributions.empty() ? none : draft.distributions[i])
                       : sampler->sample(row);
    });
    bool stays = isGuessed && next.token == draft.tokens[i];
    answer.accepted += stays;
    if (!accept(next))
      return false;
    if (!stays)
      break;
  }
  sequence->truncate(held);
  return true;
}

Sampled Generator::sampled(const auto &draw) {
  return orFail(Reason::Sampling, "sampling", [&] {
    Sampled sampled = draw();
    if (sampled.token < 0 || sampled.token >= model.vocab)
      refuse(Reason::Sampling, "the sampler drew token {} from a vocabulary of {}", sampled.token,
             model.vocab);
    return sampled;
  });
}

std::span<const float> Generator::append(std::span<const int32_t> tokens) {
  return orFail(Reason::Engine, "the engine", [&] { return sequence->append(tokens); });
}

/// Tokens behind which nothing is drawn.
void Generator::appendOnly(std::span<const int32_t> tokens) {
  if (!sequence->draws())
    append(tokens);
  else
    orFail(Reason::Engine, "the engine", [&] { return sequence->appendAndDraw(tokens, {}); });
}

/// Drawn where the logits are, unless they are needed here: for their logarithms, or for a draft.
Sampled Generator::drawnBehind(std::span<const int32_t> tokens) {
  std::optional<Draw> draw;
  if (sequence->draws() && !drafter)
    draw = sampler->draw();
  if (!draw) {
    auto logits = append(tokens);
    return sampled([&] { return sampler->sample(logits); });
  }
  int32_t token =
      orFail(Reason::Engine, "the engine", [&] { return sequence->appendAndDraw(tokens, *draw); });
  return checked(token);
}

/// What was drawn where the logits are.
Sampled Generator::checked(int32_t drawn) {
  return sampled([&] {
    Sampled token{drawn, 0, {}};
    return drawn < 0 ? sampler->sample(sequence->logits()) : token; // which says what is wrong
  });
}

bool Generator::accept(const Sampled &sampled) {
  if (std::ranges::find(model.eos, sampled.token) != model.eos.end())
    return finish(Finish::Stop, {});
  Piece piece;
  piece.tokens.push_back(sampled.token);
  if (request.sampling.logprobs)
    piece.sampled.push_back(sampled);
  auto text =
      orFail(Reason::Tokenizer, "the tokenizer", [&] { return decoder.push(sampled.token); });
  piece.text = stop.push(text);
  if (stop.found())
    return finish(Finish::Stop, std::move(piece));
  int64_t made = static_cast<int64_t>(answer.tokens.size()) + 1;
  if (made == request.maxTokens || held >= model.context)
    return finish(Finish::Length, std::move(piece));
  emit(std::move(piece));
  return true;
}

/// Shows what was held back, unless a stop string ends the text.
bool Generator::finish(Finish reason, Piece piece) {
  if (!stop.found()) {
    auto rest = orFail(Reason::Tokenizer, "the tokenizer", [&] { return decoder.finish(); });
    piece.text += stop.push(rest);
    if (stop.found())
      reason = Finish::Stop;
    else
      piece.text += stop.flush();
  }
  emit(std::move(piece));
  answer.finish = reason;
  return false;
}

void Generator::emit(Piece piece) {
  answer.text += piece.text;
  answer.tokens.insert(answer.tokens.end(), piece.tokens.begin(), piece.tokens.end());
  answer.sampled.insert(answer.sampled.end(), piece.sampled.begin(), piece.sampled.end());
  if (onPiece && !(piece.text.empty() && piece.tokens.empty()))
    onPiece(piece);
}

std::vector<int32_t> drawTogether(Engine &engine, std::span<const Step> steps) {
  return orFail(Reason::Engine, "the engine", [&] { return engine.appendAndDraw(steps); });
}

int64_t longestOf(const GenerationRequest &request, const ModelInfo &model) {
  return std::min(std::ssize(request.tokens) + request.maxTokens, model.context);
}

Generated generate(Engine &engine, const Tokenizer &tokenizer, const GenerationRequest &request,
                   const Generator::OnPiece &onPiece, std::unique_ptr<Drafter> drafter) {
  auto sequence = engine.startFor(longestOf(request, engine.info()));
  if (!sequence)
    refuse(Reason::Overloaded,
           "every one of the engine's {} slots is taken, or the memory for {} tokens is",
           engine.slots(), longestOf(request, engine.info()));
  Generator generator(request, engine.info(), tokenizer, std::move(sequence),
                      makeSampler(engine.info().vocab, request.sampling), onPiece);
  if (drafter)
    generator.speculate(std::move(drafter), engine.longestScore());
  while (generator.step())
    ;
  return generator.generated();
}

} // namespace lmc
