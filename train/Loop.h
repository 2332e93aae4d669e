// The training run: steps, evaluation, logs, checkpoints, resume, stop. `lmc train` builds the
// model and the data, and calls train().
#pragma once

#include "frontend/data/BatchLoader.h"
#include "runtime/GpuMonitor.h"
#include "train/Config.h"
#include "train/Progress.h"
#include "train/TrainableModel.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lmc {

struct TrainInputs {
  TrainableModel &model;                   ///< with its first weights, at step 0
  BatchLoader &data;                       ///< of config.trainBatches(), at position 0
  const BatchSource *validation = nullptr; ///< of config.validationBatches(); null: no evaluation
  std::string configJson;                  ///< for the checkpoint
  std::string tokenizerJson;               ///< for the checkpoint; may be empty
  std::string tokenizerConfigJson;         ///< BOS and EOS, as tokenizer_config.json says them
};

struct TrainHooks {
  bool resume = false; ///< go on from the latest checkpoint; from the start where there is none
  ProgressOutput progress;
  std::shared_ptr<const GpuMonitor> gpu;             ///< null: metrics tell of no GPU
  std::function<void(const StepRecord &)> afterStep; ///< may be empty; called before a checkpoint
};

struct TrainResult {
  int64_t step = 0; ///< steps taken in all
  int64_t tokens = 0;
  double seconds = 0;                 ///< of this process, with evaluations and checkpoints
  std::optional<float> loss, valLoss; ///< the latest of this process
  std::filesystem::path checkpoint;   ///< the latest
  int stopSignal = 0;                 ///< SIGTERM or SIGINT if one ended the run early
};

/// Trains up to config.steps and leaves a checkpoint. SIGTERM or SIGINT ends the step, saves and
/// returns; a second one ends the process. Throws Error where loss or gradient norm is not finite
/// (with step, op and model path), for a full disk, a damaged checkpoint, a resumed config that
/// reads other batches, a metrics address that cannot be bound, and for checkpoints of another run
/// in checkpoint.dir without `resume`. Checkpoints already written stay as they are.
TrainResult train(const TrainConfig &config, const TrainInputs &inputs, const TrainHooks &hooks);

} // namespace lmc
