// Programs on an NVIDIA GPU: the arena in its memory, kernels of a cubin, one stream.
//
//   device memory = arena (state | slots x caches | transient) | weights that are stored in the file
//
// A program's launches are recorded once as a CUDA graph for each choice of dims and slot, and
// replayed. Sequence lengths lie in device memory (inputs), so that decoding replays one graph.
#include "runtime/CudaDriver.h"
#include "runtime/Device.h"

#include "runtime/Arena.h"
#include "runtime/Error.h"
#include "runtime/Extent.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lmc {
namespace {

using Pointer = CudaDriver::Pointer;

constexpr int kMaxDynamicShared = 8;         ///< CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr unsigned kNonBlocking = 1;         ///< CU_STREAM_NON_BLOCKING
constexpr int kThreadLocal = 1;              ///< CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
constexpr unsigned kStaticShared = 48 << 10; ///< more must be asked for
/// Recorded graphs of a program; the oldest goes first.
constexpr size_t kGraphs = 64;

/// The driver's current context belongs to a thread.
class Context {
public:
  explicit Context(const CudaDriver &driver) : driver(driver) {
    driver.check(driver.cuDeviceGet(&device, 0), "find the first GPU");
    driver.check(driver.cuDevicePrimaryCtxRetain(&context, device), "start the GPU");
    enter();
  }
  ~Context() { driver.cuDevicePrimaryCtxRelease_v2(device); }
  Context(const Context &) = delete;

  void enter() const { driver.check(driver.cuCtxSetCurrent(context), "use the GPU"); }

  std::string name() const {
    char text[256] = "";
    driver.check(driver.cuDeviceGetName(text, sizeof text, device), "name the GPU");
    return text;
  }

private:
  const CudaDriver &driver;
  int device = 0;
  CudaDriver::Context context = nullptr;
};

/// Device memory, zeros.
class DeviceMemory {
public:
  DeviceMemory(const CudaDriver &driver, uint64_t bytes, CudaDriver::Stream stream)
      : driver(driver), bytes(bytes) {
    if (bytes == 0)
      return;
    if (driver.cuMemAlloc_v2(&start, bytes) != 0) {
      size_t available = 0, total = 0;
      driver.check(driver.cuMemGetInfo_v2(&available, &total), "ask the GPU for its memory");
      fail(
          "the GPU has {} MiB free of {}, {} are needed; use a smaller batch, a shorter context or "
          "memory.limit",
          available >> 20, total >> 20, (bytes + (1 << 20) - 1) >> 20);
    }
    driver.check(driver.cuMemsetD8Async(start, 0, bytes, stream), "clear device memory");
  }
  ~DeviceMemory() {
    if (start)
      driver.cuMemFree_v2(start);
  }
  DeviceMemory(const DeviceMemory &) = delete;

  Pointer data() const { return start; }
  uint64_t size() const { return bytes; }

private:
  const CudaDriver &driver;
  uint64_t bytes;
  Pointer start = 0;
};

/// Page-locked memory of this process, which copies can overlap with kernels.
class PinnedMemory {
public:
  PinnedMemory(const CudaDriver &driver, uint64_t bytes) : driver(driver), bytes(bytes) {
    if (bytes > 0)
      driver.check(driver.cuMemAllocHost_v2(&start, bytes),
                   fmt::format("lock {} bytes of memory", bytes));
  }
  ~PinnedMemory() {
    if (start)
      driver.cuMemFreeHost(start);
  }
  PinnedMemory(const PinnedMemory &) = delete;

