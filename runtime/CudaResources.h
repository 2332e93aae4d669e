// What NVIDIA's driver lends a session; each object gives its own back. Failures throw Error.
#pragma once

#include "runtime/CudaDriver.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lmc {

/// The first GPU's primary context. The driver's current context belongs to a thread, so that every
/// call of a session enters it; it must be current where the objects below are made and destroyed.
class CudaContext {
public:
  explicit CudaContext(const CudaDriver &driver);
  ~CudaContext() { driver.cuDevicePrimaryCtxRelease_v2(device); }
  CudaContext(const CudaContext &) = delete;

  void enter() const { driver.check(tryEnter(), "use the GPU"); }
  /// For destructors: a CUresult instead of an Error.
  int tryEnter() const { return driver.cuCtxSetCurrent(context); }
  std::string deviceName() const;

private:
  const CudaDriver &driver;
  int device = 0;
  CudaDriver::Context context = nullptr;
};

/// Work in the order in which it was put there, beside what the host does.
class CudaStream {
public:
  explicit CudaStream(const CudaDriver &driver);
  ~CudaStream() { driver.cuStreamDestroy_v2(handle); }
  CudaStream(const CudaStream &) = delete;

  /// Back when all work is done. Throws Error "cannot finish WHAT: ..." where some of it failed.
  void wait(std::string_view what) const;
  void upload(CudaDriver::Pointer to, std::span<const std::byte> from) const;
  void download(std::span<std::byte> to, CudaDriver::Pointer from) const;

  const CudaDriver &driver;
  CudaDriver::Stream handle = nullptr;
};

/// A point in a stream, with its time.
class CudaEvent {
public:
  explicit CudaEvent(const CudaDriver &driver);
  ~CudaEvent() { driver.cuEventDestroy_v2(handle); }
  CudaEvent(const CudaEvent &) = delete;

  void record(const CudaStream &stream);
  /// Back when the stream has got there; at once where nothing was recorded yet.
  void wait(std::string_view what) const;
  /// Both events must have happened.
  double secondsSince(const CudaEvent &start) const;

private:
  const CudaDriver &driver;
  CudaDriver::Event handle = nullptr;
};

/// The kernels of one cubin.
class CudaModule {
public:
  CudaModule(const CudaDriver &driver, const void *image);
  ~CudaModule() { driver.cuModuleUnload(handle); }
  CudaModule(const CudaModule &) = delete;

  /// sharedBytes: the most that a launch will ask for.
  CudaDriver::Function function(const std::string &symbol, uint32_t sharedBytes) const;

private:
  const CudaDriver &driver;
  CudaDriver::Module handle = nullptr;
};

/// Device memory, zeros. A GPU that has too little of it is an Error that says how much there is.
class DeviceMemory {
public:
  DeviceMemory(uint64_t bytes, const CudaStream &stream);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory &) = delete;

  CudaDriver::Pointer data() const { return start; }
  uint64_t size() const { return bytes; }

private:
  const CudaDriver &driver;
  uint64_t bytes;
  CudaDriver::Pointer start = 0;
};

/// Page-locked memory of this process, which copies can overlap with kernels.
class PinnedMemory {
public:
  PinnedMemory(const CudaDriver &driver, uint64_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory &) = delete;

  std::span<std::byte> span() const { return {static_cast<std::byte *>(start), bytes}; }

private:
  const CudaDriver &driver;
  uint64_t bytes;
  void *start = nullptr;
};

} // namespace lmc
