#include "runtime/GpuMonitor.h"

#include "runtime/Error.h"
#include "runtime/OptionalLibrary.h"

namespace lmc {
namespace {

constexpr int kTemperatureGpu = 0; ///< NVML_TEMPERATURE_GPU

struct Memory { ///< nvmlMemory_t, bytes
  unsigned long long total, available, used;
};

struct Utilization { ///< nvmlUtilization_t: share of the latest sample period, percent
  unsigned kernels, memory;
};

} // namespace

/// What is used of nvml.h; results are nvmlReturn_t, 0 for success.
struct GpuMonitor::Nvml {
  using Device = void *;
  int (*nvmlInit_v2)();
  int (*nvmlShutdown)();
  const char *(*nvmlErrorString)(int result);
  int (*nvmlDeviceGetHandleByPciBusId_v2)(const char *busId, Device *);
  int (*nvmlDeviceGetMemoryInfo)(Device, Memory *);
  int (*nvmlDeviceGetUtilizationRates)(Device, Utilization *);
  int (*nvmlDeviceGetTemperature)(Device, int sensor, unsigned *celsius);
  int (*nvmlDeviceGetPowerUsage)(Device, unsigned *milliwatts);

  explicit Nvml(const char *file) {
    OptionalLibrary library({"NVIDIA's management library (NVML)",
                             {file},
                             "it comes with NVIDIA's driver (Debian: libnvidia-ml1; Ubuntu: "
                             "libnvidia-compute of the driver's version)"});
#define LMC_FIND(name) library.find(name, #name);
    LMC_FIND(nvmlInit_v2)
    LMC_FIND(nvmlShutdown)
    LMC_FIND(nvmlErrorString)
    LMC_FIND(nvmlDeviceGetHandleByPciBusId_v2)
    LMC_FIND(nvmlDeviceGetMemoryInfo)
    LMC_FIND(nvmlDeviceGetUtilizationRates)
    LMC_FIND(nvmlDeviceGetTemperature)
    LMC_FIND(nvmlDeviceGetPowerUsage)
#undef LMC_FIND
    if (!library.missing().empty())
      fail("{}", library.missing());
    if (int result = nvmlInit_v2(); result != 0)
      fail("NVIDIA's management library (NVML) does not start: {}", nvmlErrorString(result));
  }
  ~Nvml() { nvmlShutdown(); }
};

GpuMonitor::GpuMonitor(const std::string &busId, const char *library)
    : nvml(std::make_unique<Nvml>(library)) {
  if (int result = nvml->nvmlDeviceGetHandleByPciBusId_v2(busId.c_str(), &device); result != 0)
    fail("NVIDIA's management library (NVML) does not know the GPU at {}: {}", busId,
         nvml->nvmlErrorString(result));
}

GpuMonitor::~GpuMonitor() = default;

std::vector<GpuGauge> GpuMonitor::read() const {
  std::vector<GpuGauge> gauges;
  if (Memory memory; nvml->nvmlDeviceGetMemoryInfo(device, &memory) == 0) {
    gauges.push_back({"lmc_gpu_memory_used_bytes", "Memory of the GPU that all its processes use",
                      static_cast<double>(memory.used)});
    gauges.push_back(
        {"lmc_gpu_memory_total_bytes", "Memory of the GPU", static_cast<double>(memory.total)});
  }
  if (Utilization share; nvml->nvmlDeviceGetUtilizationRates(device, &share) == 0)
    gauges.push_back({"lmc_gpu_utilization_ratio", "Share of the time in which the GPU ran kernels",
                      share.kernels / 100.0});
  unsigned value = 0;
  if (nvml->nvmlDeviceGetTemperature(device, kTemperatureGpu, &value) == 0)
    gauges.push_back({"lmc_gpu_temperature_celsius", "Temperature of the GPU", double(value)});
  if (nvml->nvmlDeviceGetPowerUsage(device, &value) == 0)
    gauges.push_back({"lmc_gpu_power_watts", "Power that the GPU draws", value / 1000.0});
  return gauges;
}

} // namespace lmc