  std::span<std::byte> span() const { return {static_cast<std::byte *>(start), bytes}; }

private:
  const CudaDriver &driver;
  uint64_t bytes;
  void *start = nullptr;
};

/// One launch with everything looked up. `parameters` point into the vectors.
struct CudaLaunch {
  CudaDriver::Function function = nullptr;
  unsigned grid = 0, block = 0, shared = 0;
  std::vector<Pointer> buffers;
  std::vector<int64_t> extents;
  std::vector<void *> parameters;
};

struct CudaProgram {
  std::vector<CudaLaunch> launches;
  std::vector<int64_t> dims;
  int slot = 0;
  using Choice = std::pair<std::vector<int64_t>, int>;
  std::map<Choice, CudaDriver::GraphExec> graphs;
};

class CudaDevice final : public Device {
public:
  CudaDevice(const Executable &executable, SessionOptions options, const CudaDriver &driver)
      : executable(executable), message(executable.message()), driver(driver), context(driver),
        layout(message, 1, options.slots), stream(driver),
        arena(driver, layout.bytes, stream.handle), weights(driver, weightBytes(), stream.handle) {
    checkArchitecture();
    loadCode();
    placeWeights();
    for (const executable::Tensor &tensor : message.tensors())
      mirrors.push_back({isTransferred(tensor), {}});
    fillState();
    std::vector<int64_t> largest;
    for (const executable::Dim &dim : message.dims())
      largest.push_back(dim.max());
    for (int i = 0; i < message.programs_size(); ++i) {
      programs.push_back(bind(message.programs(i)));
      prepare(i, largest, 0);
    }
    wait("start");
  }

  ~CudaDevice() override {
    driver.cuCtxSetCurrent(nullptr);
    try {
      context.enter();
    } catch (...) {
    }
    driver.cuStreamSynchronize(stream.handle);
    for (CudaProgram &program : programs)
      for (auto &[choice, graph] : program.graphs)
        driver.cuGraphExecDestroy(graph);
  }

  int threads() const override { return 1; }

  std::span<std::byte> bytes(int index, int slot) override {
    context.enter();
    const executable::Tensor &tensor = message.tensors(index);
    bool cache = tensor.role() == executable::CACHE;
    if (tensor.arena_offset() < 0) // nobody writes it there
      return {const_cast<std::byte *>(executable.data().data()) + tensor.data_offset(),
              tensor.bytes()};
    Mirror &mirror = mirrors[index];
    std::unique_ptr<PinnedMemory> &memory = mirror.slots[cache ? slot : 0];
    bool isNew = !memory;
    if (isNew)
      memory = std::make_unique<PinnedMemory>(driver, tensor.bytes());
    if (mirror.transferred && !isNew)
      return memory->span();
    download(memory->span(), address(tensor, slot));
    wait("copy a tensor from the GPU");
    if (!mirror.transferred)
      written.insert({index, cache ? slot : 0});
    return memory->span();
  }

  void prepare(int index, std::span<const int64_t> dims, int slot) override {
    CudaProgram &program = programs[index];
    if (std::ranges::equal(program.dims, dims) && program.slot == slot)
      return;
    const executable::Program &source = message.programs(index);
    for (int i = 0; i < source.launches_size(); ++i) {
      CudaLaunch &launch = program.launches[i];
      const executable::Launch &from = source.launches(i);
      launch.grid = static_cast<unsigned>(evaluate(from.items(), dims));
      const executable::Kernel &kernel = message.kernels(static_cast<int>(from.kernel()));
      for (int d = 0; d < kernel.dims_size(); ++d)
        launch.extents[d] = dims[kernel.dims(d)];
      for (int b = 0; b < from.buffers_size(); ++b)
        launch.buffers[b] = place(source.buffers(static_cast<int>(from.buffers(b))), slot);
    }
    program.dims.assign(dims.begin(), dims.end());
    program.slot = slot;
  }

  void runAll(int index) override {
    context.enter();
    upload(index);
    CudaProgram &program = programs[index];
    CudaProgram::Choice choice = {program.dims, program.slot};
    auto recorded = program.graphs.find(choice);
    if (recorded == program.graphs.end())
      recorded = program.graphs.emplace(choice, record(index)).first;
    driver.check(driver.cuGraphLaunch(recorded->second, stream.handle), "start a program");
    fetch(index);
    wait(message.programs(index).name());
  }

