#include "train/Schedule.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace lmc {

int64_t Schedule::lastStableStep() const {
  int64_t decay = decaySteps > 0 ? decaySteps : std::max<int64_t>(1, steps / 5);
  return std::max(warmupSteps, steps - decay);
}

double Schedule::at(int64_t step) const {
  assert(step >= 1 && "steps are numbered from 1");
  if (step <= warmupSteps)
    return peak * static_cast<double>(step) / static_cast<double>(warmupSteps);

  // Share of the way from step `from` (the full rate) to the last step (the minimum).
  auto progress = [&](int64_t from) {
    if (step >= steps)
      return 1.0;
    return std::max(0.0, static_cast<double>(step - from) / static_cast<double>(steps - from));
  };
  switch (kind) {
  case ScheduleKind::Constant:
    return peak;
  case ScheduleKind::Cosine:
    return minimum +
           (peak - minimum) * (1 + std::cos(std::numbers::pi * progress(warmupSteps))) / 2;
  case ScheduleKind::Linear:
    return peak + (minimum - peak) * progress(warmupSteps);
  case ScheduleKind::Wsd:
    return peak + (minimum - peak) * progress(lastStableStep());
  }
  assert(false && "unknown schedule");
  return peak;
}

} // namespace lmc
