// What a person sees of a training run: one line that is redrawn on a terminal, plain lines
// elsewhere.
#pragma once

#include "train/StepRecord.h"

#include <functional>
#include <ostream>
#include <string>
#include <string_view>

namespace lmc {

/// Where the lines go.
struct ProgressOutput {
  std::ostream *out = nullptr; ///< null: say nothing
  bool terminal = false;
  std::function<int()> columns; ///< width of the terminal now; asked at each redraw

  /// The stream that writes to file descriptor `descriptor`; a terminal where that is one.
  static ProgressOutput of(std::ostream &out, int descriptor);
};

/// Times are seconds of one steady clock. The terminal's line is redrawn ten times a second at
/// most; plain lines come every five seconds at most, beside the first and the last step.
class Progress {
public:
  Progress(ProgressOutput output, int64_t steps);
  /// Ends a redrawn line, so that what follows starts on its own.
  ~Progress();

  void step(const StepRecord &record, double now);
  /// A line of its own: an evaluation, a checkpoint, a notice.
  void line(std::string_view text);

private:
  std::string bar(const StepRecord &record, int columns) const;
  std::string timeLeft(const StepRecord &record) const;
  void erase();

  ProgressOutput output;
  int64_t steps;
  double smoothSeconds = 0; ///< of a step, moving average
  double lastDrawn = 0;
  bool any = false, drawn = false;
};

/// "16.2k", "1.50M": a rate or a count in few characters.
std::string shortNumber(double value);
/// "45s", "3m12s", "2h05m".
std::string shortDuration(double seconds);

} // namespace lmc
