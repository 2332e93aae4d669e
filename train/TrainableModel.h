// What the training loop needs of a compiled model. A Session with a training program implements it
// (tools); tests implement it with a few lines of arithmetic.
#pragma once

#include "runtime/Session.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

/// A trained tensor by its checkpoint name, such as "transformer.wte.weight"; row-major f32.
struct ParameterInfo {
  std::string name;
  std::vector<int64_t> shape;
};

struct StepResult {
  float loss = 0;         ///< mean cross-entropy over the tokens of all micro-batches, nats
  float gradNorm = 0;     ///< of the whole gradient, before clipping
  float learningRate = 0; ///< what this step used
};

/// Batches are A micro-batches of [B, T] ids one after the other for step(), one [B, T] for
/// evaluate(); targets have the layout of the tokens. Ids are within the model's vocabulary: the
/// caller checks. Equal states and batches give equal bits.
class TrainableModel {
public:
  virtual ~TrainableModel() = default;

  /// The trained tensors, each once (a tied head is its embedding).
  virtual std::vector<ParameterInfo> parameters() const = 0;

  /// The values of a parameter by its name, or its moments as "adamw.m.<name>" and
  /// "adamw.v.<name>"; same shape, readable and writable between steps. The step number, the
  /// parameters and the two moments are the whole state: restoring them continues to the bit.
  virtual std::span<float> state(std::string_view name) = 0;

  /// Steps taken so far; the next step() is number step() + 1 (schedule and bias correction).
  virtual int64_t step() const = 0;
  virtual void setStep(int64_t step) = 0;

  /// One optimizer step. Where loss or gradient norm is not finite the state stays as it was.
  virtual StepResult step(std::span<const int32_t> tokens, std::span<const int32_t> targets) = 0;

  /// Mean loss of one batch with the present parameters; changes nothing.
  virtual float evaluate(std::span<const int32_t> tokens, std::span<const int32_t> targets) = 0;

  /// Replays step() on the batch it refused, launch by launch: the first op whose output is not
  /// finite. The state stays as it was.
  virtual std::optional<NonFinite> findNonFinite(std::span<const int32_t> tokens,
                                                 std::span<const int32_t> targets) = 0;

  virtual uint64_t arenaBytes() const = 0;
  /// Rows that add up to the memory of training (`--plan`).
  virtual std::vector<LedgerRow> ledger() const = 0;
};

} // namespace lmc
