// An executable's memory on a GPU, and what the host sees of it.
//
//   device memory = arena (state | slots x caches | transient) | weights that are stored in the file
#pragma once

#include "runtime/Arena.h"
#include "runtime/CudaResources.h"
#include "runtime/Executable.h"

#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace lmc {

/// Indices of tensors and slots are the executable's; it lives longer, and so does the stream.
class CudaTensors {
public:
  /// Takes the memory, as zeros, and puts copies of stored tensors on the stream.
  CudaTensors(const Executable &executable, int slots, const CudaStream &stream);

  /// Where a launch finds a buffer.
  CudaDriver::Pointer place(const executable::Buffer &buffer, int slot) const;

  /// Where the area for libraries lies.
  CudaDriver::Pointer scratch() const { return arena.data() + layout.scratch; }
  uint64_t scratchBytes() const { return layout.scratchBytes; }

  /// The host's copy of a tensor, as Device::bytes.
  std::span<std::byte> host(int tensor, int slot);
  /// The host's copy of an output stays what it is, until host() is asked for it anew.
  void release(int tensor) { isReleased[tensor] = true; }
  /// Puts copies of what callers may have written since the last run on the stream: a program's
  /// inputs, and tensors that were asked for.
  void upload(const executable::Program &program);
  /// Puts copies of the program's outputs that somebody holds on the stream. False: there are none.
  bool download(const executable::Program &program);

  uint64_t arenaBytes() const { return arena.size(); }
  uint64_t arenaPeakBytes() const { return peak; }

private:
  /// The host's side of a tensor; of a cache, one a slot.
  using Mirror = std::map<int, std::unique_ptr<PinnedMemory>>;

  CudaDriver::Pointer address(const executable::Tensor &tensor, int slot) const;
  std::span<const std::byte> stored(const executable::Tensor &tensor) const;
  void touch(CudaDriver::Pointer place, uint64_t bytes);
  void sendInputs(const executable::Program &program);
  void sendWritten();
  void fillWeights();
  void fillState();
  void touchTransient();

  const Executable &executable;
  const executable::Executable &message;
  const int slots;
  const CudaStream &stream;
  ArenaLayout layout;
  DeviceMemory arena;
  std::vector<uint64_t> weightOffsets; // by tensor; of those that lie in `weights`
  DeviceMemory weights;
  std::vector<Mirror> mirrors;       // by tensor
  const std::vector<bool> isWritten; // by tensor: on the GPU
  std::vector<bool> isReleased;      // by tensor; of outputs
  // Inputs on their way, by tensor: callers may write into the mirrors meanwhile. What did not change since
  // it was sent is not sent again.
  std::vector<std::unique_ptr<PinnedMemory>> staged;
  CudaEvent sent; // when `staged` may be written again
  std::set<std::pair<int, int>>
      written; // tensors and slots of mirrors that live until the next run
  uint64_t peak = 0;
};

} // namespace lmc
