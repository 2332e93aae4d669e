// Programs on an NVIDIA GPU: kernels of cubins on one stream, over the memory of CudaTensors.h.
//
// A program's launches are recorded once as a CUDA graph for each choice of dims and slot, and
// replayed. Sequence lengths lie in device memory (inputs), so that decoding replays one graph.
#include "runtime/CudaGraphs.h"
#include "runtime/CudaProducts.h"
#include "runtime/CudaTensors.h"
#include "runtime/Device.h"

#include "runtime/Error.h"
#include "runtime/Extent.h"
#include "runtime/Knobs.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lmc {
namespace {

constexpr size_t kGraphs = 64; ///< recorded of one program

/// Code for sm_90a runs on 9.0 only, code for sm_80 on every 8.x: same major version, and no newer
/// minor one than the GPU's.
void checkArchitecture(std::string_view target, const CudaDriver &driver,
                       const CudaContext &context) {
  size_t at = target.find("sm_");
  if (at == target.npos)
    fail("target '{}' names no GPU architecture", target);
  std::string wanted(target.substr(at)), here = driver.architecture();
  int number = std::atoi(wanted.c_str() + 3), own = std::atoi(here.c_str() + 3);
  bool exact = wanted.back() == 'a';
  if (number / 10 != own / 10 || (exact ? number != own : number > own))
    fail("compiled for {}, but this GPU ({}) is {}; compile again with --target cuda:{}", wanted,
         context.deviceName(), here, here);
}

/// CUtensorMap: how copies of tiles see a buffer.
struct alignas(64) EncodedMap {
  char bytes[128];
};

/// One launch with everything looked up. `parameters` point into the vectors.
struct CudaLaunch {
  CudaDriver::Function function = nullptr;
  CudaProduct *product = nullptr; ///< in place of the function, where cuBLASLt computes it
  unsigned grid = 0, block = 0, shared = 0;
  std::vector<CudaDriver::Pointer> buffers;
  std::vector<int64_t> extents;
  std::vector<EncodedMap> maps;
  std::vector<void *> parameters;
};

struct CudaProgram {
  std::vector<CudaLaunch> launches;
  CudaChoice chosen, bound; // of the next run; what the launches hold
  CudaGraphs graphs{kGraphs};
};

class CudaDevice final : public Device {
public:
  CudaDevice(const Executable &executable, SessionOptions options, const CudaDriver &driver)
      : message(executable.message()), driver(driver), oneByOne(knobs::cudaSync()), context(driver),
        stream(driver), tensors(executable, options.slots, stream),
        products(message, options.cublasLt, stream, tensors.scratch(), tensors.scratchBytes()) {
    checkArchitecture(message.target(), driver, context);
    loadCode(executable.code());
    for (const executable::Program &program : message.programs())
      programs.push_back(load(program));
    stream.wait("start");
  }

  /// Nobody is left to hear of a failure.
  ~CudaDevice() override {
    context.tryEnter();
    driver.cuStreamSynchronize(stream.handle);
  }

  int threads() const override { return 1; }

  std::span<std::byte> bytes(int tensor, int slot) override {
    context.enter();
    return tensors.host(tensor, slot);
  }

  void release(int tensor) override { tensors.release(tensor); }

  void prepare(int index, std::span<const int64_t> dims, int slot) override {
    CudaChoice &chosen = programs[index].chosen;
    chosen.dims.assign(dims.begin(), dims.end());
    chosen.slot = slot;
  }

  void runAll(int index) override {
    if (oneByOne) {
      for (int i = 0; i < message.programs(index).launches_size(); ++i)
        runOne(index, i);
      return;
    }
    context.enter();
    CudaProgram &program = programs[index];
    tensors.upload(message.programs(index));
    CudaDriver::GraphExec graph = program.graphs.of(
        program.chosen, stream, [&] { bind(index); },
        [&] {
          for (size_t i = 0; i < program.launches.size(); ++i)
            start(index, static_cast<int>(i));
        });
    driver.check(driver.cuGraphLaunch(graph, stream.handle), "start a program");
    // A caller who holds no output has nothing to look at yet, and may prepare the next run: of
    // micro-batches the next one is loaded and sent while this one is computed.
    if (tensors.download(message.programs(index)))
      stream.wait(message.programs(index).name());
  }

  double runOne(int index, int number) override {
    context.enter();
    bind(index);
    const executable::Program &program = message.programs(index);
    if (number == 0)
      tensors.upload(program);
    CudaEvent before(driver), after(driver);
    before.record(stream);
    start(index, number);
    after.record(stream);
    if (number + 1 == program.launches_size())
      tensors.download(program);
    stream.wait(describe(program.launches(number)));
    return after.secondsSince(before);
  }

  const std::byte *operand(int index, int number, int which) override {
    context.enter();
    bind(index);
    const executable::Program &program = message.programs(index);
    uint32_t buffer = program.launches(number).buffers(which);
    looked.resize(program.buffers(static_cast<int>(buffer)).bytes());
    stream.download(looked, programs[index].launches[number].buffers[which]);
    stream.wait("copying a result from the GPU");
    return looked.data();
  }

  uint64_t arenaBytes() const override { return tensors.arenaBytes(); }
  uint64_t arenaPeakBytes() const override { return tensors.arenaPeakBytes(); }

private:
  void loadCode(std::span<const std::byte> code) {
    for (const executable::Kernel &kernel : message.kernels()) {
      std::unique_ptr<CudaModule> &module = modules[kernel.image_offset()];
      if (!module)
        module = std::make_unique<CudaModule>(driver, code.data() + kernel.image_offset());
      functions.push_back(module->function(kernel.symbol(), kernel.shared_bytes()));
    }
  }

