// OpenAI's JSON, read and written. Source: OpenAI API reference, completions, chat and embeddings.
#pragma once

#include "serve/Failure.h"
#include "serve/Generator.h"
#include "serve/Request.h"

#include "frontend/chat/ChatTemplate.h"

#include <nlohmann/json.hpp>

#include <string>

namespace lmc {

/// A completion or chat request as it came. Extensions: `top_k`, `timeout` in seconds; of chat, as in
/// vLLM, `chat_template_kwargs`, `documents` and `add_generation_prompt`.
struct OpenAiRequest {
  ClientRequest client;
  bool chat = false;
  bool stream = false;
  bool includeUsage = false; ///< one more chunk with the token counts
};

/// Throws RequestFailure (invalid_argument naming the field) for anything that is not understood or
/// not supported: a field that is silently ignored would change the answer behind the client's
/// back.
OpenAiRequest parseCompletion(const std::string &body, const std::string &model);
OpenAiRequest parseChat(const std::string &body, const std::string &model,
                        const ChatTemplate *chat);

/// Texts to embed, as tokens with what the tokenizer adds around them.
struct EmbeddingRequest {
  std::vector<std::vector<int32_t>> inputs; ///< 1 to 2048, each of 1 to context tokens
  bool base64 = false;                      ///< of little-endian float32, in place of numbers
};

/// `input`: a text, token ids, or an array of either. Throws as parseCompletion, naming the input.
EmbeddingRequest parseEmbeddings(const std::string &body, const ModelInfo &model,
                                 const Tokenizer &tokenizer);
std::string embeddingsBody(const EmbeddingRequest &request,
                           const std::vector<std::vector<float>> &vectors,
                           const std::string &model);

/// Writes the answers to one request.
class OpenAiWriter {
public:
  OpenAiWriter(const OpenAiRequest &request, std::string model, const Tokenizer &tokenizer);

  std::string whole(const Generated &answer) const;
  /// One server-sent event each, with "data: " and the empty line.
  std::string firstChunk() const; ///< chat's role; empty for completions
  std::string chunk(const Piece &piece) const;
  std::string lastChunks(const Generated &answer) const; ///< finish_reason, usage, [DONE]

private:
  nlohmann::json frame(nlohmann::json choice) const;
  nlohmann::json logprobs(const Piece &piece) const;
  nlohmann::json chatLogprobs(const Piece &piece) const;

  bool chat, stream, includeUsage;
  std::string model, id;
  int64_t created;
  const Tokenizer &tokenizer;
};

int httpStatus(Reason reason);
/// {"error": {"message", "type", "param", "code"}}
std::string errorBody(std::string_view message, std::string_view type, std::string_view code);
std::string errorBody(const RequestFailure &failure);
std::string event(const std::string &json);

} // namespace lmc
