#include "serve/Server.h"

#include "runtime/Error.h"
#include "serve/EncoderRoutes.h"
#include "serve/GrpcServer.h"
#include "serve/HttpServer.h"
#include "serve/ServedModel.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace lmc {
namespace {

constexpr std::chrono::milliseconds flushLimit(1000); // for clients to read what is finished
constexpr int maxHttpThreads = 512, spareHttpThreads = 32, metricsThreads = 4;

volatile sig_atomic_t signalEvent = -1; // the eventfd that the handler adds to

void onSignal(int) {
  int saved = errno;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(signalEvent, &one, sizeof one);
  errno = saved;
}

/// SIGTERM and SIGINT add to an eventfd while this lives. A handler rather than a blocked mask: the
/// engine's threads exist already and would take the signal's default action.
class SignalsTo {
public:
  explicit SignalsTo(int descriptor) {
    signalEvent = descriptor;
    struct sigaction action{};
    action.sa_handler = onSignal;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGTERM, &action, &oldTerm);
    ::sigaction(SIGINT, &action, &oldInt);
  }
  ~SignalsTo() {
    ::sigaction(SIGTERM, &oldTerm, nullptr);
    ::sigaction(SIGINT, &oldInt, nullptr);
    signalEvent = -1;
  }

private:
  struct sigaction oldTerm{}, oldInt{};
};

/// Waits until the eventfd is raised and takes its count; false if `limit` (negative: none) passes.
bool raised(int descriptor, std::chrono::milliseconds limit) {
  pollfd entry{descriptor, POLLIN, 0};
  auto end = Clock::now() + limit;
  while (true) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    int timeout = limit.count() < 0 ? -1 : static_cast<int>(std::max<int64_t>(left, 0));
    int ready = ::poll(&entry, 1, timeout);
    if (ready > 0) {
      uint64_t count;
      return ::read(descriptor, &count, sizeof count) > 0;
    }
    if (ready == 0)
      return false;
  }
}

void printReady(const std::string &model, const ServeOptions::Listening &listening) {
  std::string line = "serving " + model;
  auto add = [&](const char *what, const std::string &address) {
    if (!address.empty())
      line += fmt::format(", {} on {}", what, address);
  };
  add("gRPC", listening.grpc);
  add("HTTP", listening.http);
  add("metrics", listening.metrics);
  std::puts(line.c_str());
  std::fflush(stdout);
}

/// Waits for running answers, up to the limit or a second request to stop.
void drain(ServedModel &served, const StopHandle &stop, std::chrono::milliseconds limit) {
  served.scheduler.stopAdmission();
  constexpr std::chrono::milliseconds look(20);
  for (auto end = Clock::now() + limit; Clock::now() < end;)
    if (served.scheduler.waitIdle(look) || raised(stop.descriptor(), std::chrono::milliseconds(0)))
      break;
  served.scheduler.drain(std::chrono::milliseconds(0));
}

/// Fronts on their addresses, from ready to `stop`.
class Fronts {
public:
  Fronts(const ServeOptions &options, const StopHandle &stop)
      : options(options), stop(stop), signals(stop.descriptor()) {}

  template <typename Served>
  void listen(Served &served, int threads, void (*routes)(httplib::Server &, Served &),
              void (*metricsRoutes)(httplib::Server &, Served &)) {
    if (!options.http.empty()) {
      http = start(options.http, "--http", std::min(threads, maxHttpThreads), served, routes);
      listening.http = http->address().text();
    }
    if (!options.metrics.empty()) {
      metrics = start(options.metrics, "--metrics", metricsThreads, served, metricsRoutes);
      listening.metrics = metrics->address().text();
    }
  }

  void wait(const std::string &model) {
    if (options.onReady)
      options.onReady(listening);
    else
      printReady(model, listening);
    raised(stop.descriptor(), std::chrono::milliseconds(-1));
  }

  void stopListening() {
    if (http)
      http->stop(flushLimit);
    if (metrics)
      metrics->stop(flushLimit);
  }

  ServeOptions::Listening listening;

private:
  template <typename Served>
  std::unique_ptr<HttpListener> start(const std::string &text, const char *option, int threads,
                                      Served &served, void (*routes)(httplib::Server &, Served &)) {
    return std::make_unique<HttpListener>(
        parseAddress(text, option), threads, maxRequestBytes,
        [&served, routes](httplib::Server &server) { routes(server, served); });
  }

  const ServeOptions &options;
  const StopHandle &stop;
  SignalsTo signals;
  std::unique_ptr<HttpListener> http, metrics;
};

} // namespace

StopHandle::StopHandle()
    : event(new int(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)), [](int *descriptor) {
        ::close(*descriptor);
        delete descriptor;
      }) {
  if (*event < 0)
    fail("cannot make an eventfd: {}", std::strerror(errno));
}

void StopHandle::stop() const {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(*event, &one, sizeof one);
}

int serve(std::shared_ptr<Engine> engine, std::shared_ptr<const Tokenizer> tokenizer,
          const ServeOptions &options, const StopHandle &stop) {
  if (options.grpc.empty() && options.http.empty())
    throw UsageError("nothing to serve on, give --grpc or --http an address");
  ServedModel served(std::move(engine), std::move(tokenizer), options.chat, options.scheduler);
  served.metrics.watch(options.gpu);
  Fronts fronts(options, stop);
  std::unique_ptr<GrpcServer> grpc;
  if (!options.grpc.empty()) {
    grpc = std::make_unique<GrpcServer>(served, parseAddress(options.grpc, "--grpc"));
    fronts.listening.grpc = grpc->address().text();
  }
  // Every request that the scheduler takes may hold a thread, and health checks still get one.
  int threads = served.engine->slots() + options.scheduler.queueBound + spareHttpThreads;
  fronts.listen(served, threads, addRoutes, addMetricsRoutes);
  fronts.wait(served.model().name);
  if (grpc)
    grpc->announceStop();
  drain(served, stop, options.drainLimit);
  // Fronts first: their calls point into the served.
  if (grpc)
    grpc->stop(flushLimit);
  fronts.stopListening();
  return 0;
}

int serveEncoder(Embed embed, ModelInfo model, std::shared_ptr<const Tokenizer> tokenizer,
                 const ServeOptions &options, const StopHandle &stop) {
  if (!options.grpc.empty())
    throw UsageError("--grpc: an encoder is served over HTTP (/v1/embeddings); give --http");
  if (options.http.empty())
    throw UsageError("nothing to serve on, give --http an address");
  ServedEncoder served(std::move(embed), std::move(model), std::move(tokenizer));
  served.metrics.watch(options.gpu);
  Fronts fronts(options, stop);
  fronts.listen(served, options.scheduler.queueBound + spareHttpThreads, addEncoderRoutes,
                addMetricsRoutes);
  fronts.wait(served.model.name);
  served.stopAdmission();
  fronts.stopListening(); // waits for the answers under way
  return 0;
}

} // namespace lmc
