#include "runtime/CudaGraphs.h"

#include <algorithm>

namespace lmc {
namespace {

constexpr int kThreadLocal = 1; ///< CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

/// While it lives a stream records what is put on it. However that ends, the stream runs work again.
class Capture {
public:
  explicit Capture(const CudaStream &stream) : stream(stream) {
    stream.driver.check(stream.driver.cuStreamBeginCapture_v2(stream.handle, kThreadLocal),
                        "record a program");
  }
  ~Capture() {
    if (!ended)
      end();
    if (graph)
      stream.driver.cuGraphDestroy(graph);
  }
  Capture(const Capture &) = delete;

  CudaDriver::GraphExec instantiate() {
    CudaDriver::GraphExec ready = nullptr;
    stream.driver.check(end(), "record a program");
    stream.driver.check(stream.driver.cuGraphInstantiateWithFlags(&ready, graph, 0),
                        "prepare a recorded program");
    return ready;
  }

private:
  int end() {
    ended = true;
    return stream.driver.cuStreamEndCapture(stream.handle, &graph);
  }

  const CudaStream &stream;
  CudaDriver::Graph graph = nullptr;
  bool ended = false;
};

} // namespace

CudaGraphs::Recorded::Recorded(CudaChoice made, const CudaStream &stream,
                               const std::function<void()> &launch)
    : driver(stream.driver), choice(std::move(made)) {
  Capture capture(stream);
  launch();
  graph = capture.instantiate();
}

CudaDriver::GraphExec CudaGraphs::of(const CudaChoice &choice, const CudaStream &stream,
                                     const std::function<void()> &prepare,
                                     const std::function<void()> &launch) {
  auto known = std::ranges::find(graphs, choice, &Recorded::choice);
  if (known != graphs.end()) {
    graphs.splice(graphs.begin(), graphs, known);
  } else {
    prepare();
    graphs.emplace_front(choice, stream, launch);
    if (graphs.size() > most) {
      stream.wait("what was started"); // which may be a run of the one that goes
      graphs.pop_back();
    }
  }
  return graphs.front().graph;
}

} // namespace lmc
