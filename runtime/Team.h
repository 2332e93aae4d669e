// The one team of CPU workers: threads that live as long as the session, meet at light barriers and
// sleep when there is nothing to do.
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
/// parallel() or run() themselves. Neither allocates; workers that met less than some ten
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

  /// Within a job: computes work(worker, begin, end) over this worker's part of [0, items). Every
  /// worker calls it, with the same arguments, and meets the others at barrier() before the next
  /// one. grain 0 (or at most `grain` items): even split; else pieces of `grain` items, first come
  /// first served.
  template <typename Work> void share(int worker, int64_t items, int64_t grain, Work &&work) {
    if (grain <= 0) {
      int64_t each = items / numWorkers, more = items % numWorkers;
      int64_t begin = each * worker + (worker < more ? worker : more);
      int64_t end = begin + each + (worker < more);
      if (begin < end)
        work(worker, begin, end);
    } else if (items <= grain) {
      if (worker == 0 && items > 0)
        work(worker, int64_t(0), items);
    } else {
      for (int64_t begin; (begin = nextItem.fetch_add(grain, std::memory_order_relaxed)) < items;)
        work(worker, begin, grain < items - begin ? begin + grain : items);
    }
  }

  /// Within a job: all workers wait for the last one. What each wrote before is seen by all after.
  void barrier() {
    if (numWorkers > 1)
      meet();
    else
      nextItem.store(0, std::memory_order_relaxed);
  }

  /// Within a job: returns when `word` is not `value`; looks for some ten microseconds, then sleeps
  /// until whoever changes it notifies.
  void waitWhile(std::atomic<uint32_t> &word, uint32_t value) const;

  /// One shared loop: work(worker, begin, end) over [0, items).
  template <typename Work> void run(int64_t items, int64_t grain, Work &&work) {
    parallel([&](int worker) { share(worker, items, grain, work); });
  }

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
  alignas(64) std::atomic<int> arrived{0};       // at the current barrier
  alignas(64) std::atomic<uint32_t> meetings{0}; // barriers passed so far
  alignas(64) std::atomic<int64_t> nextItem{0};  // of the loop being shared
  std::vector<std::thread> threads;
};

} // namespace lmc
