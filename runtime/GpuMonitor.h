// What a GPU says of its load, for metrics. Source: NVML API reference (NVIDIA's management library,
// which comes with the driver and is opened at run time).
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace lmc {

/// A reading, under its Prometheus name.
struct GpuGauge {
  const char *name, *help;
  double value;
};

/// One GPU. May be read from several threads.
class GpuMonitor {
public:
  /// busId: CudaDriver::busId(), since NVML counts GPUs that this process does not see. Throws Error
  /// where the library is missing, does not start, or does not know the GPU.
  explicit GpuMonitor(const std::string &busId, const char *library = "libnvidia-ml.so.1");
  ~GpuMonitor();
  GpuMonitor(const GpuMonitor &) = delete;

  /// As of now: lmc_gpu_memory_used_bytes and lmc_gpu_memory_total_bytes,
  /// lmc_gpu_utilization_ratio, lmc_gpu_temperature_celsius, lmc_gpu_power_watts. What this GPU does
  /// not tell is left out, as the utilisation of a part of one (MIG).
  std::vector<GpuGauge> read() const;

private:
  struct Nvml;
  std::unique_ptr<const Nvml> nvml;
  void *device = nullptr; ///< nvmlDevice_t
};

} // namespace lmc
