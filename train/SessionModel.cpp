#include "train/SessionModel.h"

#include <algorithm>
#include <cassert>

namespace lmc {

SessionModel::SessionModel(std::shared_ptr<const Executable> executable, int64_t microBatches,
                           int threads, uint64_t seed)
    : executable(executable), microBatches(microBatches), seed(seed),
      drawsBits(executable->findTensor("random.step") >= 0), session(executable, {threads, 1}) {}

std::vector<ParameterInfo> SessionModel::parameters() const {
  std::vector<ParameterInfo> result;
  for (const auto &tensor : executable->message().tensors())
    if (tensor.role() == executable::PARAMETER)
      result.push_back({tensor.name(), {tensor.shape().begin(), tensor.shape().end()}});
  return result;
}

std::span<float> SessionModel::state(std::string_view name) { return session.f32(name); }

int64_t SessionModel::step() const { return session.i32("step")[0]; }
void SessionModel::setStep(int64_t step) { session.i32("step")[0] = static_cast<int32_t>(step); }

void SessionModel::load(std::span<const int32_t> tokens, std::span<const int32_t> targets,
                        int64_t microBatch) {
  std::span<int32_t> to = session.i32("tokens"), toTargets = session.i32("targets");
  assert(tokens.size() >= to.size() * (microBatch + 1) && targets.size() == tokens.size());
  std::ranges::copy(tokens.subspan(microBatch * to.size(), to.size()), to.begin());
  std::ranges::copy(targets.subspan(microBatch * to.size(), to.size()), toTargets.begin());
}

int64_t SessionModel::microBatchesBefore() const {
  // Once a step, and only where it is needed: who reads the step waits for the GPU.
  return drawsBits ? step() * microBatches : 0;
}

void SessionModel::seedRandom(int64_t number) {
  if (!drawsBits)
    return;
  session.i32("random.key0")[0] = static_cast<int32_t>(seed);
  session.i32("random.key1")[0] = static_cast<int32_t>(seed >> 32);
  session.i32("random.step")[0] = static_cast<int32_t>(number);
}

StepResult SessionModel::step(std::span<const int32_t> tokens, std::span<const int32_t> targets) {
  const int64_t before = microBatchesBefore();
  if (microBatches == 1) {
    load(tokens, targets, 0);
    seedRandom(before);
    session.run("train_step");
  } else {
    for (int64_t i = 0; i < microBatches; ++i) {
      load(tokens, targets, i);
      seedRandom(before + i);
      session.run("accumulate");
    }
    session.run("apply");
  }
  return {session.f32("loss")[0], session.f32("grad_norm")[0], session.f32("lr")[0]};
}

float SessionModel::evaluate(std::span<const int32_t> tokens, std::span<const int32_t> targets) {
  load(tokens, targets, 0);
  session.run("eval");
  return session.f32("loss")[0];
}

std::optional<NonFinite> SessionModel::findNonFinite(std::span<const int32_t> tokens,
                                                     std::span<const int32_t> targets) {
  // The refused step left the state as it was, and runChecked stops before the update unless the
  // update is where it happens; then its selects keep the old values.
  const int64_t before = microBatchesBefore();
  if (microBatches == 1) {
    load(tokens, targets, 0);
    seedRandom(before);
    return session.runChecked("train_step");
  }
  std::optional<NonFinite> found;
  for (int64_t i = 0; i < microBatches && !found; ++i) {
    load(tokens, targets, i);
    seedRandom(before + i);
    found = session.runChecked("accumulate");
  }
  if (!found)
    found = session.runChecked("apply");
  // The sums of a step that was cut short must not leak into the next one.
  for (const auto &tensor : executable->message().tensors())
    if (tensor.role() == executable::GRADIENT || tensor.name() == "loss_sum")
      std::ranges::fill(session.f32(tensor.name()), 0.0f);
  return found;
}

std::vector<LedgerRow> SessionModel::ledger() const {
  return memoryLedger(*executable, session.threads(), 1);
}

} // namespace lmc