  double runOne(int index, int number) override {
    context.enter();
    if (number == 0)
      upload(index);
    Event before(driver), after(driver);
    driver.check(driver.cuEventRecord(before.handle, stream.handle), "note the time");
    start(index, number);
    driver.check(driver.cuEventRecord(after.handle, stream.handle), "note the time");
    if (number + 1 == message.programs(index).launches_size())
      fetch(index);
    const executable::Launch &launch = message.programs(index).launches(number);
    wait(fmt::format("{} at '{}'", message.kernels(static_cast<int>(launch.kernel())).symbol(),
                     launch.path()));
    float milliseconds = 0;
    driver.check(driver.cuEventElapsedTime(&milliseconds, before.handle, after.handle),
                 "read the time");
    return milliseconds / 1000.0;
  }

  const std::byte *operand(int index, int number, int which) override {
    context.enter();
    const executable::Launch &launch = message.programs(index).launches(number);
    const executable::Buffer &buffer =
        message.programs(index).buffers(static_cast<int>(launch.buffers(which)));
    looked.resize(buffer.bytes());
    download(looked, programs[index].launches[number].buffers[which]);
    wait("copy a result from the GPU");
    return looked.data();
  }

  uint64_t arenaBytes() const override { return arena.size(); }
  uint64_t arenaPeakBytes() const override { return peak; }

private:
  struct Stream {
    explicit Stream(const CudaDriver &driver) : driver(driver) {
      driver.check(driver.cuStreamCreate(&handle, kNonBlocking), "make a stream");
    }
    ~Stream() { driver.cuStreamDestroy_v2(handle); }
    const CudaDriver &driver;
    CudaDriver::Stream handle = nullptr;
  };

  struct Event {
    explicit Event(const CudaDriver &driver) : driver(driver) {
      driver.check(driver.cuEventCreate(&handle, 0), "make an event");
    }
    ~Event() { driver.cuEventDestroy_v2(handle); }
    const CudaDriver &driver;
    CudaDriver::Event handle = nullptr;
  };

  struct Module {
    Module(const CudaDriver &driver, const void *image) : driver(driver) {
      driver.check(driver.cuModuleLoadData(&handle, image), "load the kernels");
    }
    ~Module() { driver.cuModuleUnload(handle); }
    const CudaDriver &driver;
    CudaDriver::Module handle = nullptr;
  };

  /// The host's side of a tensor; of a cache, one a slot.
  struct Mirror {
    bool transferred; ///< goes there before each run, or comes back after it
    std::map<int, std::unique_ptr<PinnedMemory>> slots;
  };

  static bool isTransferred(const executable::Tensor &tensor) {
    return tensor.role() == executable::INPUT || tensor.role() == executable::OUTPUT;
  }

  /// Code for sm_90a runs on 9.0 only, code for sm_80 on every 8.x: same major version, and no newer
  /// minor one than the GPU's.
  void checkArchitecture() {
    std::string_view target = message.target();
    size_t at = target.find("sm_");
    if (at == target.npos)
      fail("target '{}' names no GPU architecture", target);
    std::string wanted(target.substr(at)), here = driver.architecture();
    int number = std::atoi(wanted.c_str() + 3), own = std::atoi(here.c_str() + 3);
    bool exact = wanted.back() == 'a';
    if (number / 10 != own / 10 || (exact ? number != own : number > own))
      fail("compiled for {}, but this GPU ({}) is {}; compile again with --target cuda:{}", wanted,
           context.name(), here, here);
  }

