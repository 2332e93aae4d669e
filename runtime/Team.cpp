#include "runtime/Team.h"

#include "runtime/Error.h"
#include "runtime/Knobs.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

namespace lmc {

namespace {

constexpr int kMostThreads = 1024;

int availableCores() {
  cpu_set_t set;
  // Fails on machines with more processors than the set holds.
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory"); // `yield` does nothing on most cores
#endif
}

} // namespace

int resolveThreads(int requested) {
  if (requested > kMostThreads)
    fail("{} threads are too many, at most {} are supported", requested, kMostThreads);
  if (requested > 0)
    return requested;
  if (auto chosen = knobs::threads())
    return *chosen;
  return std::min(availableCores(), kMostThreads);
}

Team::Team(int threadCount)
    : numWorkers(std::max(1, threadCount)),
      // With more workers than cores the one waited for may need this very core.
      spins(numWorkers <= availableCores() ? 200 : 0) {
  try {
    for (int worker = 1; worker < numWorkers; ++worker)
      threads.emplace_back([this, worker] { serve(worker); });
  } catch (const std::system_error &error) {
    size_t started = threads.size() + 1;
    stop();
    fail("cannot start worker thread {} of {}: {}", started, numWorkers, error.code().message());
  }
}

Team::~Team() { stop(); }

void Team::stop() {
  stopping = true;
  jobs.fetch_add(1, std::memory_order_release);
  jobs.notify_all();
  for (std::thread &thread : threads)
    thread.join();
  threads.clear();
}

void Team::waitWhile(std::atomic<uint32_t> &word, uint32_t value) const {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != value)
      return;
    pause();
  }
  while (word.load(std::memory_order_acquire) == value)
    word.wait(value, std::memory_order_acquire);
}

void Team::start(Call job, void *argument) {
  if (numWorkers > 1) {
    call = job;
    self = argument;
    jobs.fetch_add(1, std::memory_order_release);
    jobs.notify_all(); // a system call only if somebody sleeps
  }
  job(argument, 0);
  if (numWorkers > 1)
    meet();
}

void Team::serve(int worker) {
  for (uint32_t seen = 0;; ++seen) {
    waitWhile(jobs, seen);
    if (stopping)
      return;
    call(self, worker);
    meet();
  }
}

void Team::meet() {
  // Read before arriving: afterwards the last one may already have moved it on.
  uint32_t current = meetings.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < numWorkers) {
    waitWhile(meetings, current);
    return;
  }
  arrived.store(0, std::memory_order_relaxed);
  meetings.fetch_add(1, std::memory_order_release);
  meetings.notify_all();
}

} // namespace lmc
