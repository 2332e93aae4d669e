// The HTTP front: OpenAI's completions and chat interface, health and metrics.
#pragma once

#include "serve/HttpListener.h"
#include "serve/ServedModel.h"

namespace lmc {

/// /v1/models, /v1/completions, /v1/chat/completions, /healthz, /readyz and /metrics.
void addRoutes(httplib::Server &server, ServedModel &served);

/// /metrics and /healthz alone, for an address of their own.
void addMetricsRoutes(httplib::Server &server, ServedModel &served);

} // namespace lmc
