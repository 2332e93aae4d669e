// Programs on this processor: an arena in memory, code in this process, a team of workers.
#include "runtime/Device.h"

#include "runtime/Arena.h"
#include "runtime/Code.h"
#include "runtime/Extent.h"
#include "runtime/Team.h"
#include "runtime/Walk.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace lmc {
namespace {

/// One launch with everything looked up: what the workers read.
struct BoundLaunch {
  KernelFunction kernel;
  void *const *buffers; // into BoundProgram::pointers
};

/// A cache operand, whose address depends on the slot.
struct CachePointer {
  size_t index;    // into BoundProgram::pointers
  uint64_t offset; // in the slot
};

struct BoundProgram {
  std::vector<void *> pointers;
  std::vector<CachePointer> caches;
  std::vector<BoundLaunch> launches;
  std::vector<WalkLaunch> walk; // the same launches; items are for dims
  std::vector<int64_t> dims;
};

class CpuDevice final : public Device {
public:
  CpuDevice(const Executable &executable, SessionOptions options)
      : executable(executable), message(executable.message()), slots(options.slots),
        workers(resolveThreads(options.threads)), layout(message, workers, slots),
        arena(layout.bytes), code(executable), team(workers), walk(team, longest(message)) {
    for (const executable::Dim &dim : message.dims())
      largest.push_back(dim.max());
    fillState();
    for (const executable::Program &program : message.programs())
      programs.push_back(bind(program));
  }

  int threads() const override { return workers; }

  std::span<std::byte> bytes(int tensor, int slot) override {
    const executable::Tensor &t = message.tensors(tensor);
    return {address(t, t.role() == executable::CACHE ? slot : 0), t.bytes()};
  }

  void prepare(int program, std::span<const int64_t> dims, int slot) override {
    BoundProgram &bound = programs[program];
    if (!std::ranges::equal(bound.dims, dims))
      setDims(message.programs(program), bound, dims);
    std::byte *caches = arena.data() + layout.slots + slot * layout.slotBytes;
    for (const CachePointer &cache : bound.caches)
      bound.pointers[cache.index] = caches + cache.offset;
  }

  void runAll(int program) override {
    const BoundProgram &bound = programs[program];
    walk.run(bound.walk, [&](int worker, size_t index, int64_t begin, int64_t end) {
      launch(bound, index, worker, begin, end);
    });
  }

  double runOne(int program, int index) override {
    const BoundProgram &bound = programs[program];
    WalkLaunch alone = bound.walk[index];
    alone.needs = 0;
    using Clock = std::chrono::steady_clock;
    Clock::time_point before = Clock::now();
    walk.run({&alone, 1}, [&](int worker, size_t, int64_t begin, int64_t end) {
      launch(bound, index, worker, begin, end);
    });
    return std::chrono::duration<double>(Clock::now() - before).count();
  }

  const std::byte *operand(int program, int index, int number) override {
    return static_cast<const std::byte *>(programs[program].launches[index].buffers[number]);
  }

  uint64_t arenaBytes() const override { return arena.size(); }
  uint64_t arenaPeakBytes() const override { return peak; }

private:
  void fillState() {
    for (const executable::Tensor &tensor : message.tensors()) {
      if (tensor.arena_offset() < 0)
        continue;
      uint64_t last = tensor.role() == executable::CACHE ? slots - 1 : 0;
      for (uint64_t slot = 0; slot <= last; ++slot)
        touch(address(tensor, int(slot)), tensor.bytes());
      if (tensor.data_offset() >= 0 && tensor.bytes() > 0)
        std::memcpy(address(tensor, 0), stored(tensor), tensor.bytes());
    }
  }

  BoundProgram bind(const executable::Program &program) {
    BoundProgram bound;
    size_t operands = 0;
    for (const executable::Launch &launch : program.launches())
      operands += launch.buffers_size();
    bound.pointers.reserve(operands); // launches point into it
    for (const executable::Launch &launch : program.launches()) {
      bound.launches.push_back(
          {code.kernel(launch.kernel()), bound.pointers.data() + bound.pointers.size()});
      bound.walk.push_back({0, launch.grain(), 0});
      for (uint32_t index : launch.buffers())
        bindBuffer(program.buffers(index), bound);
      uint64_t scratch = message.kernels(launch.kernel()).scratch_bytes();
      if (scratch > 0)
        for (int worker = 0; worker < workers; ++worker)
          touch(scratchOf(worker), scratch);
    }
    setDims(program, bound, largest);
    findNeeds(program, bound);
    return bound;
  }

