#include "serve/OpenAi.h"

#include "frontend/tokenizer/Base64.h"

#include <atomic>
#include <ctime>
#include <random>

namespace lmc {
namespace {

using nlohmann::json;

/// Never throws: bytes that are not UTF-8 become U+FFFD.
std::string dump(const json &value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json usage(const Generated &answer) {
  auto completion = static_cast<int64_t>(answer.tokens.size());
  return {{"prompt_tokens", answer.promptTokens},
          {"completion_tokens", completion},
          {"total_tokens", answer.promptTokens + completion}};
}

std::string freshId(const char *prefix) {
  static const uint64_t process = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  static std::atomic<uint64_t> count = 0;
  return fmt::format("{}-{:016x}{:08x}", prefix, process, count++);
}

json bytesOf(const std::string &text) {
  json bytes = json::array();
  for (unsigned char byte : text)
    bytes.push_back(byte);
  return bytes;
}

} // namespace

OpenAiWriter::OpenAiWriter(const OpenAiRequest &request, std::string model,
                           const Tokenizer &tokenizer)
    : chat(request.chat), stream(request.stream), includeUsage(request.includeUsage),
      model(std::move(model)), id(freshId(chat ? "chatcmpl" : "cmpl")), created(std::time(nullptr)),
      tokenizer(tokenizer) {}

json OpenAiWriter::frame(json choice) const {
  const char *object = !chat    ? "text_completion"
                       : stream ? "chat.completion.chunk"
                                : "chat.completion";
  choice["index"] = 0;
  return {{"id", id},
          {"object", object},
          {"created", created},
          {"model", model},
          {"choices", json::array({std::move(choice)})}};
}

json OpenAiWriter::logprobs(const Piece &piece) const {
  if (piece.sampled.empty())
    return nullptr;
  if (chat)
    return chatLogprobs(piece);
  json tokens = json::array(), values = json::array(), best = json::array();
  for (const Sampled &sampled : piece.sampled) {
    tokens.push_back(tokenText(tokenizer, sampled.token));
    values.push_back(sampled.logprob);
    json top = json::object();
    // Two tokens may show the same text; the likelier one keeps the entry.
    for (const Scored &scored : sampled.top)
      top.emplace(tokenText(tokenizer, scored.token), scored.value);
    best.push_back(std::move(top));
  }
  return {{"tokens", tokens}, {"token_logprobs", values}, {"top_logprobs", best}};
}

json OpenAiWriter::chatLogprobs(const Piece &piece) const {
  auto entry = [&](int32_t token, double logprob) -> json {
    return {{"token", tokenText(tokenizer, token)},
            {"logprob", logprob},
            {"bytes", bytesOf(tokenizer.tokenBytes(token))}};
  };
  json content = json::array();
  for (const Sampled &sampled : piece.sampled) {
    json one = entry(sampled.token, sampled.logprob);
    one["top_logprobs"] = json::array();
    for (const Scored &scored : sampled.top)
      one["top_logprobs"].push_back(entry(scored.token, scored.value));
    content.push_back(std::move(one));
  }
  return {{"content", content}};
}

std::string OpenAiWriter::whole(const Generated &answer) const {
  json choice = {{"logprobs", logprobs(answer)}, {"finish_reason", nameOf(answer.finish)}};
  if (chat)
    choice["message"] = {{"role", "assistant"}, {"content", answer.text}};
  else
    choice["text"] = answer.text;
  json body = frame(std::move(choice));
  body["usage"] = usage(answer);
  return dump(body);
}

std::string OpenAiWriter::firstChunk() const {
  if (!chat)
    return {};
  return event(dump(frame({{"delta", {{"role", "assistant"}, {"content", ""}}},
                           {"logprobs", nullptr},
                           {"finish_reason", nullptr}})));
}

std::string OpenAiWriter::chunk(const Piece &piece) const {
  json choice = {{"logprobs", logprobs(piece)}, {"finish_reason", nullptr}};
  if (chat)
    choice["delta"] = {{"content", piece.text}};
  else
    choice["text"] = piece.text;
  return event(dump(frame(std::move(choice))));
}

std::string OpenAiWriter::lastChunks(const Generated &answer) const {
  json choice = {{"logprobs", nullptr}, {"finish_reason", nameOf(answer.finish)}};
  if (chat)
    choice["delta"] = json::object();
  else
    choice["text"] = "";
  std::string events = event(dump(frame(std::move(choice))));
  if (includeUsage) {
    json body = frame(json::object());
    body["choices"] = json::array();
    body["usage"] = usage(answer);
    events += event(dump(body));
  }
  return events + event("[DONE]");
}

std::string embeddingsBody(const EmbeddingRequest &request,
                           const std::vector<std::vector<float>> &vectors,
                           const std::string &model) {
  json data = json::array();
  for (const std::vector<float> &vector : vectors) {
    json value = vector;
    if (request.base64) // a machine's floats are little-endian wherever lmc runs
      value = encodeBase64(
          {reinterpret_cast<const char *>(vector.data()), vector.size() * sizeof(float)});
    data.push_back(
        {{"object", "embedding"}, {"index", data.size()}, {"embedding", std::move(value)}});
  }
  size_t tokens = 0;
  for (const std::vector<int32_t> &input : request.inputs)
    tokens += input.size();
  return dump({{"object", "list"},
               {"data", std::move(data)},
               {"model", model},
               {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
}

int httpStatus(Reason reason) {
  switch (reason) {
  case Reason::InvalidArgument:
    return 400;
  case Reason::Deadline:
    return 504;
  case Reason::Cancelled:
    return 499; // nginx's number for a client that went away; nobody reads it
  case Reason::Overloaded:
    return 429;
  case Reason::Draining:
    return 503;
  case Reason::Tokenizer:
  case Reason::Sampling:
  case Reason::MalformedLogits:
  case Reason::Engine:
    break;
  }
  return 500;
}

std::string errorBody(std::string_view message, std::string_view type, std::string_view code) {
  return dump(
      {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}});
}

std::string errorBody(const RequestFailure &failure) {
  bool clients = failure.reason() == Reason::InvalidArgument;
  return errorBody(failure.what(), clients ? "invalid_request_error" : "server_error",
                   nameOf(failure.reason()));
}

std::string event(const std::string &json) { return "data: " + json + "\n\n"; }

} // namespace lmc
