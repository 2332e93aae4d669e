// A graph of a few ops, written with the builder, compiled like a model and run by a session.
#pragma once

#include "ir/Evaluator.h"
#include "ir/GraphBuilder.h"
#include "runtime/Session.h"
#include "tools/bench/Case.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lmc::bench {

/// An argument of the graph: float32, bf16, or int32 ids below `ids`. Filled with uniform numbers in
/// [-1, 1), the same in every run.
struct Argument {
  std::string name;
  std::vector<int64_t> shape;
  int64_t ids = 0; ///< 0: float32
  bool weight =
      false; ///< does not change: stored in the executable and packed where products allow
  bool bf16 = false;
};

using BuildGraph = std::function<std::vector<mlir::Value>(lm::GraphBuilder &,
                                                          llvm::ArrayRef<mlir::Value> arguments)>;

class Graph {
public:
  Graph(const std::vector<Argument> &arguments, const BuildGraph &build, const Machine &on);

  void run();
  /// Runs once. On the CPU the seconds from the call to its end; on a GPU the sum of its launches',
  /// between events of the stream: inputs and results are copied outside of them.
  double time();
  /// An argument by name; a result as "y0", "y1", ...; bf16 is widened. Valid until the next run.
  std::span<const float> f32(const std::string &name);
  std::span<const int32_t> i32(const std::string &name) { return session->i32(name); }
  Session &runtime() { return *session; }

  /// Runs, and compares every result with the reference evaluator in float64. Throws Error where an
  /// element differs by more than `tolerance` times the result's largest.
  void checkAll(double tolerance = 1e-5);

private:
  std::vector<Argument> arguments;
  BuildGraph build;
  bool onGpu;
  std::map<std::string, std::vector<float>> known; ///< weights before they were packed, bf16 inputs
  std::map<std::string, std::vector<float>> widened; ///< results of the latest run
  std::unique_ptr<Session> session;
};

} // namespace lmc::bench
