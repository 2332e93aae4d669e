// --speculate: guesses of next tokens that the model checks several at a time (serve/Speculation.h).
#pragma once

#include "serve/SessionEngine.h"
#include "serve/Speculation.h"
#include "tools/lmc/Model.h"

#include <functional>
#include <optional>
#include <string>

namespace lmc {

inline constexpr const char *kSpeculateHelp =
    "Guess K tokens ahead: lookup[:K] from the text so far, draft:MODEL[:K] by a smaller model "
    "with "
    "the same vocabulary; answers keep the model's own distribution";

struct SpeculationChoice {
  std::string model; ///< that guesses; empty: the text itself
  int64_t ahead = 0; ///< K
};

/// Nothing for an empty text. Throws UsageError for one that is none of the forms.
std::optional<SpeculationChoice> parseSpeculation(const std::string &text);

/// Has the model compiled with a program that checks K guesses.
void addVerify(CompileSettings &settings, const SpeculationChoice &choice);

using DrafterSource = std::function<std::unique_ptr<Drafter>(const SamplingOptions &)>;

/// Makes a drafter for each request; loads the model that guesses, `slots` sequences of it. Throws Error
/// where its tokens are others, or `engine` cannot check guesses.
DrafterSource drafterSource(const SpeculationChoice &choice, const LoadedModel &model,
                            const Engine &engine, const CompileSettings &settings, int threads,
                            int slots);

} // namespace lmc
