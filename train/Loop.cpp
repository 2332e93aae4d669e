#include "train/Loop.h"

#include "runtime/Error.h"
#include "train/Checkpoint.h"
#include "train/JsonLog.h"
#include "train/Metrics.h"
#include "train/StopSignal.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>

namespace lmc {
namespace {

namespace fs = std::filesystem;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class TrainingRun {
public:
  TrainingRun(const TrainConfig &config, const TrainInputs &inputs, const TrainHooks &hooks);
  TrainResult run();

private:
  void restore(const fs::path &checkpoint);
  void step();
  void readStep();
  [[noreturn]] void failNonFinite(const StepResult &result);
  void evaluate();
  void save();
  void summarize();

  const TrainConfig &config;
  TrainInputs inputs;
  const TrainHooks &hooks;
  StopSignal stop;
  std::unique_ptr<TrainingMetrics> metrics; // bound before anything is written
  CheckpointStore store;
  std::optional<JsonLog> log;
  Progress progress;
  TrainState state;
  int64_t firstStep = 0, savedStep = -1;
  double started = now();
  std::vector<int32_t> tokens, targets; // [A, B, T]
  TrainResult result;
};

TrainingRun::TrainingRun(const TrainConfig &c, const TrainInputs &in, const TrainHooks &h)
    : config(c), inputs(in), hooks(h),
      metrics(c.metrics.listen.empty() ? nullptr
                                       : std::make_unique<TrainingMetrics>(
                                             c.metrics.listen, in.model.arenaBytes(), h.gpu)),
      store(c.checkpoint.directory, c.checkpoint.keep), progress(h.progress, c.steps) {
  state.seed = config.seed;
  std::optional<fs::path> latest = store.latest();
  if (latest && !hooks.resume)
    fail(
        "'{}' already holds checkpoints (the latest is {}): go on with --resume, or choose another "
        "checkpoint.dir",
        config.checkpoint.directory.string(), latest->filename().string());
  if (latest) {
    restore(*latest);
  } else if (hooks.resume) {
    progress.line(fmt::format("no checkpoint in {} yet: starting from step 0",
                              config.checkpoint.directory.string()));
  }
  firstStep = state.step;
  log.emplace(hooks.resume ? JsonLog::resume(config.log.jsonl, state.step)
                           : JsonLog::create(config.log.jsonl));
  if (!log->olderLog().empty())
    progress.line(fmt::format("the log of an earlier run is now {}", log->olderLog().string()));
  auto perStep = static_cast<size_t>(config.batch.tokensPerStep());
  tokens.resize(perStep);
  targets.resize(perStep);
}

/// The state of a checkpoint, and what changed in the config since then.
void TrainingRun::restore(const fs::path &checkpoint) {
  state = restoreCheckpoint(store, checkpoint, inputs.model);
  savedStep = state.step;
  result.checkpoint = checkpoint;
  for (const ConfigChange &change : changesSince(checkpoint / "train.yaml", config)) {
    // The position in the data has no meaning when batches are cut or ordered differently.
    for (std::string_view key : {"seed", "data.order", "batch.sequences", "batch.length"})
      if (change.key == key)
        fail("cannot resume '{}' with another {}: it was {}, now it is {}; set it back, or begin "
             "again in another checkpoint.dir",
             checkpoint.string(), key, change.before, change.now);
    progress.line(fmt::format("{} is now {}, it was {} until step {}", change.key, change.now,
                              change.before, state.step));
  }
  inputs.data.seek(state.dataPosition);
  progress.line(fmt::format("resumed {} at step {}", checkpoint.string(), state.step));
}

TrainResult TrainingRun::run() {
  while (state.step < config.steps && !stop.received())
    step();
  if (state.step != savedStep)
    save();
  result.step = state.step;
  result.tokens = state.tokens;
  result.seconds = now() - started;
  result.stopSignal = state.step < config.steps ? stop.received() : 0;
  summarize();
  return result;
}

void TrainingRun::step() {
  double begin = now();
  readStep();
  StepResult taken = inputs.model.step(tokens, targets);
  if (!std::isfinite(taken.loss) || !std::isfinite(taken.gradNorm))
    failNonFinite(taken);
  double end = now();
  state.step += 1;
  state.tokens += config.batch.tokensPerStep();
  result.loss = taken.loss;

  double seconds = end - begin;
  double rate = static_cast<double>(config.batch.tokensPerStep()) / std::max(seconds, 1e-9);
  StepRecord record{state.step,   taken.loss, taken.gradNorm, taken.learningRate,
                    state.tokens, rate,       seconds};
  bool last = state.step == config.steps;
  if (last || state.step % config.log.every == 0)
    log->write(record);
  if (metrics)
    metrics->update(record);
  progress.step(record, end);
  if (hooks.afterStep)
    hooks.afterStep(record);
  if (inputs.validation && config.eval.every > 0 && (last || state.step % config.eval.every == 0))
    evaluate();
  if (config.checkpoint.every > 0 && state.step % config.checkpoint.every == 0)
    save();
}

/// A x [B, T] ids and targets.
void TrainingRun::readStep() {
  auto count = static_cast<size_t>(config.batch.tokensPerMicroBatch());
  for (size_t at = 0; at < tokens.size(); at += count) {
    Batch batch = inputs.data.next();
    assert(batch.tokens.size() == count && batch.targets.size() == count);
    std::copy(batch.tokens.begin(), batch.tokens.end(),
              tokens.begin() + static_cast<ptrdiff_t>(at));
    std::copy(batch.targets.begin(), batch.targets.end(),
              targets.begin() + static_cast<ptrdiff_t>(at));
  }
}

void TrainingRun::failNonFinite(const StepResult &taken) {
  std::optional<NonFinite> first = inputs.model.findNonFinite(tokens, targets);
  std::string where =
      first ? fmt::format("{} at '{}' is the first op with such a result", first->op, first->path)
            : "no op gave such a result when the step was repeated";
  std::string kept = result.checkpoint.empty()
                         ? "no checkpoint was written yet"
                         : fmt::format("the last checkpoint is '{}'", result.checkpoint.string());
  fail(
      "step {}: loss is {}, gradient norm is {}: {}; try a lower optimizer.lr, a longer warm-up or "
      "a smaller optimizer.grad_clip; {}",
      state.step + 1, taken.loss, taken.gradNorm, where, kept);
}

/// The same batches each time, so that the values can be compared.
void TrainingRun::evaluate() {
  int64_t count = std::min(config.eval.batches, inputs.validation->batchesPerEpoch());
  double sum = 0;
  for (int64_t position = 0; position < count; ++position) {
    Batch batch = inputs.validation->read(position);
    sum += double{inputs.model.evaluate(batch.tokens, batch.targets)};
  }
  auto loss = static_cast<float>(sum / static_cast<double>(count));
  if (!std::isfinite(loss))
    fail("evaluation at step {}: the loss is {}", state.step, loss);
  result.valLoss = loss;
  state.evaluations.push_back({state.step, loss});
  log->writeEvaluation(state.step, loss);
  progress.line(fmt::format("step {}/{}  val_loss {:.4f}", state.step, config.steps, loss));
}

void TrainingRun::save() {
  state.dataPosition = inputs.data.position();
  result.checkpoint =
      saveCheckpoint(store, inputs.model, state,
                     {inputs.configJson, inputs.tokenizerJson, inputs.tokenizerConfigJson,
                      resolvedYaml(config), config.sourcePath});
  savedStep = state.step;
}

void TrainingRun::summarize() {
  if (result.stopSignal)
    progress.line(fmt::format("stopped by {} at step {} of {}; go on with --resume",
                              result.stopSignal == SIGINT ? "SIGINT" : "SIGTERM", state.step,
                              config.steps));
  int64_t steps = state.step - firstStep;
  double trained = static_cast<double>(steps * config.batch.tokensPerStep());
  std::string text = fmt::format("trained {} steps, {} tokens, in {} ({} tokens/s)", steps,
                                 shortNumber(trained), shortDuration(result.seconds),
                                 shortNumber(trained / std::max(result.seconds, 1e-9)));
  if (result.loss)
    text += fmt::format("; loss {:.4f}", *result.loss);
  if (result.valLoss)
    text += fmt::format(", val_loss {:.4f}", *result.valLoss);
  progress.line(fmt::format("{}; checkpoint {}", text, result.checkpoint.string()));
}

} // namespace

TrainResult train(const TrainConfig &config, const TrainInputs &inputs, const TrainHooks &hooks) {
  return TrainingRun(config, inputs, hooks).run();
}

} // namespace lmc
