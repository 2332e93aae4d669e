// SIGTERM and SIGINT as a request to save and stop.
#pragma once

#include <csignal>

namespace lmc {

/// While it lives, the first SIGTERM or SIGINT is noted, and a second one ends the process at once.
/// One at a time; the handlers of before return with its end.
class StopSignal {
public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal &) = delete;
  StopSignal &operator=(const StopSignal &) = delete;

  /// The signal that came, or 0.
  int received() const;

private:
  struct sigaction olderTerminate, olderInterrupt;
};

} // namespace lmc
