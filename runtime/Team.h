// The one team of CPU workers: threads that live as long as the session and sleep when there is
// nothing to do. How they share the work of a program: Walk.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace lmc {

/// `requested` if positive, else LMC_THREADS, else the cores this process may use. Throws Error
/// when more than 1024 are asked for.
int resolveThreads(int requested);

/// Worker 0 is the calling thread. One caller at a time; jobs must not throw and must not call
/// parallel() themselves. It does not allocate; workers that met less than some ten
/// microseconds ago are still spinning and need no system call, others sleep in the kernel, so that
/// a busy foreign process costs its share of the machine and no more.
class Team {
public:
  explicit Team(int threads);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  int size() const { return numWorkers; }

  /// Calls job(int worker) once on every worker; returns when all have returned.
  template <typename Job> void parallel(Job &&job) {
    using Plain = std::remove_reference_t<Job>;
    start([](void *self, int worker) noexcept { (*static_cast<Plain *>(self))(worker); },
          const_cast<void *>(static_cast<const void *>(&job)));
  }

  /// Within a job: returns when `word` is not `value`; looks for some ten microseconds, then sleeps
  /// until whoever changes it notifies.
  void waitWhile(std::atomic<uint32_t> &word, uint32_t value) const;

private:
  using Call = void (*)(void *, int) noexcept;
  void start(Call job, void *argument);
  void stop();
  void serve(int worker);
  void meet();

  int numWorkers;
  int spins; // how often to look before sleeping
  Call call = nullptr;
  void *self = nullptr;
  bool stopping = false;

  // Each on its own cache line: they are written by all.
  alignas(64) std::atomic<uint32_t> jobs{0};     // jobs started so far
  alignas(64) std::atomic<int> arrived{0};       // at the end of the current job
  alignas(64) std::atomic<uint32_t> meetings{0}; // jobs ended so far
  std::vector<std::thread> threads;
};

} // namespace lmc
