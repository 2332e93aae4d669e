// The learning rate as a function of the step: the definition that the compiled graph implements
// and the tests compare it with.
#pragma once

#include <cstdint>

namespace lmc {

enum class ScheduleKind { Cosine, Linear, Constant, Wsd };

/// Steps are numbered s = 1 .. S (S = steps). With w = warmupSteps, L = peak, m = minimum:
///
///   s <= w            L * s / w                                      every kind (w = 0: no
///   warm-up) constant          L cosine            m + (L - m) * (1 + cos(pi * t)) / 2 t = min(1,
///   (s - w) / (S - w)) linear            L + (m - L) * t                                t as above
///   wsd               L while s <= d, then L + (m - L) * u           u = min(1, (s - d) / (S - d))
///
/// where d = max(w, S - decaySteps) is the last stable step of wsd (warm-up, stable, decay), and
/// decaySteps = 0 stands for a fifth of the steps (rounded down, at least 1).
/// So step w has the full rate, step S the minimum, and later steps stay there. The constant kind
/// ignores the minimum.
struct Schedule {
  ScheduleKind kind = ScheduleKind::Constant;
  double peak = 3e-4;
  double minimum = 0;
  int64_t steps = 0;
  int64_t warmupSteps = 0;
  int64_t decaySteps = 0;

  /// The rate of step s >= 1.
  double at(int64_t step) const;

  /// d of the formula above: the last step of wsd at the full rate.
  int64_t lastStableStep() const;
};

} // namespace lmc
