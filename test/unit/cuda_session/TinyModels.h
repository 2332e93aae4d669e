// Small models on the emulated driver, beside the same programs on this processor.
#pragma once

#include "codegen/Compiler.h"
#include "frontend/Weights.h"
#include "frontend/checkpoint/TensorType.h"
#include "frontend/models/Programs.h"
#include "runtime/CublasLt.h"
#include "runtime/Session.h"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace lmc::test {

/// Two layers of width 24.
ModelConfig tiny(Architecture architecture);

struct Built {
  ModelConfig config;
  ProgramOptions programs;
  bool bf16 = false;
  const CublasLt *library = nullptr;   ///< computes products of the GPU
  TensorType blocks = TensorType::F32; ///< of all matrices, quantised or not
  std::optional<SplitAttentionOptions> splitAttention = std::nullopt; ///< on the GPU
  int64_t accumulate = 1;                                             ///< micro-batches a step
  int64_t parameterBytes =
      PipelineOptions().parameterBytes; ///< of the GPU's launches; 0: none is joined
};

/// The model compiled for one of the targets; all parameters initialised alike, those of one
/// dimension to something other than zeros and ones.
std::shared_ptr<const Executable> compile(const Built &built, bool gpu);
/// Two threads, two slots.
std::unique_ptr<Session> session(const Built &built, bool gpu);
std::unique_ptr<Session> session(std::shared_ptr<const Executable> executable,
                                 const CublasLt *library);

void fillIds(Session &to, const std::string &name, int64_t vocab, int seed);

double relative(double a, double b);
/// Largest difference over the largest value.
double relative(std::span<const float> got, std::span<const float> expected);

/// Three training steps of 3 x 11 tokens: losses, gradient norms and moments.
void compareTraining(const Built &built, double tolerance, const Dropout &dropout = {});

/// Ten tokens after a prompt that begins at position past[slot], in both slots; what lies before is zeros.
void compareTokens(Built built, const std::array<int, 2> &past = {0, 0});

} // namespace lmc::test
