// The Prometheus endpoint of a training run.
#pragma once

#include "runtime/GpuMonitor.h"
#include "train/StepRecord.h"

#include <memory>
#include <string>

namespace lmc {

/// Serves http://<listen>/metrics with lmc_training_loss, lmc_grad_norm, lmc_learning_rate,
/// lmc_tokens_per_second, lmc_training_step, lmc_step_duration_seconds (a histogram) and
/// lmc_arena_bytes, from its own threads; and with what the GPU says when it is asked (GpuMonitor.h).
class TrainingMetrics {
public:
  /// listen: host:port; port 0 takes a free one. Throws Error where it cannot be bound.
  /// gpu: null where there is none to tell of.
  TrainingMetrics(const std::string &listen, uint64_t arenaBytes,
                  std::shared_ptr<const GpuMonitor> gpu = nullptr);
  ~TrainingMetrics();

  void update(const StepRecord &record);
  int port() const; ///< the one that was bound

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace lmc
