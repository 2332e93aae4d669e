#include "runtime/CudaDriver.h"

#include "runtime/DeviceLost.h"
#include "runtime/Error.h"
#include "runtime/Knobs.h"
#include "runtime/OptionalLibrary.h"

namespace lmc {
namespace {

struct SystemDriver : CudaDriver {
  std::string missing; ///< why it cannot be used; empty: it can

  SystemDriver() {
    OptionalLibrary library({"NVIDIA's driver",
                             {"libcuda.so.1"},
                             "install version 525 or later of it (Debian: nvidia-driver; Ubuntu: "
                             "ubuntu-drivers install)"});
#define LMC_FIND(name) library.find(name, #name);
    LMC_FIND(cuInit)
    LMC_FIND(cuGetErrorString)
    LMC_FIND(cuDeviceGetCount)
    LMC_FIND(cuDeviceGet)
    LMC_FIND(cuDeviceGetName)
    LMC_FIND(cuDeviceGetPCIBusId)
    LMC_FIND(cuDeviceGetAttribute)
    LMC_FIND(cuDevicePrimaryCtxRetain)
    LMC_FIND(cuDevicePrimaryCtxRelease_v2)
    LMC_FIND(cuCtxSetCurrent)
    LMC_FIND(cuMemGetInfo_v2)
    LMC_FIND(cuMemAlloc_v2)
    LMC_FIND(cuMemFree_v2)
    LMC_FIND(cuMemAllocHost_v2)
    LMC_FIND(cuMemFreeHost)
    LMC_FIND(cuMemsetD8Async)
    LMC_FIND(cuMemcpyHtoDAsync_v2)
    LMC_FIND(cuMemcpyDtoHAsync_v2)
    LMC_FIND(cuModuleLoadData)
    LMC_FIND(cuModuleUnload)
    LMC_FIND(cuModuleGetFunction)
    LMC_FIND(cuFuncSetAttribute)
    LMC_FIND(cuLaunchKernel)
    LMC_FIND(cuTensorMapEncodeTiled)
    LMC_FIND(cuStreamCreate)
    LMC_FIND(cuStreamDestroy_v2)
    LMC_FIND(cuStreamSynchronize)
    LMC_FIND(cuStreamBeginCapture_v2)
    LMC_FIND(cuStreamEndCapture)
    LMC_FIND(cuGraphInstantiateWithFlags)
    LMC_FIND(cuGraphDestroy)
    LMC_FIND(cuGraphExecDestroy)
    LMC_FIND(cuGraphLaunch)
    LMC_FIND(cuEventCreate)
    LMC_FIND(cuEventDestroy_v2)
    LMC_FIND(cuEventRecord)
    LMC_FIND(cuEventSynchronize)
    LMC_FIND(cuEventElapsedTime)
#undef LMC_FIND
    missing = library.missing();
    if (!missing.empty())
      return;
    int devices = 0;
    if (int result = cuInit(0); result != 0)
      missing = std::string("NVIDIA's driver does not start: ") + text(result);
    else if (cuDeviceGetCount(&devices) != 0 || devices == 0)
      missing = "NVIDIA's driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)";
  }

  const char *text(int result) const {
    const char *words = nullptr;
    return cuGetErrorString(result, &words) == 0 && words ? words : "unknown error";
  }
};

/// Is it what a kernel did (an address that is none, an assertion, ...), reported by whatever was
/// called next? After it the context runs nothing more.
bool isKernelFault(int result) {
  return result == 700 || result == 702 || result == 710 || (result >= 714 && result <= 719);
}

} // namespace

const CudaDriver &CudaDriver::system() {
  static const SystemDriver driver;
  if (!driver.missing.empty())
    fail("{}; compile for --target cpu, or run where there is a GPU", driver.missing);
  return driver;
}

std::string CudaDriver::architecture() const {
  constexpr int kMajor = 75, kMinor = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
  int device = 0, major = 0, minor = 0;
  check(cuDeviceGet(&device, 0), "find the first GPU");
  check(cuDeviceGetAttribute(&major, kMajor, device), "ask the GPU");
  check(cuDeviceGetAttribute(&minor, kMinor, device), "ask the GPU");
  return fmt::format("sm_{}{}{}", major, minor, major >= 9 ? "a" : "");
}

std::string CudaDriver::busId() const {
  char text[16] = ""; // "domain:bus:device.function", as the reference says
  int device = 0;
  check(cuDeviceGet(&device, 0), "find the first GPU");
  check(cuDeviceGetPCIBusId(text, sizeof text, device), "ask the GPU");
  return text;
}

void CudaDriver::check(int result, std::string_view what) const {
  if (result == 0)
    return;
  const char *words = nullptr;
  bool known = cuGetErrorString(result, &words) == 0 && words;
  std::string text =
      fmt::format("cannot {}: {} (CUDA error {})", what, known ? words : "unknown error", result);
  if (!isKernelFault(result))
    throw Error(text);
  if (!knobs::cudaSync())
    text +=
        "; the GPU does not say which launch that was: run it again with LMC_CUDA_SYNC=1, which "
        "names the op";
  throw DeviceLost(text);
}

} // namespace lmc
