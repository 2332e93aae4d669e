// `lmc serve`: both fronts on their addresses, from ready to drained.
#pragma once

#include "serve/Address.h"
#include "serve/EncoderRoutes.h"
#include "serve/Engine.h"
#include "serve/Scheduler.h"

#include "frontend/chat/ChatTemplate.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/GpuMonitor.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace lmc {

/// An address is host:port (port 0 picks one) or, for gRPC, unix:PATH; empty leaves that front out.
struct ServeOptions {
  std::string grpc;
  std::string http;
  std::string metrics; ///< /metrics alone, for scrapers that must not reach the model
  std::shared_ptr<const ChatTemplate> chat; ///< null: chat requests are refused
  std::shared_ptr<const GpuMonitor> gpu;    ///< null: /metrics tells of no GPU
  SchedulerOptions scheduler;
  std::chrono::milliseconds drainLimit{
      30'000}; ///< after SIGTERM; what still runs then is cut short

  /// The addresses in use (ports that were picked included), empty where left out.
  struct Listening {
    std::string grpc, http, metrics;
  };
  std::function<void(const Listening &)> onReady = {}; ///< default: one line on standard output
};

/// Stops a server from another thread, as SIGTERM does. May outlive it and be used before it
/// starts.
class StopHandle {
public:
  StopHandle();
  /// Drains; called once more, cuts what still runs.
  void stop() const;
  int descriptor() const { return *event; } ///< an eventfd: how often stop was called

private:
  std::shared_ptr<int> event;
};

/// Serves until SIGTERM, SIGINT or `stop`, then drains: new requests are refused, running ones end
/// (a second signal cuts them short). Returns 0, or throws Error where it cannot start (UsageError
/// for an address that is none). One call at a time in a process.
int serve(std::shared_ptr<Engine> engine, std::shared_ptr<const Tokenizer> tokenizer,
          const ServeOptions &options, const StopHandle &stop = {});

/// The same of an encoder, over HTTP alone (UsageError for options.grpc): texts to vectors, one after the
/// other. model.context: the most tokens of a text.
int serveEncoder(Embed embed, ModelInfo model, std::shared_ptr<const Tokenizer> tokenizer,
                 const ServeOptions &options, const StopHandle &stop = {});

} // namespace lmc
