// A program's launches, recorded as CUDA graphs and replayed: one call of the driver a run.
#pragma once

#include "runtime/CudaResources.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <vector>

namespace lmc {

/// What a program's launches depend on: the extents of the executable's dims, and whose caches.
struct CudaChoice {
  std::vector<int64_t> dims;
  int slot = -1; ///< -1: nothing is chosen yet
  bool operator==(const CudaChoice &) const = default;
};

/// The graphs of one program. Past `most` the one that was used longest ago goes, so that a decode
/// step keeps its graph however many lengths of prompts come.
class CudaGraphs {
public:
  explicit CudaGraphs(size_t most) : most(most) {}

  /// The graph of a choice. Where there is none yet, `prepare` is called and then `launch`, which puts
  /// the launches on the stream while that records instead of running them. Valid until the next call.
  CudaDriver::GraphExec of(const CudaChoice &choice, const CudaStream &stream,
                           const std::function<void()> &prepare,
                           const std::function<void()> &launch);

private:
  class Recorded {
  public:
    Recorded(CudaChoice choice, const CudaStream &stream, const std::function<void()> &launch);
    ~Recorded() { driver.cuGraphExecDestroy(graph); }
    Recorded(const Recorded &) = delete;

    const CudaDriver &driver;
    CudaChoice choice;
    CudaDriver::GraphExec graph = nullptr;
  };

  size_t most;
  std::list<Recorded> graphs; // the latest used first
};

} // namespace lmc
