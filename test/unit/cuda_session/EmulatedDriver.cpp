#include "EmulatedDriver.h"

#include "../emulation/HostCompiler.h"
#include "codegen/cuda/device/emulated_tensor_map.h"
#include "runtime/Error.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace lmc::test {
namespace {

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kNotFound = 500, kLaunchFailed = 719;
constexpr size_t kDeviceBytes = size_t(1) << 30;
constexpr unsigned kMostParameterBytes = 32764;

using Entry = const char *(*)(unsigned, unsigned, unsigned, unsigned, void **);
struct Function {
  Entry entry;
  const unsigned *parameters; ///< their sizes in bytes, then 0
  int mostShared = 48 << 10;
};

/// One of a launch's parameters, in pieces that are aligned as a tensor map is.
struct alignas(64) Piece {
  char bytes[64];
};
using Parameter = std::vector<Piece>;

struct Module {
  void *library = nullptr;
  int descriptor = -1;
  std::vector<std::unique_ptr<Function>> functions;
};

using Work = std::function<int()>;
struct Graph {
  std::vector<Work> work;
};

struct Gpu {
  int major = 9, minor = 0;
  unsigned order = 0;
  std::map<CudaDriver::Pointer, size_t> memory;
  std::map<CudaDriver::Pointer, size_t> pinned; ///< page-locked memory of the host
  size_t pageableCopies = 0, uploads = 0;
  size_t taken = 0;
  std::deque<Work> stream;
  size_t queued = 0, done = 0; ///< work of the stream so far
  std::unique_ptr<Graph> capture;
  int untilFault = -1; ///< launches that still run before one fails; -1: none does
  int fault = 0;       ///< stays once a launch has failed, as a GPU's does
  size_t encodedMaps = 0;
};
Gpu gpu;

int put(Work work) {
  if (gpu.capture) {
    gpu.capture->work.push_back(std::move(work));
  } else {
    gpu.stream.push_back(std::move(work));
    ++gpu.queued;
  }
  return 0;
}

/// Runs the stream's work up to a count of all work so far.
int runUntil(size_t count) {
  if (gpu.capture)
    return kInvalidValue;
  for (; gpu.done < count && !gpu.stream.empty(); ++gpu.done) {
    if (gpu.fault == 0)
      gpu.fault = gpu.stream.front()();
    gpu.stream.pop_front();
  }
  return gpu.fault;
}

/// Does [start, start + bytes) lie in one allocation?
bool isIn(const std::map<CudaDriver::Pointer, size_t> &memory, CudaDriver::Pointer start,
          size_t bytes) {
  auto after = memory.upper_bound(start);
  if (after == memory.begin())
    return false;
  auto &[first, size] = *std::prev(after);
  return start - first <= size && bytes <= size - (start - first);
}

bool isDevice(CudaDriver::Pointer start, size_t bytes) { return isIn(gpu.memory, start, bytes); }

void *hostOf(CudaDriver::Pointer pointer) { return reinterpret_cast<void *>(pointer); }

/// A copy between the host's memory and the GPU's: the host's is read or written when the stream gets
/// there, and must not have been given back by then.
int putCopy(void *to, const void *from, size_t bytes, CudaDriver::Pointer device,
            const void *host) {
  auto start = reinterpret_cast<CudaDriver::Pointer>(host);
  bool wasPinned = isIn(gpu.pinned, start, bytes);
  gpu.pageableCopies += !wasPinned;
  return put([=] {
    if (!isDevice(device, bytes) || (wasPinned && !isIn(gpu.pinned, start, bytes)))
      return kInvalidValue;
    std::memcpy(to, from, bytes);
    return 0;
  });
}

CudaDriver makeDriver() {
  CudaDriver d;
  d.cuInit = [](unsigned) { return 0; };
  d.cuGetErrorString = [](int result, const char **text) {
    *text = result == kOutOfMemory    ? "out of memory"
            : result == kNotFound     ? "named symbol not found"
            : result == kLaunchFailed ? "unspecified launch failure"
                                      : "invalid argument";
    return 0;
  };
  d.cuDeviceGetCount = [](int *count) { return *count = 1, 0; };
  d.cuDeviceGet = [](int *device, int) { return *device = 0, 0; };
  d.cuDeviceGetName = [](char *name, int length, int) {
    std::strncpy(name, "emulated GPU", length);
    return 0;
  };
  d.cuDeviceGetPCIBusId = [](char *text, int length, int) {
    std::strncpy(text, "0000:3B:00.0", length);
    return 0;
  };
  d.cuDeviceGetAttribute = [](int *value, int attribute, int) {
    *value = attribute == 75 ? gpu.major : gpu.minor;
    return attribute == 75 || attribute == 76 ? 0 : kInvalidValue;
  };
  d.cuDevicePrimaryCtxRetain = [](void **context, int) { return *context = &gpu, 0; };
  d.cuDevicePrimaryCtxRelease_v2 = [](int) { return 0; };
  d.cuCtxSetCurrent = [](void *) { return 0; };
  d.cuMemGetInfo_v2 = [](size_t *available, size_t *total) {
    *total = kDeviceBytes;
    *available = kDeviceBytes - gpu.taken;
    return 0;
  };
  d.cuMemAlloc_v2 = [](CudaDriver::Pointer *pointer, size_t bytes) {
    if (bytes > kDeviceBytes - gpu.taken)
      return kOutOfMemory;
    void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(memory, 0xff, bytes);
    *pointer = reinterpret_cast<CudaDriver::Pointer>(memory);
    gpu.memory[*pointer] = bytes;
    gpu.taken += bytes;
    return 0;
  };
  d.cuMemFree_v2 = [](CudaDriver::Pointer pointer) {
    gpu.taken -= gpu.memory.at(pointer);
    gpu.memory.erase(pointer);
    std::free(hostOf(pointer));
    return 0;
  };
  d.cuMemAllocHost_v2 = [](void **memory, size_t bytes) {
    *memory = std::malloc(bytes);
    gpu.pinned[reinterpret_cast<CudaDriver::Pointer>(*memory)] = bytes;
    return 0;
  };
  d.cuMemFreeHost = [](void *memory) {
    gpu.pinned.erase(reinterpret_cast<CudaDriver::Pointer>(memory));
    return std::free(memory), 0;
  };
  d.cuMemsetD8Async = [](CudaDriver::Pointer to, unsigned char value, size_t bytes, void *) {
    return put([=] {
      if (!isDevice(to, bytes))
        return kInvalidValue;
      std::memset(hostOf(to), value, bytes);
      return 0;
    });
  };
  d.cuMemcpyHtoDAsync_v2 = [](CudaDriver::Pointer to, const void *from, size_t bytes, void *) {
    ++gpu.uploads;
    return putCopy(hostOf(to), from, bytes, to, from);
  };
  d.cuMemcpyDtoHAsync_v2 = [](void *to, CudaDriver::Pointer from, size_t bytes, void *) {
    return putCopy(to, hostOf(from), bytes, from, to);
  };
  d.cuModuleLoadData = [](void **module, const void *image) {
    // The image's own size, as the driver reads it: the end of the section headers.
    const auto *bytes = static_cast<const char *>(image);
    uint64_t headers;
    uint16_t size, count;
    std::memcpy(&headers, bytes + 0x28, 8);
    std::memcpy(&size, bytes + 0x3a, 2);
    std::memcpy(&count, bytes + 0x3c, 2);
    auto made = std::make_unique<Module>();
    made->descriptor = memfd_create("emulated-cubin", 0);
    uint64_t total = headers + uint64_t(size) * count;
    if (write(made->descriptor, bytes, total) != static_cast<ssize_t>(total))
      return kInvalidValue;
    std::string name = fmt::format("/proc/self/fd/{}", made->descriptor);
    made->library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!made->library)
      return kInvalidValue;
    *module = made.release();
    return 0;
  };
  d.cuModuleUnload = [](void *handle) {
    std::unique_ptr<Module> module(static_cast<Module *>(handle));
    dlclose(module->library);
    close(module->descriptor);
    return 0;
  };
  d.cuModuleGetFunction = [](void **function, void *handle, const char *name) {
    auto *module = static_cast<Module *>(handle);
    void *entry = dlsym(module->library, (std::string(name) + "_emulated").c_str());
    void *parameters = dlsym(module->library, (std::string(name) + "_parameters").c_str());
    if (!entry || !parameters)
      return kNotFound;
    auto made = std::make_unique<Function>(Function{
        reinterpret_cast<Entry>(entry), reinterpret_cast<const unsigned *(*)()>(parameters)()});
    *function = made.get();
    module->functions.push_back(std::move(made));
    return 0;
  };
  d.cuFuncSetAttribute = [](void *function, int attribute, int value) {
    if (attribute != 8 || value > 227 << 10)
      return kInvalidValue;
    static_cast<Function *>(function)->mostShared = value;
    return 0;
  };
  d.cuLaunchKernel = [](void *handle, unsigned gridX, unsigned gridY, unsigned gridZ,
                        unsigned blockX, unsigned blockY, unsigned blockZ, unsigned shared, void *,
                        void **parameters, void **) {
    auto *function = static_cast<Function *>(handle);
    if (gridX == 0 || gridY != 1 || gridZ != 1 || blockX == 0 || blockX > 1024 || blockY != 1 ||
        blockZ != 1 || shared > unsigned(function->mostShared))
      return kInvalidValue;
    std::vector<Parameter> values; // read now
    unsigned total = 0;
    for (unsigned i = 0; unsigned size = function->parameters[i]; total += size, ++i)
      std::memcpy(values.emplace_back((size + 63) / 64).data(), parameters[i], size);
    if (total > kMostParameterBytes)
      return kInvalidValue;
    return put([=]() mutable {
      if (gpu.untilFault >= 0 && gpu.untilFault-- == 0)
        return kLaunchFailed;
      std::vector<void *> places;
      for (Parameter &value : values)
        places.push_back(value.data());
      const char *fault = function->entry(gridX, blockX, shared, gpu.order, places.data());
      if (fault)
        fmt::print(stderr, "emulated GPU: {}\n", fault);
      return fault ? kLaunchFailed : 0;
    });
  };
  d.cuTensorMapEncodeTiled = [](void *map, int dataType, uint32_t rank, void *start,
                                const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,
                                const uint32_t *steps, int interleave, int swizzle, int,
                                int zeros) {
    bool known = dataType == 9 && interleave == 0 && swizzle == 3 && zeros == 0; // bf16, 128 bytes
    for (uint32_t i = 0; i < rank; ++i)
      known &= steps[i] == 1;
    // What the map covers is device memory.
    uint64_t bytes = 2 * sizes[0];
    for (uint32_t i = 1; i < rank; ++i)
      bytes += (sizes[i] - 1) * strides[i - 1];
    known &= isDevice(reinterpret_cast<CudaDriver::Pointer>(start), bytes);
    auto &encoded = *static_cast<emulation::TensorMap *>(map);
    if (!known || !emulation::encode(encoded, rank, start, sizes, strides, box))
      return kInvalidValue;
    ++gpu.encodedMaps;
    return 0;
  };
  d.cuStreamCreate = [](void **stream, unsigned) { return *stream = &gpu.stream, 0; };
  d.cuStreamDestroy_v2 = [](void *) {
    gpu.done += gpu.stream.size();
    return gpu.stream.clear(), 0;
  };
  d.cuStreamSynchronize = [](void *) { return runUntil(gpu.queued); };
  d.cuStreamBeginCapture_v2 = [](void *, int) {
    if (gpu.capture)
      return kInvalidValue;
    gpu.capture = std::make_unique<Graph>();
    return 0;
  };
  d.cuStreamEndCapture = [](void *, void **graph) {
    if (!gpu.capture)
      return kInvalidValue;
    *graph = gpu.capture.release();
    return 0;
  };
  d.cuGraphInstantiateWithFlags = [](void **ready, void *graph, unsigned long long) {
    *ready = new Graph(*static_cast<Graph *>(graph));
    return 0;
  };
  d.cuGraphDestroy = [](void *graph) {
    delete static_cast<Graph *>(graph);
    return 0;
  };
  d.cuGraphExecDestroy = d.cuGraphDestroy;
  d.cuGraphLaunch = [](void *graph, void *) {
    for (Work &work : static_cast<Graph *>(graph)->work)
      put(work);
    return 0;
  };
  // An event is the count of work in front of it.
  d.cuEventCreate = [](void **event, unsigned) { return *event = new size_t(0), 0; };
  d.cuEventDestroy_v2 = [](void *event) {
    delete static_cast<size_t *>(event);
    return 0;
  };
  d.cuEventRecord = [](void *event, void *) {
    *static_cast<size_t *>(event) = gpu.queued;
    return 0;
  };
  d.cuEventSynchronize = [](void *event) { return runUntil(*static_cast<size_t *>(event)); };
  d.cuEventElapsedTime = [](float *milliseconds, void *, void *) { return *milliseconds = 1, 0; };
  return d;
}

} // namespace

const CudaDriver &emulatedDriver(int major, int minor) {
  static const CudaDriver driver = makeDriver();
  gpu.major = major;
  gpu.minor = minor;
  gpu.fault = 0;
  gpu.untilFault = -1;
  return driver;
}

void setEmulatedOrder(unsigned order) { gpu.order = order; }

void failEmulatedLaunch(int number) { gpu.untilFault = number; }

std::string assembleForHost(const std::string &source) {
  static HostCompiler compiler; // sessions share most kernels
  std::ifstream in(compiler.sharedObject(source), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int putEmulatedWork(std::function<int()> work) { return put(std::move(work)); }

bool isEmulatedRecording() { return gpu.capture != nullptr; }

bool isEmulatedMemory(CudaDriver::Pointer start, size_t bytes) { return isDevice(start, bytes); }

size_t emulatedBytes() { return gpu.taken; }

bool isEmulatedGpuBusy() { return !gpu.stream.empty(); }

size_t emulatedPageableCopies() { return gpu.pageableCopies; }
size_t emulatedUploads() { return gpu.uploads; }

size_t encodedTensorMaps() { return gpu.encodedMaps; }

} // namespace lmc::test
