#include "runtime/GpuMonitor.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <map>

using namespace lmc;
using lmc::test::errorOf;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace {

std::map<std::string, double> read(const char *busId) {
  std::map<std::string, double> values;
  for (const GpuGauge &gauge : GpuMonitor(busId, LMC_FAKE_NVML).read())
    values[gauge.name] = gauge.value;
  return values;
}

} // namespace

TEST(GpuMonitor, ReadsInTheUnitsOfTheNames) {
  EXPECT_THAT(read("0000:3B:00.0"),
              UnorderedElementsAre(Pair("lmc_gpu_memory_used_bytes", 5368709120.0),
                                   Pair("lmc_gpu_memory_total_bytes", 85899345920.0),
                                   Pair("lmc_gpu_utilization_ratio", 0.75),
                                   Pair("lmc_gpu_temperature_celsius", 61),
                                   Pair("lmc_gpu_power_watts", 312.5)));
}

TEST(GpuMonitor, LeavesOutWhatTheGpuDoesNotTell) {
  EXPECT_THAT(read("0000:5E:00.0"),
              UnorderedElementsAre(Pair("lmc_gpu_memory_used_bytes", 5368709120.0),
                                   Pair("lmc_gpu_memory_total_bytes", 85899345920.0),
                                   Pair("lmc_gpu_temperature_celsius", 40)));
}

TEST(GpuMonitor, SaysWhyThereIsNone) {
  EXPECT_THAT(errorOf([] { GpuMonitor("0000:3B:00.0", "libnvidia-ml-none.so.1"); }),
              HasSubstr("NVIDIA's management library (NVML) was not found (libnvidia-ml-none.so.1: "
                        "cannot open shared object file: No such file or directory); it comes "
                        "with NVIDIA's driver"));
  EXPECT_THAT(errorOf([] { GpuMonitor("0000:3B:00.0", LMC_MISMATCHED_NVML); }),
              HasSubstr("does not start: Driver/library version mismatch"));
  EXPECT_THAT(errorOf([] { GpuMonitor("0000:AA:00.0", LMC_FAKE_NVML); }),
              HasSubstr("does not know the GPU at 0000:AA:00.0: Not Found"));
}