  void loadCode() {
    for (const executable::Kernel &kernel : message.kernels()) {
      std::unique_ptr<Module> &module = modules[kernel.image_offset()];
      if (!module)
        module = std::make_unique<Module>(driver, executable.code().data() + kernel.image_offset());
      CudaDriver::Function function = nullptr;
      driver.check(driver.cuModuleGetFunction(&function, module->handle, kernel.symbol().c_str()),
                   fmt::format("find the kernel '{}'", kernel.symbol()));
      if (kernel.shared_bytes() > kStaticShared)
        driver.check(driver.cuFuncSetAttribute(function, kMaxDynamicShared,
                                               static_cast<int>(kernel.shared_bytes())),
                     fmt::format("give the kernel '{}' {} bytes of shared memory", kernel.symbol(),
                                 kernel.shared_bytes()));
      functions.push_back(function);
    }
  }

  /// Of tensors that a CPU would use where the file is mapped.
  uint64_t weightBytes() const {
    uint64_t total = 0;
    for (const executable::Tensor &tensor : message.tensors())
      if (tensor.arena_offset() < 0)
        total += alignUp(tensor.bytes());
    return total;
  }

  void placeWeights() {
    uint64_t next = 0;
    for (const executable::Tensor &tensor : message.tensors()) {
      weightOffsets.push_back(next);
      if (tensor.arena_offset() >= 0)
        continue;
      upload(weights.data() + next, stored(tensor));
      next += alignUp(tensor.bytes());
    }
  }

  void fillState() {
    for (const executable::Tensor &tensor : message.tensors()) {
      if (tensor.arena_offset() < 0)
        continue;
      uint64_t slots =
          tensor.role() == executable::CACHE
              ? (layout.transient - layout.slots) / std::max<uint64_t>(1, layout.slotBytes)
              : 1;
      for (uint64_t slot = 0; slot < slots; ++slot)
        touch(address(tensor, static_cast<int>(slot)), tensor.bytes());
      if (tensor.data_offset() >= 0)
        upload(address(tensor, 0), stored(tensor));
    }
  }

  CudaProgram bind(const executable::Program &program) {
    CudaProgram bound;
    bound.slot = -1; // nothing is chosen yet
    for (const executable::Launch &from : program.launches()) {
      CudaLaunch &launch = bound.launches.emplace_back();
      const executable::Kernel &kernel = message.kernels(static_cast<int>(from.kernel()));
      launch.function = functions[from.kernel()];
      launch.block = kernel.block_threads();
      launch.shared = kernel.shared_bytes();
      launch.buffers.resize(from.buffers_size());
      launch.extents.resize(kernel.dims_size());
      for (uint32_t index : from.buffers()) {
        const executable::Buffer &buffer = program.buffers(static_cast<int>(index));
        if (buffer.segment() == executable::Buffer::TRANSIENT)
          touch(arena.data() + layout.transient + buffer.offset(), buffer.bytes());
      }
    }
    for (CudaLaunch &launch : bound.launches) {
      for (Pointer &buffer : launch.buffers)
        launch.parameters.push_back(&buffer);
      for (int64_t &extent : launch.extents)
        launch.parameters.push_back(&extent);
    }
    return bound;
  }

  Pointer address(const executable::Tensor &tensor, int slot) const {
    if (tensor.role() == executable::CACHE)
      return arena.data() + layout.slots + slot * layout.slotBytes + tensor.arena_offset();
    return arena.data() + tensor.arena_offset();
  }

  Pointer place(const executable::Buffer &buffer, int slot) const {
    if (buffer.segment() == executable::Buffer::TRANSIENT)
      return arena.data() + layout.transient + buffer.offset();
    int index = static_cast<int>(buffer.tensor());
    const executable::Tensor &tensor = message.tensors(index);
    Pointer start =
        tensor.arena_offset() < 0 ? weights.data() + weightOffsets[index] : address(tensor, slot);
    return start + buffer.offset();
  }

  std::span<const std::byte> stored(const executable::Tensor &tensor) const {
    return executable.data().subspan(tensor.data_offset(), tensor.bytes());
  }

  void touch(Pointer place, uint64_t bytes) {
    peak = std::max(peak, alignUp(place - arena.data() + bytes));
  }

