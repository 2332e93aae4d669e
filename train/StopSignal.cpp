#include "train/StopSignal.h"

#include <atomic>
#include <unistd.h>

namespace lmc {
namespace {

std::atomic<int> latest = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

void note(int signal) {
  if (latest.exchange(signal) != 0)
    _exit(128 + signal);
}

} // namespace

StopSignal::StopSignal() {
  latest = 0;
  struct sigaction action{};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART; // system calls go on
  sigaction(SIGTERM, &action, &olderTerminate);
  sigaction(SIGINT, &action, &olderInterrupt);
}

StopSignal::~StopSignal() {
  sigaction(SIGTERM, &olderTerminate, nullptr);
  sigaction(SIGINT, &olderInterrupt, nullptr);
}

int StopSignal::received() const { return latest; }

} // namespace lmc
