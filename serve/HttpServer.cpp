#include "serve/HttpServer.h"

#include "serve/HttpRoutes.h"
#include "serve/OpenAi.h"

#include <condition_variable>
#include <deque>

namespace lmc {
namespace {

using httplib::Request;
using httplib::Response;
using nlohmann::json;

constexpr std::chrono::milliseconds clientCheck(20); // how often a waiting handler looks

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

Health healthOf(const ServedModel &served) {
  return {served.scheduler.lost(), served.scheduler.draining()};
}

} // namespace

void addMetricsRoutes(httplib::Server &server, ServedModel &served) {
  addMetricsRoutes(server, served.metrics, [&served] { return healthOf(served); });
}

void addRoutes(httplib::Server &server, ServedModel &served) {
  addFrame(server, served.metrics, [&served] { return healthOf(served); });
  addModels(server, served.model());
  server.Post("/v1/completions", [&served](const Request &request, Response &response) {
    handleCompletion(served, request, response, false);
  });
  server.Post("/v1/chat/completions", [&served](const Request &request, Response &response) {
    handleCompletion(served, request, response, true);
  });
  refuseRoute(
      server, served.metrics, "/v1/embeddings",
      fmt::format("model '{}' predicts tokens and has no vectors of texts, which an encoder "
                  "(bert) has",
                  served.model().name));
}

} // namespace lmc
