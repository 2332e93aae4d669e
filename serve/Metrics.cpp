#include "serve/Metrics.h"

#include <prometheus/text_serializer.h>

namespace lmc {
namespace {

using namespace prometheus;

Histogram &histogram(Registry &registry, const char *name, const char *help,
                     const Histogram::BucketBoundaries &bounds) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

Gauge &gauge(Registry &registry, const char *name, const char *help) {
  return BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

const Histogram::BucketBoundaries requestSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
const Histogram::BucketBoundaries tokenSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};

} // namespace

Metrics::Metrics()
    : requests(BuildCounter()
                   .Name("lmc_requests_total")
                   .Help("Finished calls by method and status code")
                   .Register(registry)) {
  auto &byReason = BuildCounter()
                       .Name("lmc_request_failures_total")
                       .Help("Failed calls by reason")
                       .Register(registry);
  // All reasons exist from the start, so that a rate over them is never missing.
  for (size_t i = 0; i < failures.size(); ++i)
    failures[i] = &byReason.Add({{"reason", std::string(nameOf(static_cast<Reason>(i)))}});
  latency = &histogram(registry, "lmc_inference_latency_seconds",
                       "Arrival to the end of the answer", requestSeconds);
  toFirst = &histogram(registry, "lmc_time_to_first_token_seconds",
                       "Arrival to the first generated token", requestSeconds);
  between = &histogram(registry, "lmc_inter_token_latency_seconds",
                       "One generated token to the next of the same answer", tokenSeconds);
  generated = &BuildCounter()
                   .Name("lmc_generated_tokens_total")
                   .Help("Generated tokens")
                   .Register(registry)
                   .Add({});
  queue = &gauge(registry, "lmc_queue_depth", "Requests that wait for a slot");
  cache = &gauge(registry, "lmc_kv_cache_usage_ratio", "Cached tokens over the caches' capacity");
  arena = &gauge(registry, "lmc_arena_bytes", "Bytes of the memory plan that the engine has taken");
}

void Metrics::request(std::string_view method, std::string_view code) {
  requests.Add({{"method", std::string(method)}, {"code", std::string(code)}}).Increment();
}

std::string Metrics::text() const {
  std::vector<MetricFamily> families = registry.Collect();
  if (monitor)
    for (const GpuGauge &gauge : monitor->read()) {
      ClientMetric metric;
      metric.gauge.value = gauge.value;
      families.push_back({gauge.name, gauge.help, MetricType::Gauge, {metric}});
    }
  return TextSerializer().Serialize(families);
}

} // namespace lmc
