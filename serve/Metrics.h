// The server's Prometheus metrics, counted by both fronts and the scheduler.
#pragma once

#include "runtime/GpuMonitor.h"
#include "serve/Failure.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lmc {

using Seconds = std::chrono::duration<double>;

class Metrics {
public:
  Metrics();

  /// One finished call. method: "Generate" or "/v1/completions"; code: "OK" or "200". Both come
  /// from short fixed lists, never from a client's text.
  void request(std::string_view method, std::string_view code);
  void failure(Reason reason) { failures[static_cast<size_t>(reason)]->Increment(); }
  void firstToken(Seconds sinceArrival) { toFirst->Observe(sinceArrival.count()); }
  void nextToken(Seconds sincePrevious) { between->Observe(sincePrevious.count()); }
  void generation(Seconds sinceArrival) { latency->Observe(sinceArrival.count()); }
  void generatedTokens(size_t count) { generated->Increment(static_cast<double>(count)); }
  void queueDepth(size_t requests) { queue->Set(static_cast<double>(requests)); }
  void cacheUsage(double ratio) { cache->Set(ratio); }
  void arenaBytes(uint64_t bytes) { arena->Set(static_cast<double>(bytes)); }

  /// Adds the GPU's gauges to the text, read anew each time. Before anybody asks for it.
  void watch(std::shared_ptr<const GpuMonitor> gpu) { monitor = std::move(gpu); }

  /// Prometheus' text format, version 0.0.4.
  std::string text() const;
  static constexpr const char *contentType = "text/plain; version=0.0.4; charset=utf-8";

private:
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter> &requests;
  std::array<prometheus::Counter *, static_cast<size_t>(Reason::Draining) + 1> failures;
  prometheus::Histogram *latency, *toFirst, *between;
  prometheus::Counter *generated;
  prometheus::Gauge *queue, *cache, *arena;
  std::shared_ptr<const GpuMonitor> monitor;
};

} // namespace lmc
