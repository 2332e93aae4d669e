#include "serve/EncoderRoutes.h"

#include "runtime/DeviceLost.h"
#include "serve/HttpListener.h"
#include "serve/OpenAi.h"

namespace lmc {

std::vector<float> ServedEncoder::embed(std::span<const int32_t> tokens) {
  if (Health now = health(); !now.lost.empty())
    throw EngineLost(now.lost);
  else if (now.draining)
    refuse(Reason::Draining, "the server is stopping, ask another one");
  std::lock_guard oneByOne(computing);
  try {
    return compute(tokens);
  } catch (const DeviceLost &error) {
    EngineLost lost(fmt::format("the engine failed: {}; restart the server", error.what()));
    std::lock_guard lock(mutex);
    state.lost = lost.what();
    throw lost;
  } catch (const std::exception &error) {
    refuse(Reason::Engine, "the engine failed: {}", error.what());
  }
}

Health ServedEncoder::health() const {
  std::lock_guard lock(mutex);
  return state;
}

void ServedEncoder::stopAdmission() {
  std::lock_guard lock(mutex);
  state.draining = true;
}

static void answer(ServedEncoder &served, const httplib::Request &http,
                   httplib::Response &response) {
  EmbeddingRequest request = parseEmbeddings(http.body, served.model, *served.tokenizer);
  std::vector<std::vector<float>> vectors;
  for (const std::vector<int32_t> &tokens : request.inputs) {
    if (HttpListener::clientGone())
      refuse(Reason::Cancelled, "the client went away");
    vectors.push_back(served.embed(tokens));
  }
  response.set_content(embeddingsBody(request, vectors, served.model.name), jsonType);
}

void addMetricsRoutes(httplib::Server &server, ServedEncoder &served) {
  addMetricsRoutes(server, served.metrics, [&served] { return served.health(); });
}

void addEncoderRoutes(httplib::Server &server, ServedEncoder &served) {
  addFrame(server, served.metrics, [&served] { return served.health(); });
  addModels(server, served.model);
  server.Post("/v1/embeddings",
              [&served](const httplib::Request &request, httplib::Response &response) {
                try {
                  answer(served, request, response);
                } catch (const RequestFailure &failure) {
                  served.metrics.failure(failure.reason());
                  sendFailure(response, failure);
                }
              });
  for (const char *path : {"/v1/completions", "/v1/chat/completions"})
    refuseRoute(server, served.metrics, path,
                fmt::format("model '{}' is an encoder and predicts no tokens; use /v1/embeddings",
                            served.model.name));
}

} // namespace lmc
