#include "serve/HttpServer.h"

#include "serve/OpenAi.h"

#include <array>
#include <condition_variable>
#include <deque>

namespace lmc {
namespace {

using httplib::Request;
using httplib::Response;
using nlohmann::json;

constexpr const char *jsonType = "application/json";
constexpr std::chrono::milliseconds clientCheck(20); // how often a waiting handler looks

struct Route {
  const char *path, *methods;
};
constexpr std::array<Route, 6> routes = {{{"/v1/models", "GET"},
                                          {"/v1/completions", "POST"},
                                          {"/v1/chat/completions", "POST"},
                                          {"/healthz", "GET"},
                                          {"/readyz", "GET"},
                                          {"/metrics", "GET"}}};

const Route *findRoute(const std::string &path) {
  auto route = std::ranges::find_if(routes, [&](const Route &r) { return path == r.path; });
  return route == routes.end() ? nullptr : &*route;
}

/// From the scheduler's thread to the one that holds the connection. Holds at most one answer.
class Mailbox {
public:
  void put(const Piece &piece) {
    std::lock_guard lock(mutex);
    pieces.push_back(piece);
    changed.notify_one();
  }
  void put(Outcome &&value) {
    std::lock_guard lock(mutex);
    outcome = std::move(value);
    changed.notify_one();
  }

  /// Waits for the next piece (false: there is none any more, the outcome is in).
  bool next(Piece &piece, const auto &whileWaiting) {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, clientCheck, [&] { return !pieces.empty() || outcome; })) {
      lock.unlock();
      whileWaiting();
      lock.lock();
    }
    if (pieces.empty())
      return false;
    piece = std::move(pieces.front());
    pieces.pop_front();
    return true;
  }
  /// Once next() has returned false.
  Outcome &end() { return *outcome; }

private:
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Piece> pieces;
  std::optional<Outcome> outcome;
};

/// One completion under way, used by the connection's thread alone.
class Completion {
public:
  Completion(ServedModel &served, const OpenAiRequest &request)
      : served(served), writer(request, served.model().name, *served.tokenizer),
        deadline(request.client.deadline) {
    auto checked = resolve(request.client, served.model(), *served.tokenizer);
    bool stream = request.stream;
    ticket = served.scheduler.submit(
        std::move(checked),
        [box = box, stream](const Piece &piece) {
          if (stream)
            box->put(piece);
        },
        [box = box](Outcome &&outcome) { box->put(std::move(outcome)); });
  }
  ~Completion() {
    served.scheduler.cancel(ticket);
    if (!settled) // the connection broke before the end was seen
      served.metrics.failure(Reason::Cancelled);
  }

  /// The whole answer. Throws RequestFailure.
  std::string whole() {
    next();
    return writer.whole(answer());
  }

  /// Waits until there is something to send, so that an early failure still has a status of its
  /// own. Throws RequestFailure.
  void begin() {
    if (!(havePiece = next()))
      answer();
  }

  /// Sends one piece, or the end; returns whether the connection is still good.
  bool send(httplib::DataSink &sink) {
    std::string text = started ? "" : writer.firstChunk();
    started = true;
    bool more = havePiece || next();
    havePiece = false;
    try {
      text += more ? writer.chunk(piece) : writer.lastChunks(answer());
    } catch (const RequestFailure &failure) {
      text += failedEvent(failure);
      more = false;
    } catch (const std::exception &error) {
      text += failedEvent({Reason::Engine, error.what()});
      more = false;
    }
    if (!sink.write(text.data(), text.size()))
      return false;
    if (!more)
      sink.done();
    return true;
  }

private:
  bool next() {
    return box->next(piece, [this] {
      if (HttpListener::clientGone()) {
        gone = true;
        served.scheduler.cancel(ticket);
      } else if (deadline && Clock::now() >= *deadline) {
        served.scheduler.cancel(ticket, Reason::Deadline);
      }
    });
  }

