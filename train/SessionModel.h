// A TrainableModel on a compiled training executable: programs train_step, or accumulate and apply,
// and eval.
#pragma once

#include "train/TrainableModel.h"

#include <memory>

namespace lmc {

class SessionModel : public TrainableModel {
public:
  /// microBatches: A, as the executable was compiled. seed: of dropout. Parameters start as zeros.
  SessionModel(std::shared_ptr<const Executable> executable, int64_t microBatches, int threads,
               uint64_t seed);

  std::vector<ParameterInfo> parameters() const override;
  std::span<float> state(std::string_view name) override;
  int64_t step() const override;
  void setStep(int64_t step) override;
  StepResult step(std::span<const int32_t> tokens, std::span<const int32_t> targets) override;
  float evaluate(std::span<const int32_t> tokens, std::span<const int32_t> targets) override;
  std::optional<NonFinite> findNonFinite(std::span<const int32_t> tokens,
                                         std::span<const int32_t> targets) override;
  uint64_t arenaBytes() const override { return session.arenaBytes(); }
  std::vector<LedgerRow> ledger() const override;

  Session &runtime() { return session; }

private:
  /// Loads micro-batch `microBatch` of those that a step has, as every program reads it.
  void load(std::span<const int32_t> tokens, std::span<const int32_t> targets, int64_t microBatch);
  /// Micro-batches of all steps before this one; 0 where the programs draw no random bits.
  int64_t microBatchesBefore() const;
  /// Sets what they are drawn from, where they are: the seed and the micro-batch's number `number`
  /// among those of all steps, so that a step that is repeated or resumed draws the same.
  void seedRandom(int64_t number);

  std::shared_ptr<const Executable> executable;
  int64_t microBatches;
  uint64_t seed;
  bool drawsBits; ///< the programs have the inputs random.key0, random.key1 and random.step
  mutable Session session;
};

} // namespace lmc
