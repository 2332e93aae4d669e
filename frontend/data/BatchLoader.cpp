#include "frontend/data/BatchLoader.h"

#include <algorithm>

namespace lmc {

BatchLoader::BatchLoader(std::function<Batch(int64_t)> read, int64_t position, size_t depth)
    : read(std::move(read)), depth(std::max<size_t>(1, depth)), nextPosition(position),
      readPosition(position), thread([this] { run(); }) {}

BatchLoader::BatchLoader(BatchSource source, int64_t position, size_t depth)
    : BatchLoader([source = std::move(source)](int64_t at) { return source.read(at); }, position,
                  depth) {}

BatchLoader::~BatchLoader() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  thread.join();
}

void BatchLoader::run() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stopping || (!error && ready.size() < depth); });
    if (stopping)
      return;
    int64_t position = readPosition++;
    uint64_t startedIn = generation;
    lock.unlock();
    Batch batch;
    std::exception_ptr problem;
    try {
      batch = read(position);
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    if (generation != startedIn)
      continue;
    if (problem)
      error = problem;
    else
      ready.push_back(std::move(batch));
    changed.notify_all();
  }
}

Batch BatchLoader::next() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return !ready.empty() || error; });
  if (ready.empty())
    std::rethrow_exception(error);
  Batch batch = std::move(ready.front());
  ready.pop_front();
  ++nextPosition;
  lock.unlock();
  changed.notify_all();
  return batch;
}

void BatchLoader::seek(int64_t position) {
  {
    std::lock_guard lock(mutex);
    ++generation;
    ready.clear();
    error = nullptr;
    readPosition = nextPosition = position;
  }
  changed.notify_all();
}

} // namespace lmc
