// The HTTP front of an encoder: OpenAI's embeddings.
#pragma once

#include "serve/Engine.h"
#include "serve/HttpRoutes.h"

#include "frontend/tokenizer/Tokenizer.h"

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace lmc {

/// The vector of one text's tokens (Embedder::embed); called by one thread at a time.
using Embed = std::function<std::vector<float>(std::span<const int32_t> tokens)>;

/// One encoder, its tokenizer and the metrics. Texts are computed one after the other.
class ServedEncoder {
public:
  ServedEncoder(Embed embed, ModelInfo model, std::shared_ptr<const Tokenizer> tokenizer)
      : model(std::move(model)), tokenizer(std::move(tokenizer)), compute(std::move(embed)) {}

  /// Throws RequestFailure (engine, draining).
  std::vector<float> embed(std::span<const int32_t> tokens);

  Health health() const;
  /// Takes no new texts (`draining`).
  void stopAdmission();

  const ModelInfo model; ///< context: the most tokens of a text
  const std::shared_ptr<const Tokenizer> tokenizer;
  Metrics metrics;

private:
  Embed compute;
  std::mutex computing;
  mutable std::mutex mutex; ///< of what follows
  Health state;
};

/// /metrics and /healthz alone.
void addMetricsRoutes(httplib::Server &server, ServedEncoder &served);

/// /v1/embeddings, /v1/models, /healthz, /readyz and /metrics; what an encoder does not do is refused.
void addEncoderRoutes(httplib::Server &server, ServedEncoder &served);

} // namespace lmc
