#include "serve/Request.h"

#include "serve/Failure.h"

#include "frontend/tokenizer/Utf8.h"

#include <cmath>
#include <random>

namespace lmc {
namespace {

constexpr int64_t defaultMaxTokens = 16; // OpenAI's completions
constexpr size_t maxStops = 16, maxStopBytes = 1024;
constexpr int64_t maxLogprobs = 20;

void checkUtf8(std::string_view text, std::string_view field) {
  if (size_t valid = validUtf8Prefix(text); valid < text.size())
    refuse(Reason::InvalidArgument, "{} is not valid UTF-8 (byte {})", field, valid);
}

std::vector<int32_t> promptTokens(const ClientRequest &request, const ModelInfo &model,
                                  const Tokenizer &tokenizer) {
  if (request.prompt && request.tokenIds)
    refuse(Reason::InvalidArgument, "prompt and token_ids exclude each other, send one of them");
  if (!request.prompt && !request.tokenIds)
    refuse(Reason::InvalidArgument, "the request has no prompt, send prompt or token_ids");
  auto tokens = request.prompt ? encodeText(tokenizer, *request.prompt, !request.promptIsWhole)
                               : *request.tokenIds;
  if (tokens.empty() && request.prompt && model.bos)
    tokens.push_back(*model.bos); // a text from nothing, where the tokenizer itself adds no BOS
  if (tokens.empty())
    refuse(Reason::InvalidArgument, "the prompt is empty{}",
           request.prompt ? " and the model has no token that begins a text" : "");
  if (static_cast<int64_t>(tokens.size()) > model.context)
    refuse(Reason::InvalidArgument, "the prompt has {} tokens, the model's context is {}",
           tokens.size(), model.context);
  checkTokens(tokens, model.vocab);
  return tokens;
}

SamplingOptions samplingOptions(const ClientRequest &request) {
  SamplingOptions sampling;
  sampling.temperature = request.temperature.value_or(1);
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    refuse(Reason::InvalidArgument, "temperature must be a finite number >= 0, got {}",
           sampling.temperature);
  sampling.topK = request.topK.value_or(0);
  if (sampling.topK < 0)
    refuse(Reason::InvalidArgument, "top_k must be >= 0 (0 keeps all tokens), got {}",
           sampling.topK);
  sampling.topP = request.topP.value_or(1);
  if (!(sampling.topP > 0 && sampling.topP <= 1))
    refuse(Reason::InvalidArgument, "top_p must be in (0, 1], got {}", sampling.topP);
  if (request.logprobs) {
    if (*request.logprobs < 0 || *request.logprobs > maxLogprobs)
      refuse(Reason::InvalidArgument, "logprobs must be 0 to {}, got {}", maxLogprobs,
             *request.logprobs);
    sampling.logprobs = static_cast<int>(*request.logprobs);
  }
  if (request.seed) {
    sampling.seed = *request.seed;
  } else {
    std::random_device device;
    sampling.seed = uint64_t{device()} << 32 | device();
  }
  return sampling;
}

void checkStops(const std::vector<std::string> &stops) {
  if (stops.size() > maxStops)
    refuse(Reason::InvalidArgument, "stop has {} strings, at most {} are taken", stops.size(),
           maxStops);
  for (const std::string &stop : stops) {
    if (stop.empty() || stop.size() > maxStopBytes)
      refuse(Reason::InvalidArgument, "a stop string must have 1 to {} bytes, got {}", maxStopBytes,
             stop.size());
    checkUtf8(stop, "stop");
  }
}

} // namespace

void checkTokens(std::span<const int32_t> tokens, int64_t vocab) {
  for (int32_t token : tokens)
    if (token < 0 || token >= vocab)
      refuse(Reason::InvalidArgument, "token id {} is outside the vocabulary of {}", token, vocab);
}

std::vector<int32_t> encodeText(const Tokenizer &tokenizer, std::string_view text,
                                bool addSpecial) {
  checkUtf8(text, "the text");
  try {
    return tokenizer.encode(text, addSpecial);
  } catch (const std::exception &error) {
    refuse(Reason::Tokenizer, "the tokenizer failed: {}", error.what());
  }
}

std::string decodeTokens(const Tokenizer &tokenizer, std::span<const int32_t> tokens) {
  try {
    return tokenizer.decode(tokens);
  } catch (const std::exception &error) {
    refuse(Reason::Tokenizer, "the tokenizer failed: {}", error.what());
  }
}

std::string tokenText(const Tokenizer &tokenizer, int32_t token) {
  try {
    return toValidUtf8(tokenizer.tokenBytes(token));
  } catch (const std::exception &error) {
    refuse(Reason::Tokenizer, "the tokenizer failed: {}", error.what());
  }
}

GenerationRequest resolve(const ClientRequest &request, const ModelInfo &model,
                          const Tokenizer &tokenizer) {
  GenerationRequest result;
  result.maxTokens = request.maxTokens.value_or(defaultMaxTokens);
  if (request.maxTokens && (result.maxTokens < 1 || result.maxTokens > model.context))
    refuse(Reason::InvalidArgument, "max_tokens must be 1 to the model's context of {}, got {}",
           model.context, result.maxTokens);
  checkStops(request.stop);
  result.stop = request.stop;
  result.sampling = samplingOptions(request);
  result.deadline = request.deadline;
  result.tokens = promptTokens(request, model, tokenizer);
  return result;
}

} // namespace lmc
