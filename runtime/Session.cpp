#include "runtime/Session.h"

#include "runtime/Arena.h"
#include "runtime/Code.h"
#include "runtime/Error.h"
#include "runtime/Extent.h"
#include "runtime/Team.h"
#include "runtime/Verify.h"
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

const executable::Executable &verified(const Executable &executable) {
  verify(executable.message(), executable.data().size());
  return executable.message();
}

/// Whether any of `count` elements is a NaN or an infinity: all exponent bits set.
template <typename Word> bool anyNonFinite(const void *data, int64_t count, Word exponent) {
  const Word *words = static_cast<const Word *>(data);
  constexpr int64_t kBlock = 4096; // without an exit inside, so that it vectorises
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    int64_t end = std::min(count, begin + kBlock);
    bool found = false;
    for (int64_t i = begin; i < end; ++i)
      found |= (words[i] & exponent) == exponent;
    if (found)
      return true;
  }
  return false;
}

bool anyNonFinite(executable::DType type, const void *data, int64_t count) {
  switch (type) {
  case executable::F32:
    return anyNonFinite<uint32_t>(data, count, 0x7f800000u);
  case executable::BF16:
    return anyNonFinite<uint16_t>(data, count, 0x7f80u);
  case executable::F16:
    return anyNonFinite<uint16_t>(data, count, 0x7c00u);
  case executable::F64:
    return anyNonFinite<uint64_t>(data, count, 0x7ff0000000000000ull);
  default:
    return false;
  }
}

} // namespace

struct Session::Impl {
  Impl(std::shared_ptr<const Executable> shared, SessionOptions options)
      : executable(std::move(shared)), message(verified(*executable)), slots(options.slots),
        workers(resolveThreads(options.threads)), layout(message, workers, slots),
        arena(layout.bytes), code(*executable), team(workers), walk(team, longest(message)) {
    for (const executable::Dim &dim : message.dims())
      largest.push_back(dim.max());
    fillState();
    for (const executable::Program &program : message.programs())
      programs.push_back(bind(program));
  }

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
    return executable->data().data() + tensor.data_offset();
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

  int tensorIndex(std::string_view name) const {
    int index = executable->findTensor(name);
    if (index < 0)
      fail("the executable has no tensor '{}'", name);
    return index;
  }

  void checkSlot(int slot) const {
    if (slot < 0 || slot >= slots)
      fail("slot {} of a session with {} slots", slot, slots);
  }

