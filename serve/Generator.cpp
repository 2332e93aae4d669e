#include "serve/Generator.h"

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

bool Generator::step() {
  if (request.deadline && Clock::now() >= *request.deadline)
    refuse(Reason::Deadline, "the deadline passed after {} generated tokens", answer.tokens.size());
  std::span<const float> logits;
  if (prefilled < answer.promptTokens) {
    int64_t count = std::min(prefillChunk, answer.promptTokens - prefilled);
    logits = append(std::span(request.tokens).subspan(prefilled, count));
    prefilled += count;
    if (prefilled < answer.promptTokens)
      return true;
  } else {
    logits = append(std::span(answer.tokens).last(1));
  }
  return accept(orFail(Reason::Sampling, "sampling", [&] {
    Sampled sampled = sampler->sample(logits);
    if (sampled.token < 0 || sampled.token >= model.vocab)
      refuse(Reason::Sampling, "the sampler drew token {} from a vocabulary of {}", sampled.token,
             model.vocab);
    return sampled;
  }));
}

std::span<const float> Generator::append(std::span<const int32_t> tokens) {
  return orFail(Reason::Engine, "the engine", [&] { return sequence->append(tokens); });
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
  if (made == request.maxTokens || sequence->length() >= model.context)
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

Generated generate(Engine &engine, const Tokenizer &tokenizer, const GenerationRequest &request,
                   const Generator::OnPiece &onPiece) {
  auto sequence = engine.start();
  if (!sequence)
    refuse(Reason::Overloaded, "every one of the engine's {} slots is taken", engine.slots());
  Generator generator(request, engine.info(), tokenizer, std::move(sequence),
                      makeSampler(engine.info().vocab, request.sampling), onPiece);
  while (generator.step())
    ;
  return generator.generated();
}

} // namespace lmc
