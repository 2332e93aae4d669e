#include "tools/lmc/Speculate.h"

#include "runtime/Error.h"

#include <charconv>

namespace lmc {
namespace {

/// By default as many as are checked to the same bits whatever is guessed (Engine.h).
constexpr int64_t mostAhead = 64, lookupAhead = 5, draftAhead = 4;

/// The number behind the last colon, if one is there and the text goes on with nothing else.
std::optional<int64_t> trailingNumber(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  int64_t number = 0;
  const char *end = text.data() + text.size();
  auto [stopped, problem] = std::from_chars(text.data() + colon + 1, end, number);
  return problem == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
}

/// The model's, as far as they can be those of the draft: no longer than its own context.
CompileSettings draftSettings(const std::string &draft, CompileSettings settings) {
  ModelSource source = findModel(draft);
  int64_t most = source.isExecutable ? 0 : readModelConfig(source.config).context;
  settings.setLength(std::min(settings.programs.length, most));
  ProgramOptions &programs = settings.programs;
  programs.pageTokens = programs.poolTokens = programs.decodeBatch = 0; // a slot for each request
  return settings;
}

} // namespace

std::optional<SpeculationChoice> parseSpeculation(const std::string &text) {
  if (text.empty())
    return std::nullopt;
  auto number = trailingNumber(text);
  std::string rest = number ? text.substr(0, text.rfind(':')) : text;
  SpeculationChoice choice;
  if (rest == "lookup") {
    choice.ahead = number.value_or(lookupAhead);
  } else if (rest.starts_with("draft:") && rest.size() > 6) {
    choice.model = rest.substr(6);
    choice.ahead = number.value_or(draftAhead);
  } else {
    throw UsageError(
        fmt::format("--speculate: expected lookup[:K] or draft:MODEL[:K], got '{}'", text));
  }
  if (choice.ahead < 1 || choice.ahead > mostAhead)
    throw UsageError(
        fmt::format("--speculate: K must be 1 to {}, got {}", mostAhead, choice.ahead));
  return choice;
}

void addVerify(CompileSettings &settings, const SpeculationChoice &choice) {
  settings.keep.insert("verify");
  settings.programs.draft = choice.ahead + 1; // the token before the guess too
}

DrafterSource drafterSource(const SpeculationChoice &choice, const LoadedModel &model,
                            const Engine &engine, const CompileSettings &settings, int threads,
                            int slots) {
  if (engine.longestScore() < choice.ahead + 1)
    fail("'{}': has no program that checks {} guesses; --speculate needs the model's folder or "
         ".gguf, and a context that is longer",
         model.info.name, choice.ahead);
  if (choice.model.empty())
    return [](const SamplingOptions &) { return makeLookupDrafter(); };
  LoadedModel draft = loadModel(choice.model, draftSettings(choice.model, settings));
  requireSameTokens(model, draft);
  int64_t vocab = model.tokenizer ? model.tokenizer->vocabSize() : draft.info.vocab;
  auto guesser =
      std::make_shared<SessionEngine>(draft.executable, draft.info, vocab, threads, slots);
  return [guesser](const SamplingOptions &options) { return makeModelDrafter(*guesser, options); };
}

} // namespace lmc