  void bindBuffer(const executable::Buffer &buffer, BoundProgram &bound) {
    if (buffer.segment() == executable::Buffer::TRANSIENT) {
      std::byte *place = arena.data() + layout.transient + buffer.offset();
      touch(place, buffer.bytes());
      bound.pointers.push_back(place);
      return;
    }
    const executable::Tensor &tensor = message.tensors(buffer.tensor());
    if (tensor.role() == executable::CACHE && tensor.arena_offset() >= 0)
      bound.caches.push_back(
          {bound.pointers.size(), uint64_t(tensor.arena_offset()) + buffer.offset()});
    bound.pointers.push_back(address(tensor, 0) + buffer.offset());
  }

  void setDims(const executable::Program &program, BoundProgram &bound,
               std::span<const int64_t> dims) {
    for (int i = 0; i < program.launches_size(); ++i)
      bound.walk[i].items = evaluate(program.launches(i).items(), dims);
    bound.dims.assign(dims.begin(), dims.end());
  }

  /// Where a tensor is. Mapped ones are read-only memory.
  std::byte *address(const executable::Tensor &tensor, int slot) const {
    if (tensor.arena_offset() < 0)
      return const_cast<std::byte *>(stored(tensor));
    if (tensor.role() == executable::CACHE)
      return arena.data() + layout.slots + slot * layout.slotBytes + tensor.arena_offset();
    return arena.data() + tensor.arena_offset();
  }

  const std::byte *stored(const executable::Tensor &tensor) const {
    return executable.data().data() + tensor.data_offset();
  }

  void *scratchOf(int worker) const {
    if (layout.scratchBytes == 0)
      return nullptr;
    return arena.data() + layout.scratch + worker * layout.scratchBytes;
  }

  /// Notes that [place, place + bytes) of the arena is in use.
  void touch(const void *place, uint64_t bytes) {
    uint64_t offset = static_cast<const std::byte *>(place) - arena.data();
    peak = std::max(peak, alignUp(offset + bytes));
  }

  /// A launch needs all launches up to the last one that writes what it touches, or reads what it
  /// writes; what the plan put into the same memory at another time counts too.
  void findNeeds(const executable::Program &program, BoundProgram &bound) {
    struct Access {
      const std::byte *begin, *end;
      bool writes;
    };
    std::vector<std::vector<Access>> accesses(bound.launches.size());
    for (size_t i = 0; i < accesses.size(); ++i) {
      const executable::Launch &launch = program.launches(int(i));
      for (int b = 0; b < launch.buffers_size(); ++b) {
        auto *begin = static_cast<const std::byte *>(bound.launches[i].buffers[b]);
        uint64_t bytes = program.buffers(launch.buffers(b)).bytes();
        accesses[i].push_back({begin, begin + bytes, b >= int(launch.num_inputs())});
      }
      auto conflicts = [&](size_t before) {
        for (const Access &x : accesses[i])
          for (const Access &y : accesses[before])
            if ((x.writes || y.writes) && x.begin < y.end && y.begin < x.end)
              return true;
        return false;
      };
      size_t needs = i;
      while (needs > 0 && !conflicts(needs - 1))
        --needs;
      bound.walk[i].needs = uint32_t(needs);
    }
  }

  static size_t longest(const executable::Executable &message) {
    int count = 0;
    for (const executable::Program &program : message.programs())
      count = std::max(count, program.launches_size());
    return size_t(count);
  }

  void launch(const BoundProgram &bound, size_t index, int worker, int64_t begin, int64_t end) {
    const BoundLaunch &launch = bound.launches[index];
    launch.kernel(launch.buffers, bound.dims.data(), begin, end, scratchOf(worker));
  }

  const Executable &executable;
  const executable::Executable &message;
  int slots, workers;
  ArenaLayout layout;
  Arena arena;
  Code code;
  Team team;
  Walk walk;
  std::vector<int64_t> largest; // every dim's maximum
  std::vector<BoundProgram> programs;
  uint64_t peak = 0;
};

} // namespace

std::unique_ptr<Device> makeCpuDevice(const Executable &executable, SessionOptions options) {
  return std::make_unique<CpuDevice>(executable, options);
}

} // namespace lmc
