// What a session's programs run on: this processor, or a GPU. Session.h is the interface for callers.
#pragma once

#include "runtime/Session.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace lmc {

struct CudaDriver;

/// Holds an executable's tensors and runs its launches. Indices are those of the executable, which has
/// been verified and lives longer; dims are in their ranges, slots exist.
class Device {
public:
  virtual ~Device() = default;

  virtual int threads() const = 0;

  /// Memory of this process with a tensor's elements, valid until the next run. What is written
  /// there, the next run sees.
  virtual std::span<std::byte> bytes(int tensor, int slot) = 0;

  /// Nobody looks at an output any more until bytes() is asked for it anew.
  virtual void release(int tensor) {}

  /// Chooses the dims and the slot of the next runs of a program. Does not allocate on the CPU.
  virtual void prepare(int program, std::span<const int64_t> dims, int slot) = 0;
  /// All launches. What is asked for afterwards is as they left it; on a GPU they may still run
  /// where the caller holds none of the program's outputs.
  virtual void runAll(int program) = 0;
  /// One launch by itself; the seconds it took.
  virtual double runOne(int program, int launch) = 0;
  /// A launch's operand as it is now, valid until the next run or call.
  virtual const std::byte *operand(int program, int launch, int number) = 0;

  virtual uint64_t arenaBytes() const = 0;
  virtual uint64_t arenaPeakBytes() const = 0;
};

std::unique_ptr<Device> makeCpuDevice(const Executable &executable, SessionOptions options);

/// Throws Error where the GPU refuses the code or the memory.
std::unique_ptr<Device> makeCudaDevice(const Executable &executable, SessionOptions options,
                                       const CudaDriver &driver);

} // namespace lmc
