#include "runtime/CudaResources.h"

#include "runtime/Error.h"

namespace lmc {
namespace {

constexpr int kMaxDynamicShared = 8;         ///< CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr unsigned kNonBlocking = 1;         ///< CU_STREAM_NON_BLOCKING
constexpr unsigned kStaticShared = 48 << 10; ///< more must be asked for

} // namespace

CudaContext::CudaContext(const CudaDriver &driver) : driver(driver) {
  driver.check(driver.cuDeviceGet(&device, 0), "find the first GPU");
  driver.check(driver.cuDevicePrimaryCtxRetain(&context, device), "start the GPU");
  enter();
}

std::string CudaContext::deviceName() const {
  char text[256] = "";
  driver.check(driver.cuDeviceGetName(text, sizeof text, device), "name the GPU");
  return text;
}

CudaStream::CudaStream(const CudaDriver &driver) : driver(driver) {
  driver.check(driver.cuStreamCreate(&handle, kNonBlocking), "make a stream");
}

void CudaStream::wait(std::string_view what) const {
  if (int result = driver.cuStreamSynchronize(handle); result != 0)
    driver.check(result, fmt::format("finish {}", what));
}

void CudaStream::upload(CudaDriver::Pointer to, std::span<const std::byte> from) const {
  if (!from.empty())
    driver.check(driver.cuMemcpyHtoDAsync_v2(to, from.data(), from.size(), handle),
                 "copy to the GPU");
}

void CudaStream::download(std::span<std::byte> to, CudaDriver::Pointer from) const {
  if (!to.empty())
    driver.check(driver.cuMemcpyDtoHAsync_v2(to.data(), from, to.size(), handle),
                 "copy from the GPU");
}

CudaEvent::CudaEvent(const CudaDriver &driver) : driver(driver) {
  driver.check(driver.cuEventCreate(&handle, 0), "make an event");
}

void CudaEvent::record(const CudaStream &stream) {
  driver.check(driver.cuEventRecord(handle, stream.handle), "note the time");
}

void CudaEvent::wait(std::string_view what) const {
  if (int result = driver.cuEventSynchronize(handle); result != 0)
    driver.check(result, fmt::format("finish {}", what));
}

double CudaEvent::secondsSince(const CudaEvent &start) const {
  float milliseconds = 0;
  driver.check(driver.cuEventElapsedTime(&milliseconds, start.handle, handle), "read the time");
  return milliseconds / 1000.0;
}

CudaModule::CudaModule(const CudaDriver &driver, const void *image) : driver(driver) {
  driver.check(driver.cuModuleLoadData(&handle, image), "load the kernels");
}

CudaDriver::Function CudaModule::function(const std::string &symbol, uint32_t sharedBytes) const {
  CudaDriver::Function function = nullptr;
  driver.check(driver.cuModuleGetFunction(&function, handle, symbol.c_str()),
               fmt::format("find the kernel '{}'", symbol));
  if (sharedBytes > kStaticShared)
    driver.check(
        driver.cuFuncSetAttribute(function, kMaxDynamicShared, static_cast<int>(sharedBytes)),
        fmt::format("give the kernel '{}' {} bytes of shared memory", symbol, sharedBytes));
  return function;
}

DeviceMemory::DeviceMemory(uint64_t bytes, const CudaStream &stream)
    : driver(stream.driver), bytes(bytes) {
  if (bytes == 0)
    return;
  if (driver.cuMemAlloc_v2(&start, bytes) != 0) {
    size_t available = 0, total = 0;
    driver.check(driver.cuMemGetInfo_v2(&available, &total), "ask the GPU for its memory");
    fail("the GPU has {} MiB free of {}, {} are needed; use a smaller batch, a shorter context or "
         "memory.limit",
         available >> 20, total >> 20, (bytes + (1 << 20) - 1) >> 20);
  }
  driver.check(driver.cuMemsetD8Async(start, 0, bytes, stream.handle), "clear device memory");
}

DeviceMemory::~DeviceMemory() {
  if (start)
    driver.cuMemFree_v2(start);
}

PinnedMemory::PinnedMemory(const CudaDriver &driver, uint64_t bytes)
    : driver(driver), bytes(bytes) {
  if (bytes > 0)
    driver.check(driver.cuMemAllocHost_v2(&start, bytes),
                 fmt::format("lock {} bytes of memory", bytes));
}

PinnedMemory::~PinnedMemory() {
  if (start)
    driver.cuMemFreeHost(start);
}

} // namespace lmc
