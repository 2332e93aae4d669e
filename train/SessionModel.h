// A TrainableModel on a compiled training executable: programs train_step, or accumulate and apply,
// and eval.
#pragma once

#include "train/TrainableModel.h"

#include <memory>

namespace lmc {

class SessionModel : public TrainableModel {
public:
  /// microBatches: A, as the executable was compiled. Parameters start as zeros.
  SessionModel(std::shared_ptr<const Executable> executable, int64_t microBatches, int threads);

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
  void load(std::span<const int32_t> tokens, std::span<const int32_t> targets, int64_t microBatch);

  std::shared_ptr<const Executable> executable;
  int64_t microBatches;
  mutable Session session;
};

} // namespace lmc
