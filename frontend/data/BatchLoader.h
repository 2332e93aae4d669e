// Reads batches ahead on a thread of its own.
#pragma once

#include "frontend/data/BatchSource.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace lmc {

/// next() gives the batches from a position on, each exactly what read(position) gives. At most
/// `depth` finished batches wait (back-pressure). For one consumer.
class BatchLoader {
public:
  /// read: called by the loader's thread only, with rising positions after the start or a seek.
  explicit BatchLoader(std::function<Batch(int64_t)> read, int64_t position = 0, size_t depth = 2);
  explicit BatchLoader(BatchSource source, int64_t position = 0, size_t depth = 2);
  ~BatchLoader();
  BatchLoader(const BatchLoader &) = delete;
  BatchLoader &operator=(const BatchLoader &) = delete;

  /// Waits for the next batch; rethrows what reading it threw, again at each call until a seek.
  Batch next();
  /// Of the batch that next() will give: what a checkpoint keeps.
  int64_t position() const { return nextPosition; }
  void seek(int64_t position);

private:
  void run();

  std::function<Batch(int64_t)> read;
  size_t depth;
  int64_t nextPosition;

  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  std::deque<Batch> ready;
  std::exception_ptr error; // of the batch after ready
  int64_t readPosition;     // of the batch that the thread reads next
  uint64_t generation = 0;  // counts seeks: what was read for an older one is dropped
  bool stopping = false;
  std::thread thread; // last: starts when all else is there
};

} // namespace lmc
