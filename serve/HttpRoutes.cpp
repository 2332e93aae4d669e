#include "serve/HttpRoutes.h"

#include "serve/OpenAi.h"

#include <algorithm>
#include <array>

namespace lmc {
namespace {

using httplib::Request;
using httplib::Response;
using nlohmann::json;

struct Route {
  const char *path, *methods;
};
constexpr std::array<Route, 7> routes = {{{"/v1/models", "GET"},
                                          {"/v1/completions", "POST"},
                                          {"/v1/chat/completions", "POST"},
                                          {"/v1/embeddings", "POST"},
                                          {"/healthz", "GET"},
                                          {"/readyz", "GET"},
                                          {"/metrics", "GET"}}};

const Route *findRoute(const std::string &path) {
  auto route = std::ranges::find_if(routes, [&](const Route &r) { return path == r.path; });
  return route == routes.end() ? nullptr : &*route;
}

/// What httplib itself refuses gets a body too.
void explain(const Request &request, Response &response) {
  if (!response.body.empty())
    return;
  const Route *route = findRoute(request.path);
  std::string message = "the request is not one this server understands";
  std::string code = "invalid_argument";
  if (response.status == 404 && route) {
    response.status = 405;
    response.set_header("Allow", route->methods);
    message = fmt::format("{} takes {} only", route->path, route->methods);
  } else if (response.status == 404) {
    message = fmt::format("there is nothing at {}", request.path);
    code = "not_found";
  } else if (response.status == 413) {
    message = fmt::format("the body is longer than {} bytes", maxRequestBytes);
  }
  response.set_content(errorBody(message, "invalid_request_error", code), jsonType);
}

} // namespace

void sendFailure(Response &response, const RequestFailure &failure) {
  response.status = httpStatus(failure.reason());
  if (failure.reason() == Reason::Overloaded)
    response.set_header("Retry-After", "1");
  response.set_content(errorBody(failure), jsonType);
}

void addMetricsRoutes(httplib::Server &server, const Metrics &metrics, AskHealth health) {
  server.Get("/metrics", [&metrics](const Request &, Response &response) {
    response.set_content(metrics.text(), Metrics::contentType);
  });
  // A lost device comes back with the process alone, which is what a failing health check asks for.
  server.Get("/healthz", [health = std::move(health)](const Request &, Response &response) {
    std::string lost = health().lost;
    response.status = lost.empty() ? 200 : 503;
    response.set_content((lost.empty() ? "ok" : lost) + "\n", "text/plain");
  });
}

void addFrame(httplib::Server &server, Metrics &metrics, AskHealth health) {
  addMetricsRoutes(server, metrics, health);
  server.Get("/readyz", [health = std::move(health)](const Request &, Response &response) {
    Health now = health();
    response.status = now.draining || !now.lost.empty() ? 503 : 200;
    response.set_content((!now.lost.empty() ? now.lost
                          : now.draining    ? "draining"
                                            : "ready") +
                             "\n",
                         "text/plain");
  });
  server.set_exception_handler(
      [&metrics](const Request &, Response &response, std::exception_ptr error) {
        std::string message = "internal error";
        try {
          std::rethrow_exception(error);
        } catch (const std::exception &known) {
          message = known.what();
        } catch (...) {
        }
        metrics.failure(Reason::Engine);
        sendFailure(response, {Reason::Engine, message});
      });
  server.set_error_handler(explain);
  server.set_logger([&metrics](const Request &request, const Response &response) {
    const Route *route = findRoute(request.path);
    metrics.request(route ? route->path : "other", std::to_string(response.status));
  });
}

void addModels(httplib::Server &server, const ModelInfo &model) {
  json entry = {{"id", model.name},
                {"object", "model"},
                {"created", 0},
                {"owned_by", "lmc"},
                {"context_length", model.context},
                {"parameters", model.parameters}};
  json list = {{"object", "list"}, {"data", json::array({std::move(entry)})}};
  server.Get("/v1/models", [text = list.dump()](const Request &, Response &response) {
    response.set_content(text, jsonType);
  });
}

void refuseRoute(httplib::Server &server, Metrics &metrics, const char *path, std::string why) {
  server.Post(path, [&metrics, why = std::move(why)](const Request &, Response &response) {
    metrics.failure(Reason::InvalidArgument);
    sendFailure(response, {Reason::InvalidArgument, why});
  });
}

} // namespace lmc
