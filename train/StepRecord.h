// What one training step tells the log, the progress line and the metrics.
#pragma once

#include <cstdint>

namespace lmc {

struct StepRecord {
  int64_t step = 0;
  float loss = 0, gradNorm = 0, learningRate = 0;
  int64_t tokens = 0; ///< trained on since step 1
  double tokensPerSecond = 0;
  double seconds = 0; ///< of this step: its data and its computation
};

} // namespace lmc