  /// How it ended. Throws the failure, which the caller counts.
  const Generated &answer() {
    settled = true;
    Outcome &outcome = box->end();
    if (!outcome.failure)
      return outcome.answer;
    if (outcome.failure->reason() != Reason::Cancelled || gone)
      throw *outcome.failure;
    // The server ended it, not the client: what was generated is an answer, and says so.
    served.metrics.failure(Reason::Cancelled);
    return outcome.answer;
  }

  std::string failedEvent(const RequestFailure &failure) {
    settled = true;
    served.metrics.failure(failure.reason());
    return event(errorBody(failure));
  }

  ServedModel &served;
  OpenAiWriter writer;
  std::optional<Clock::time_point> deadline;
  std::shared_ptr<Mailbox> box = std::make_shared<Mailbox>();
  Scheduler::Ticket ticket;
  Piece piece;
  bool havePiece = false, started = false, gone = false, settled = false;
};

void sendFailure(Response &response, const RequestFailure &failure) {
  response.status = httpStatus(failure.reason());
  if (failure.reason() == Reason::Overloaded)
    response.set_header("Retry-After", "1");
  response.set_content(errorBody(failure), jsonType);
}

void complete(ServedModel &served, const OpenAiRequest &request, Response &response) {
  auto completion = std::make_shared<Completion>(served, request);
  if (!request.stream) {
    response.set_content(completion->whole(), jsonType);
    return;
  }
  completion->begin();
  response.set_header("Cache-Control", "no-cache");
  response.set_chunked_content_provider(
      "text/event-stream",
      [completion](size_t, httplib::DataSink &sink) { return completion->send(sink); });
}

void handleCompletion(ServedModel &served, const Request &http, Response &response, bool chat) {
  const std::string &model = served.model().name;
  try {
    complete(served,
             chat ? parseChat(http.body, model, served.chat.get())
                  : parseCompletion(http.body, model),
             response);
  } catch (const RequestFailure &failure) {
    served.metrics.failure(failure.reason());
    sendFailure(response, failure);
  }
}

json modelEntry(const ServedModel &served) {
  return {{"id", served.model().name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "lmc"},
          {"context_length", served.model().context},
          {"parameters", served.model().parameters}};
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

void addMetricsRoutes(httplib::Server &server, ServedModel &served) {
  server.Get("/metrics", [&served](const Request &, Response &response) {
    response.set_content(served.metrics.text(), Metrics::contentType);
  });
  // A lost device comes back with the process alone, which is what a failing health check asks for.
  server.Get("/healthz", [&served](const Request &, Response &response) {
    std::string lost = served.scheduler.lost();
    response.status = lost.empty() ? 200 : 503;
    response.set_content((lost.empty() ? "ok" : lost) + "\n", "text/plain");
  });
}

void addRoutes(httplib::Server &server, ServedModel &served) {
  addMetricsRoutes(server, served);
  server.Get("/readyz", [&served](const Request &, Response &response) {
    std::string lost = served.scheduler.lost();
    bool draining = served.scheduler.draining();
    response.status = draining || !lost.empty() ? 503 : 200;
    response.set_content((!lost.empty() ? lost
                          : draining    ? "draining"
                                        : "ready") +
                             "\n",
                         "text/plain");
  });
  server.Get("/v1/models", [&served](const Request &, Response &response) {
    json list = {{"object", "list"}, {"data", json::array({modelEntry(served)})}};
    response.set_content(list.dump(), jsonType);
  });
  server.Post("/v1/completions", [&served](const Request &request, Response &response) {
    handleCompletion(served, request, response, false);
  });
  server.Post("/v1/chat/completions", [&served](const Request &request, Response &response) {
    handleCompletion(served, request, response, true);
  });
  server.set_exception_handler(
      [&served](const Request &, Response &response, std::exception_ptr error) {
        std::string message = "internal error";
        try {
          std::rethrow_exception(error);
        } catch (const std::exception &known) {
          message = known.what();
        } catch (...) {
        }
        served.metrics.failure(Reason::Engine);
        sendFailure(response, {Reason::Engine, message});
      });
  server.set_error_handler(explain);
  server.set_logger([&served](const Request &request, const Response &response) {
    const Route *route = findRoute(request.path);
    served.metrics.request(route ? route->path : "other", std::to_string(response.status));
  });
}

} // namespace lmc
