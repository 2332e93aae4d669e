// Independent pieces of compilation on several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace lmc {

/// Calls work(i) for 0 <= i < count on up to `jobs` threads, in any order. Each thread makes its
/// worker by makeWorker(): what is not shared. All run; of those that throw, the first's exception is
/// thrown.
inline void forEachInParallel(int jobs, size_t count,
                              const std::function<std::function<void(size_t)>()> &makeWorker) {
  std::vector<std::exception_ptr> errors(count);
  std::atomic<size_t> next = 0;
  auto run = [&] {
    std::function<void(size_t)> work = makeWorker();
    for (size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < jobs && static_cast<size_t>(i) < count; ++i)
    threads.emplace_back(run);
  run();
  for (std::thread &thread : threads)
    thread.join();
  for (const std::exception_ptr &error : errors)
    if (error)
      std::rethrow_exception(error);
}

} // namespace lmc
