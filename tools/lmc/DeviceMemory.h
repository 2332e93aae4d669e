// Does a program fit a device, and if not, the smallest change that makes it fit: of `lmc compile --plan
// --device-memory`, where every figure is that of a plan that was made, and of a model that is to run here.
#pragma once

#include "tools/lmc/Commands.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmc {

/// What the device must hold beside the arena and the weights. GPU: the driver's context, the
/// kernels' code, recorded graphs. CPU: the process with its libraries, the kernels' code.
inline constexpr int64_t kGpuReserveBytes = int64_t(1) << 30, kCpuReserveBytes = int64_t(256) << 20;

/// One option of lmc compile changed, everything else as it was.
struct MemoryChange {
  std::string option;    ///< "--batch"
  int64_t now, proposed; ///< proposed: the largest that fits, or the least there is (it does not)
  uint64_t bytes;        ///< with it, reserve included
  bool fits;
};

/// A step with some of its launches run again.
struct RecomputedStep {
  uint64_t bytes;    ///< reserve included
  unsigned launches; ///< that run again
  double share;      ///< of a step's work (arithmetic and memory traffic) that is added
};

/// Recomputing activations: --memory-limit at what the device has left.
struct MemoryRecompute {
  int64_t limit;                          ///< of the arena
  std::optional<RecomputedStep> cheapest; ///< that fits
  RecomputedStep smallest;                ///< with the most recomputing that helps
};

struct DeviceFit {
  std::vector<LedgerRow> rows; ///< of the program as asked for; weights are parameters
  uint64_t bytes = 0;          ///< with the reserve
  int64_t device = 0, reserve = 0;
  bool fits = false;
  std::vector<MemoryChange> changes; ///< none where it fits
  std::optional<MemoryRecompute> recompute;
};

/// Plans the program, and where it does not fit, searches. `settings` are those of lmc compile;
/// `slots`: sequences with caches of their own. Throws Error where the device has no more than the
/// reserve, and as planModel does.
DeviceFit fitDevice(const ModelConfig &config, const CompileSettings &settings, int64_t device,
                    int threads, int slots);

/// Error where a session of `slots` sequences takes more than this machine has, saying how many tokens would
/// fit. Of the CPU: a GPU says at once what it lacks, while a process that takes pages as it goes is killed.
void requireMemory(const LoadedModel &model, int threads, int slots);

/// The ledger, then whether it fits, then the changes.
void printFit(const DeviceFit &fit, const std::string &target);
nlohmann::ordered_json fitJson(const DeviceFit &fit, const std::string &target);

} // namespace lmc
