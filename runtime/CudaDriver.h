// The functions of NVIDIA's driver that a session calls, found at run time: nothing of CUDA is needed
// to build or to start lmc. Source: CUDA Driver API reference, version 12.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lmc {

/// "cuda" or "cuda:sm_90a": is the executable for a GPU?
inline bool isCudaTarget(std::string_view target) {
  return target == "cuda" || target.starts_with("cuda:");
}

/// Results are CUresult, 0 for success; handles are opaque. Tests fill a table with functions that
/// emulate a GPU.
struct CudaDriver {
  using Pointer = unsigned long long; ///< CUdeviceptr
  using Context = void *;
  using Module = void *;
  using Function = void *;
  using Stream = void *;
  using Event = void *;
  using Graph = void *;
  using GraphExec = void *;

  /// Opens libcuda.so.1. Throws Error that says what is missing: no driver, one that is too old, no
  /// GPU.
  static const CudaDriver &system();

  /// What code for the first GPU is compiled for: "sm_80", "sm_90a".
  std::string architecture() const;
  /// Where the first GPU is: "0000:3B:00.0".
  std::string busId() const;

  int (*cuInit)(unsigned flags) = nullptr;
  int (*cuGetErrorString)(int result, const char **text) = nullptr;
  int (*cuDeviceGetCount)(int *count) = nullptr;
  int (*cuDeviceGet)(int *device, int ordinal) = nullptr;
  int (*cuDeviceGetName)(char *name, int length, int device) = nullptr;
  int (*cuDeviceGetPCIBusId)(char *text, int length, int device) = nullptr;
  int (*cuDeviceGetAttribute)(int *value, int attribute, int device) = nullptr;
  int (*cuDevicePrimaryCtxRetain)(Context *, int device) = nullptr;
  int (*cuDevicePrimaryCtxRelease_v2)(int device) = nullptr;
  int (*cuCtxSetCurrent)(Context) = nullptr;
  int (*cuMemGetInfo_v2)(size_t *available, size_t *total) = nullptr;
  int (*cuMemAlloc_v2)(Pointer *, size_t bytes) = nullptr;
  int (*cuMemFree_v2)(Pointer) = nullptr;
  int (*cuMemAllocHost_v2)(void **, size_t bytes) = nullptr; ///< pinned
  int (*cuMemFreeHost)(void *) = nullptr;
  int (*cuMemsetD8Async)(Pointer, unsigned char value, size_t bytes, Stream) = nullptr;
  int (*cuMemcpyHtoDAsync_v2)(Pointer, const void *, size_t bytes, Stream) = nullptr;
  int (*cuMemcpyDtoHAsync_v2)(void *, Pointer, size_t bytes, Stream) = nullptr;
  int (*cuModuleLoadData)(Module *, const void *image) = nullptr;
  int (*cuModuleUnload)(Module) = nullptr;
  int (*cuModuleGetFunction)(Function *, Module, const char *name) = nullptr;
  int (*cuFuncSetAttribute)(Function, int attribute, int value) = nullptr;
  int (*cuLaunchKernel)(Function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, Stream,
                        void **parameters, void **extra) = nullptr;
  /// Encodes a CUtensorMap, 128 bytes aligned to 64.
  int (*cuTensorMapEncodeTiled)(void *map, int dataType, uint32_t rank, void *start,
                                const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,
                                const uint32_t *elementStrides, int interleave, int swizzle,
                                int promotion, int outOfBounds) = nullptr;
  int (*cuStreamCreate)(Stream *, unsigned flags) = nullptr;
  int (*cuStreamDestroy_v2)(Stream) = nullptr;
  int (*cuStreamSynchronize)(Stream) = nullptr;
  int (*cuStreamBeginCapture_v2)(Stream, int mode) = nullptr;
  int (*cuStreamEndCapture)(Stream, Graph *) = nullptr;
  int (*cuGraphInstantiateWithFlags)(GraphExec *, Graph, unsigned long long flags) = nullptr;
  int (*cuGraphDestroy)(Graph) = nullptr;
  int (*cuGraphExecDestroy)(GraphExec) = nullptr;
  int (*cuGraphLaunch)(GraphExec, Stream) = nullptr;
  int (*cuEventCreate)(Event *, unsigned flags) = nullptr;
  int (*cuEventDestroy_v2)(Event) = nullptr;
  int (*cuEventRecord)(Event, Stream) = nullptr;
  int (*cuEventSynchronize)(Event) = nullptr;
  int (*cuEventElapsedTime)(float *milliseconds, Event start, Event end) = nullptr;

  /// Throws Error "cannot WHAT: the driver's words" unless the result is 0. Where a kernel failed it
  /// says how to find out which.
  void check(int result, std::string_view what) const;
};

} // namespace lmc
