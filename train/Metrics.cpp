#include "train/Metrics.h"

#include "runtime/Error.h"

#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace lmc {
namespace {

std::unique_ptr<prometheus::Exposer> bind(const std::string &listen) {
  // civetweb reports every failure to listen in the same words, so the likely reason is ours.
  try {
    return std::make_unique<prometheus::Exposer>(listen);
  } catch (const std::exception &) {
    fail(
        "metrics.listen: cannot listen on '{}'; is the address one of this machine's, and the port "
        "free and allowed? choose another, or leave metrics.listen out",
        listen);
  }
}

prometheus::Gauge &gauge(prometheus::Registry &registry, const char *name, const char *help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

/// What the GPU says at the moment of a scrape.
class GpuGauges final : public prometheus::Collectable {
public:
  explicit GpuGauges(std::shared_ptr<const GpuMonitor> monitor) : monitor(std::move(monitor)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    for (const GpuGauge &gauge : monitor->read()) {
      prometheus::ClientMetric metric;
      metric.gauge.value = gauge.value;
      families.push_back({gauge.name, gauge.help, prometheus::MetricType::Gauge, {metric}});
    }
    return families;
  }

private:
  std::shared_ptr<const GpuMonitor> monitor;
};

} // namespace

struct TrainingMetrics::Impl {
  Impl(const std::string &listen, std::shared_ptr<const GpuMonitor> monitor)
      : loss(gauge(*registry, "lmc_training_loss", "Mean loss of the latest step, nats a token")),
        gradNorm(gauge(*registry, "lmc_grad_norm", "Norm of the gradient before clipping")),
        learningRate(gauge(*registry, "lmc_learning_rate", "Learning rate of the latest step")),
        tokensPerSecond(gauge(*registry, "lmc_tokens_per_second", "Tokens trained on a second")),
        step(gauge(*registry, "lmc_training_step", "Optimizer steps taken")),
        arena(gauge(*registry, "lmc_arena_bytes", "Bytes of the arena that the plan took")),
        duration(prometheus::BuildHistogram()
                     .Name("lmc_step_duration_seconds")
                     .Help("Duration of a step")
                     .Register(*registry)
                     .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01,
                                                                      0.025, 0.05, 0.1, 0.25, 0.5,
                                                                      1, 2.5, 5, 10, 25, 50, 100})),
        gpu(monitor ? std::make_shared<GpuGauges>(std::move(monitor)) : nullptr),
        exposer(bind(listen)) {
    exposer->RegisterCollectable(registry);
    if (gpu)
      exposer->RegisterCollectable(gpu);
  }

  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  prometheus::Gauge &loss, &gradNorm, &learningRate, &tokensPerSecond, &step, &arena;
  prometheus::Histogram &duration;
  std::shared_ptr<GpuGauges> gpu; // null: none to tell of; the exposer holds it weakly
  std::unique_ptr<prometheus::Exposer> exposer;
};

TrainingMetrics::TrainingMetrics(const std::string &listen, uint64_t arenaBytes,
                                 std::shared_ptr<const GpuMonitor> gpu)
    : impl(std::make_unique<Impl>(listen, std::move(gpu))) {
  impl->arena.Set(static_cast<double>(arenaBytes));
}

TrainingMetrics::~TrainingMetrics() = default;

void TrainingMetrics::update(const StepRecord &record) {
  impl->loss.Set(double{record.loss});
  impl->gradNorm.Set(double{record.gradNorm});
  impl->learningRate.Set(double{record.learningRate});
  impl->tokensPerSecond.Set(record.tokensPerSecond);
  impl->step.Set(static_cast<double>(record.step));
  impl->duration.Observe(record.seconds);
}

int TrainingMetrics::port() const { return impl->exposer->GetListeningPorts().at(0); }

} // namespace lmc
