// A request as clients send it, and as the generator runs it once it has been checked.
#pragma once

#include "serve/Engine.h"
#include "serve/Sampler.h"

#include "frontend/tokenizer/Tokenizer.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmc {

using Clock = std::chrono::steady_clock;

/// The largest request body either front reads.
constexpr size_t maxRequestBytes = 4 << 20;

/// What a client asked for, unchecked. Absent fields take the defaults that the .proto file states.
struct ClientRequest {
  std::optional<std::string> prompt;
  bool promptIsWhole = false; ///< a chat template made it: special tokens are in it, none is added
  std::optional<std::vector<int32_t>> tokenIds;
  std::optional<int64_t> maxTokens;
  std::optional<double> temperature;
  std::optional<int64_t> topK;
  std::optional<double> topP;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::optional<int64_t> logprobs;
  std::optional<Clock::time_point> deadline;
};

/// Checked: every token is in the vocabulary, every number in its range.
struct GenerationRequest {
  std::vector<int32_t> tokens; ///< 1 to context
  int64_t maxTokens = 16;      ///< the answer may end earlier, where the context is full
  SamplingOptions sampling;
  std::vector<std::string> stop;
  std::optional<Clock::time_point> deadline;
};

/// Checks, encodes the prompt and fills in defaults. Throws RequestFailure (invalid_argument naming
/// the field, or tokenizer).
GenerationRequest resolve(const ClientRequest &request, const ModelInfo &model,
                          const Tokenizer &tokenizer);

/// Throws RequestFailure (invalid_argument) unless every id is in [0, vocab).
void checkTokens(std::span<const int32_t> tokens, int64_t vocab);

/// Text to ids; invalid UTF-8 is invalid_argument, whatever the tokenizer throws is tokenizer.
std::vector<int32_t> encodeText(const Tokenizer &tokenizer, std::string_view text, bool addSpecial);
/// Ids (checked by the caller) to their exact bytes.
std::string decodeTokens(const Tokenizer &tokenizer, std::span<const int32_t> tokens);
/// One token by itself, made valid UTF-8.
std::string tokenText(const Tokenizer &tokenizer, int32_t token);

} // namespace lmc
