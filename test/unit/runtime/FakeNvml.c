// NVIDIA's management library as far as GpuMonitor calls it, with two GPUs: the one at 0000:3B:00.0
// tells everything, the one at 0000:5E:00.0 neither its load nor its power.
#include <string.h>

enum { kOk = 0, kNotSupported = 3, kNotFound = 6, kVersionMismatch = 18 };
static int gpus[2];

#ifndef LMC_INIT_RESULT
#define LMC_INIT_RESULT kOk
#endif
int nvmlInit_v2(void) { return LMC_INIT_RESULT; }
int nvmlShutdown(void) { return kOk; }

const char *nvmlErrorString(int result) {
  return result == kNotFound ? "Not Found" : "Driver/library version mismatch";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *busId, void **device) {
  if (strcmp(busId, "0000:3B:00.0") == 0)
    *device = &gpus[0];
  else if (strcmp(busId, "0000:5E:00.0") == 0)
    *device = &gpus[1];
  else
    return kNotFound;
  return kOk;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3]) {
  memory[0] = 80ull << 30;
  memory[1] = 75ull << 30;
  memory[2] = 5ull << 30;
  return kOk;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2]) {
  if (device != &gpus[0])
    return kNotSupported;
  rates[0] = 75;
  rates[1] = 20;
  return kOk;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
  if (sensor != 0)
    return kNotSupported;
  *celsius = device == &gpus[0] ? 61 : 40;
  return kOk;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
  if (device != &gpus[0])
    return kNotSupported;
  *milliwatts = 312500;
  return kOk;
}