  /// Finds a program and sets it up for these dims and this slot. Does not allocate.
  int prepare(std::string_view name, std::span<const int64_t> dims, int slot) {
    int index = executable->findProgram(name);
    if (index < 0)
      fail("the executable has no program '{}'", name);
    checkSlot(slot);
    if (dims.empty())
      dims = largest;
    if (dims.size() != largest.size())
      fail("program '{}': {} dims given, the executable has {}", name, dims.size(), largest.size());
    for (size_t i = 0; i < dims.size(); ++i)
      if (const executable::Dim &dim = message.dims(int(i));
          dims[i] < dim.min() || dims[i] > dim.max())
        fail("program '{}': dim '{}' is {}, must be {} to {}", name, dim.name(), dims[i], dim.min(),
             dim.max());
    BoundProgram &bound = programs[index];
    if (!std::ranges::equal(bound.dims, dims))
      setDims(message.programs(index), bound, dims);
    std::byte *caches = arena.data() + layout.slots + slot * layout.slotBytes;
    for (const CachePointer &cache : bound.caches)
      bound.pointers[cache.index] = caches + cache.offset;
    return index;
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

  void runAll(const BoundProgram &bound) {
    walk.run(bound.walk, [&](int worker, size_t index, int64_t begin, int64_t end) {
      launch(bound, index, worker, begin, end);
    });
  }

  /// One launch by itself: for clocks, and to look at what it wrote.
  void runOne(const BoundProgram &bound, size_t index) {
    WalkLaunch alone = bound.walk[index];
    alone.needs = 0;
    walk.run({&alone, 1}, [&](int worker, size_t, int64_t begin, int64_t end) {
      launch(bound, index, worker, begin, end);
    });
  }

  void runTimed(const BoundProgram &bound) {
    using Clock = std::chrono::steady_clock;
    seconds.assign(bound.launches.size(), 0);
    for (size_t i = 0; i < bound.launches.size(); ++i) {
      Clock::time_point before = Clock::now();
      runOne(bound, i);
      seconds[i] = std::chrono::duration<double>(Clock::now() - before).count();
    }
  }

  /// Output number, counted from 0, of a launch that holds a NaN or an infinity, or -1.
  int nonFiniteOutput(const executable::Program &program, const BoundProgram &bound,
                      size_t index) const {
    const executable::Launch &launch = program.launches(int(index));
    int inputs = int(launch.num_inputs());
    for (int i = inputs; i < launch.buffers_size(); ++i) {
      const executable::Buffer &buffer = program.buffers(launch.buffers(i));
      if (anyNonFinite(buffer.dtype(), bound.launches[index].buffers[i],
                       evaluate(buffer.elements(), bound.dims)))
        return i - inputs;
    }
    return -1;
  }

  std::shared_ptr<const Executable> executable;
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
  bool profiling = false;
  std::vector<double> seconds;
};

Session::Session(std::shared_ptr<const Executable> executable, SessionOptions options)
    : impl(std::make_unique<Impl>(std::move(executable), options)) {}

Session::~Session() = default;

const Executable &Session::executable() const { return *impl->executable; }

int Session::threads() const { return impl->workers; }

std::span<std::byte> Session::bytes(std::string_view name, int slot) {
  const executable::Tensor &tensor = impl->message.tensors(impl->tensorIndex(name));
  if (tensor.role() == executable::CACHE)
    impl->checkSlot(slot);
  return {impl->address(tensor, slot), size_t(tensor.bytes())};
}

template <typename T, typename Span>
static std::span<T> typed(Span bytes, const executable::Tensor &tensor,
                          executable::DType expected) {
  if (tensor.dtype() != expected)
    fail("tensor '{}' is {}, not {}", tensor.name(), nameOf(tensor.dtype()), nameOf(expected));
  if (tensor.has_packing())
    fail("tensor '{}' is packed for products; read it from the model's folder", tensor.name());
  return {reinterpret_cast<T *>(bytes.data()), bytes.size() / sizeof(T)};
}

std::span<float> Session::f32(std::string_view name, int slot) {
  const executable::Tensor &tensor = impl->message.tensors(impl->tensorIndex(name));
  return typed<float>(bytes(name, slot), tensor, executable::F32);
}

std::span<int32_t> Session::i32(std::string_view name, int slot) {
  const executable::Tensor &tensor = impl->message.tensors(impl->tensorIndex(name));
  return typed<int32_t>(bytes(name, slot), tensor, executable::I32);
}

void Session::run(std::string_view program, std::span<const int64_t> dims, int slot) {
  const BoundProgram &bound = impl->programs[impl->prepare(program, dims, slot)];
  if (impl->profiling)
    impl->runTimed(bound);
  else
    impl->runAll(bound);
}

std::optional<NonFinite> Session::runChecked(std::string_view name, std::span<const int64_t> dims,
                                             int slot) {
  int index = impl->prepare(name, dims, slot);
  const executable::Program &program = impl->message.programs(index);
  const BoundProgram &bound = impl->programs[index];
  for (size_t i = 0; i < bound.launches.size(); ++i) {
    impl->runOne(bound, i);
    if (int output = impl->nonFiniteOutput(program, bound, i); output >= 0)
      return NonFinite{program.launches(int(i)).output_ops(output),
                       program.launches(int(i)).output_paths(output)};
  }
  return std::nullopt;
}

void Session::setProfiling(bool on) { impl->profiling = on; }

std::span<const double> Session::launchSeconds() const { return impl->seconds; }

uint64_t Session::arenaBytes() const { return impl->arena.size(); }

uint64_t Session::arenaPeakBytes() const { return impl->peak; }

} // namespace lmc
