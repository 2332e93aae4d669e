#include "runtime/Session.h"

#include "runtime/CudaDriver.h"
#include "runtime/Device.h"
#include "runtime/Error.h"
#include "runtime/Extent.h"
#include "runtime/Verify.h"

#include <algorithm>

namespace lmc {
namespace {

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

std::unique_ptr<Device> makeDevice(const Executable &executable, const SessionOptions &options) {
  if (isCudaTarget(executable.message().target()))
    return makeCudaDevice(executable, options, options.cuda ? *options.cuda : CudaDriver::system());
  return makeCpuDevice(executable, options);
}

} // namespace

struct Session::Impl {
  Impl(std::shared_ptr<const Executable> shared, SessionOptions options)
      : executable(std::move(shared)), message(verified(*executable)), slots(options.slots),
        device(makeDevice(*executable, options)) {
    for (const executable::Dim &dim : message.dims())
      largest.push_back(dim.max());
    current = largest;
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

  /// Finds a program and sets it up for these dims and this slot.
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
    device->prepare(index, dims, slot);
    current.assign(dims.begin(), dims.end());
    return index;
  }

  void runTimed(int program) {
    seconds.clear();
    for (int i = 0; i < message.programs(program).launches_size(); ++i)
      seconds.push_back(device->runOne(program, i));
  }

  /// Output number, counted from 0, of a launch that holds a NaN or an infinity, or -1.
  int nonFiniteOutput(int index, int number) const {
    const executable::Program &program = message.programs(index);
    const executable::Launch &launch = program.launches(number);
    int inputs = int(launch.num_inputs());
    for (int i = inputs; i < launch.buffers_size(); ++i) {
      const executable::Buffer &buffer = program.buffers(launch.buffers(i));
      if (anyNonFinite(buffer.dtype(), device->operand(index, number, i),
                       evaluate(buffer.elements(), current)))
        return i - inputs;
    }
    return -1;
  }

  std::shared_ptr<const Executable> executable;
  const executable::Executable &message;
  int slots;
  std::unique_ptr<Device> device;
  std::vector<int64_t> largest, current; // every dim's maximum; those of the latest run
  bool profiling = false;
  std::vector<double> seconds;
};

Session::Session(std::shared_ptr<const Executable> executable, SessionOptions options)
    : impl(std::make_unique<Impl>(std::move(executable), options)) {}

Session::~Session() = default;

const Executable &Session::executable() const { return *impl->executable; }

int Session::threads() const { return impl->device->threads(); }

std::vector<int64_t> Session::dimsWith(std::string_view name, int64_t extent) const {
  std::vector<int64_t> dims = impl->largest;
  for (size_t i = 0; i < dims.size(); ++i)
    if (impl->message.dims(int(i)).name() == name)
      dims[i] = extent;
  return dims;
}

std::span<std::byte> Session::bytes(std::string_view name, int slot) {
  int tensor = impl->tensorIndex(name);
  if (impl->message.tensors(tensor).role() == executable::CACHE)
    impl->checkSlot(slot);
  return impl->device->bytes(tensor, slot);
}

void Session::release(std::string_view name) { impl->device->release(impl->tensorIndex(name)); }

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

void Session::run(std::string_view name, std::span<const int64_t> dims, int slot) {
  int program = impl->prepare(name, dims, slot);
  if (impl->profiling)
    impl->runTimed(program);
  else
    impl->device->runAll(program);
}

std::optional<NonFinite> Session::runChecked(std::string_view name, std::span<const int64_t> dims,
                                             int slot) {
  int index = impl->prepare(name, dims, slot);
  const executable::Program &program = impl->message.programs(index);
  for (int i = 0; i < program.launches_size(); ++i) {
    impl->device->runOne(index, i);
    if (int output = impl->nonFiniteOutput(index, i); output >= 0)
      return NonFinite{program.launches(i).output_ops(output),
                       program.launches(i).output_paths(output)};
  }
  return std::nullopt;
}

void Session::setProfiling(bool on) { impl->profiling = on; }

std::span<const double> Session::launchSeconds() const { return impl->seconds; }

uint64_t Session::arenaBytes() const { return impl->device->arenaBytes(); }

uint64_t Session::arenaPeakBytes() const { return impl->device->arenaPeakBytes(); }

} // namespace lmc