  /// A program's launches as far as they do not depend on a choice.
  CudaProgram load(const executable::Program &program) {
    CudaProgram loaded;
    for (const executable::Launch &from : program.launches()) {
      CudaLaunch &launch = loaded.launches.emplace_back();
      const executable::Kernel &kernel = message.kernels(static_cast<int>(from.kernel()));
      launch.function = functions[from.kernel()];
      launch.block = kernel.block_threads();
      launch.shared = kernel.shared_bytes();
      launch.buffers.resize(from.buffers_size());
      launch.extents.resize(kernel.dims_size());
      launch.maps.resize(kernel.tensor_maps_size());
    }
    for (int i = 0; i < program.launches_size(); ++i) {
      CudaLaunch &launch = loaded.launches[i];
      if (message.kernels(static_cast<int>(program.launches(i).kernel())).addresses() > 0)
        launch.parameters.push_back(launch.buffers.data());
      else
        for (CudaDriver::Pointer &buffer : launch.buffers)
          launch.parameters.push_back(&buffer);
      for (int64_t &extent : launch.extents)
        launch.parameters.push_back(&extent);
      for (EncodedMap &map : launch.maps)
        launch.parameters.push_back(&map);
    }
    return loaded;
  }

  /// The rest, for the choice of the next run. Only who puts launches on the stream needs it: a
  /// graph has its own.
  void bind(int index) {
    CudaProgram &program = programs[index];
    const CudaChoice &chosen = program.chosen;
    if (program.bound == chosen)
      return;
    const executable::Program &source = message.programs(index);
    for (int i = 0; i < source.launches_size(); ++i) {
      CudaLaunch &launch = program.launches[i];
      const executable::Launch &from = source.launches(i);
      launch.grid = static_cast<unsigned>(evaluate(from.items(), chosen.dims));
      const executable::Kernel &kernel = message.kernels(static_cast<int>(from.kernel()));
      for (int d = 0; d < kernel.dims_size(); ++d)
        launch.extents[d] = chosen.dims[kernel.dims(d)];
      for (int b = 0; b < from.buffers_size(); ++b)
        launch.buffers[b] =
            tensors.place(source.buffers(static_cast<int>(from.buffers(b))), chosen.slot);
      if (launch.grid > 0)
        for (int m = 0; m < kernel.tensor_maps_size(); ++m)
          encode(launch.maps[m], kernel.tensor_maps(m), launch.buffers, chosen.dims);
      launch.product =
          launch.grid > 0 ? products.find(kernel, chosen.dims, launch.buffers) : nullptr;
    }
    program.bound = chosen;
  }

  void encode(EncodedMap &to, const executable::TensorMap &map,
              std::span<const CudaDriver::Pointer> buffers, std::span<const int64_t> dims) const {
    // CU_TENSOR_MAP_*: DATA_TYPE_BFLOAT16, SWIZZLE_128B, L2_PROMOTION_L2_256B; no interleaving, zeros
    // beyond the ends.
    constexpr int kBfloat16 = 9, kSwizzle128 = 3, kPromotion256 = 3;
    std::vector<uint64_t> sizes, strides;
    for (const executable::Extent &size : map.sizes())
      sizes.push_back(evaluate(size, dims));
    for (const executable::Extent &stride : map.strides())
      strides.push_back(evaluate(stride, dims));
    std::vector<uint32_t> box(map.box().begin(), map.box().end()), steps(box.size(), 1);
    auto *start = reinterpret_cast<void *>(buffers[map.buffer()] + map.offset());
    driver.check(driver.cuTensorMapEncodeTiled(&to, kBfloat16, map.sizes_size(), start,
                                               sizes.data(), strides.data(), box.data(),
                                               steps.data(), 0, kSwizzle128, kPromotion256, 0),
                 "describe a tensor to the GPU");
  }

  /// A launch in an error: "kernel 'lmc_row_1f' (lm.rms_norm) at 'layers.0.attn_norm'".
  std::string describe(const executable::Launch &launch) const {
    std::set<std::string_view> ops(launch.output_ops().begin(), launch.output_ops().end());
    return fmt::format("kernel '{}' ({}) at '{}'",
                       message.kernels(static_cast<int>(launch.kernel())).symbol(),
                       fmt::join(ops, ", "), launch.path());
  }

  void start(int index, int number) {
    CudaLaunch &launch = programs[index].launches[number];
    if (launch.grid == 0)
      return;
    const executable::Launch &from = message.programs(index).launches(number);
    if (launch.product) {
      products.start(*launch.product, message.kernels(static_cast<int>(from.kernel())),
                     programs[index].bound.dims, launch.buffers, "launch " + describe(from));
      return;
    }
    driver.check(driver.cuLaunchKernel(launch.function, launch.grid, 1, 1, launch.block, 1, 1,
                                       launch.shared, stream.handle, launch.parameters.data(),
                                       nullptr),
                 "launch " + describe(from));
  }

  const executable::Executable &message;
  const CudaDriver &driver;
  const bool oneByOne; ///< a run waits for each of its launches
  CudaContext context;
  CudaStream stream;
  CudaTensors tensors;
  CudaProducts products;
  std::map<uint64_t, std::unique_ptr<CudaModule>> modules; // by image_offset
  std::vector<CudaDriver::Function> functions;             // by kernel
  std::vector<CudaProgram> programs;
  std::vector<std::byte> looked;
};

} // namespace

std::unique_ptr<Device> makeCudaDevice(const Executable &executable, SessionOptions options,
                                       const CudaDriver &driver) {
  return std::make_unique<CudaDevice>(executable, options, driver);
}

} // namespace lmc