  void upload(Pointer to, std::span<const std::byte> from) {
    if (!from.empty())
      driver.check(driver.cuMemcpyHtoDAsync_v2(to, from.data(), from.size(), stream.handle),
                   "copy to the GPU");
  }
  void download(std::span<std::byte> to, Pointer from) {
    if (!to.empty())
      driver.check(driver.cuMemcpyDtoHAsync_v2(to.data(), from, to.size(), stream.handle),
                   "copy from the GPU");
  }

  /// What callers may have written since the last run: a program's inputs, and tensors that were
  /// asked for.
  void upload(int index) {
    for (uint32_t input : message.programs(index).inputs())
      if (auto memory = mirrors[input].slots.find(0); memory != mirrors[input].slots.end())
        upload(address(message.tensors(static_cast<int>(input)), 0), memory->second->span());
    for (auto [tensor, slot] : written)
      upload(address(message.tensors(tensor), slot), mirrors[tensor].slots.at(slot)->span());
    // Their memory goes when the copies are done; spans of them end with a run.
    if (!written.empty())
      wait("copy to the GPU");
    for (auto [tensor, slot] : written)
      mirrors[tensor].slots.erase(slot);
    written.clear();
  }

  /// The program's outputs that somebody holds, back to the host.
  void fetch(int index) {
    for (uint32_t output : message.programs(index).outputs())
      if (auto memory = mirrors[output].slots.find(0); memory != mirrors[output].slots.end())
        download(memory->second->span(), address(message.tensors(static_cast<int>(output)), 0));
  }

  void start(int index, int number) {
    CudaLaunch &launch = programs[index].launches[number];
    if (launch.grid == 0)
      return;
    driver.check(driver.cuLaunchKernel(launch.function, launch.grid, 1, 1, launch.block, 1, 1,
                                       launch.shared, stream.handle, launch.parameters.data(),
                                       nullptr),
                 fmt::format("launch '{}'", message.programs(index).launches(number).path()));
  }

  CudaDriver::GraphExec record(int index) {
    CudaProgram &program = programs[index];
    if (program.graphs.size() >= kGraphs) {
      driver.cuGraphExecDestroy(program.graphs.begin()->second);
      program.graphs.erase(program.graphs.begin());
    }
    driver.check(driver.cuStreamBeginCapture_v2(stream.handle, kThreadLocal), "record a program");
    for (size_t i = 0; i < program.launches.size(); ++i)
      start(index, static_cast<int>(i));
    CudaDriver::Graph graph = nullptr;
    driver.check(driver.cuStreamEndCapture(stream.handle, &graph), "record a program");
    CudaDriver::GraphExec ready = nullptr;
    int result = driver.cuGraphInstantiateWithFlags(&ready, graph, 0);
    driver.cuGraphDestroy(graph);
    driver.check(result, "prepare a recorded program");
    return ready;
  }

  void wait(std::string_view what) {
    if (int result = driver.cuStreamSynchronize(stream.handle); result != 0)
      driver.check(result, fmt::format("finish {}", what));
  }

  const Executable &executable;
  const executable::Executable &message;
  const CudaDriver &driver;
  Context context;
  ArenaLayout layout;
  Stream stream;
  DeviceMemory arena, weights;
  std::map<uint64_t, std::unique_ptr<Module>> modules; // by image_offset
  std::vector<CudaDriver::Function> functions;
  std::vector<uint64_t> weightOffsets; // by tensor
  std::vector<Mirror> mirrors;         // by tensor
  std::set<std::pair<int, int>> written;
  std::vector<CudaProgram> programs;
  std::vector<std::byte> looked;
  uint64_t peak = 0;
};

} // namespace

std::unique_ptr<Device> makeCudaDevice(const Executable &executable, SessionOptions options,
                                       const CudaDriver &driver) {
  return std::make_unique<CudaDevice>(executable, options, driver);
}

} // namespace lmc
