// What every HTTP front has: health, metrics, errors as OpenAI writes them, and counted requests.
#pragma once

#include "serve/Engine.h"
#include "serve/Failure.h"
#include "serve/Metrics.h"

#include <httplib.h>

#include <functional>
#include <string>

namespace lmc {

inline constexpr const char *jsonType = "application/json";

struct Health {
  std::string lost; ///< why nothing can be answered any more; empty while it can
  bool draining = false;
};
using AskHealth = std::function<Health()>;

/// /metrics and /healthz alone.
void addMetricsRoutes(httplib::Server &server, const Metrics &metrics, AskHealth health);

/// Those, /readyz, a body for every error, and the count of requests by path and status.
void addFrame(httplib::Server &server, Metrics &metrics, AskHealth health);

/// /v1/models, of one model.
void addModels(httplib::Server &server, const ModelInfo &model);

/// POST of a path that this kind of model does not serve: invalid_argument, which says why.
void refuseRoute(httplib::Server &server, Metrics &metrics, const char *path, std::string why);

void sendFailure(httplib::Response &response, const RequestFailure &failure);

} // namespace lmc
