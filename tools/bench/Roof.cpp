#include "tools/bench/Roof.h"

#include "codegen/cpu/Emit.h"

#include "mlir/IR/BuiltinOps.h"

#include <algorithm>
#include <chrono>

using namespace mlir;

namespace lmc::bench {
namespace {

/// Steps of a work item of `multiply`: some ten microseconds.
constexpr int64_t kSteps = 2000;
/// Work items of a measurement: some ten milliseconds.
constexpr int64_t kItems = 1000;
/// Floats that one work item of `read` reads: 64 KiB, sequential within a worker.
constexpr int64_t kBlock = 16 << 10;

/// Accumulators: enough to hide the latency of two FMA units, few enough for the register file.
unsigned accumulatorsOf(const cpu::Target &target) {
  return target.vectorRegisters >= 32 ? 24 : 12;
}

/// A kernel that stores one vector an item, the sum of what `accumulate` gives; buffers: in, out.
void emitSums(cpu::Emit &e, const char *symbol,
              llvm::function_ref<cpu::Emit::Values(Value in, Value item)> accumulate) {
  e.beginKernel(symbol, UnknownLoc::get(e.builder().getContext()));
  unsigned lanes = e.target().lanes();
  Value in = e.buffer(0), out = e.buffer(1);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    cpu::Emit::Values sums = accumulate(in, item);
    Value total = sums[0];
    for (size_t i = 1; i < sums.size(); ++i)
      total = e.addf(total, sums[i]);
    e.store(e.f32Type(), total, out, e.mul(item, static_cast<int64_t>(lanes)), cpu::Lanes(lanes));
  });
  e.endKernel();
}

/// acc[i] = acc[i] * a + a, over and over, for the vector a.
void emitMultiply(cpu::Emit &e) {
  emitSums(e, "multiply", [&](Value in, Value) {
    unsigned lanes = e.target().lanes();
    Value a = e.load(e.f32Type(), in, e.i64(0), cpu::Lanes(lanes));
    cpu::Emit::Values sums;
    for (unsigned i = 0; i < accumulatorsOf(e.target()); ++i)
      sums.push_back(e.f32(i, lanes));
    return e.loopCarried(e.i64(0), e.i64(kSteps), e.i64(1), sums, [&](Value, ValueRange carried) {
      cpu::Emit::Values next;
      for (Value sum : carried)
        next.push_back(e.fma(sum, a, a));
      return next;
    });
  });
}

/// The sum of a block of memory.
void emitRead(cpu::Emit &e) {
  emitSums(e, "read", [&](Value in, Value item) {
    constexpr int64_t unroll = 8;
    unsigned lanes = e.target().lanes();
    cpu::Emit::Values sums(unroll, e.f32(0, lanes));
    Value first = e.mul(item, kBlock);
    return e.loopCarried(
        first, e.add(first, kBlock), e.i64(unroll * lanes), sums,
        [&](Value at, ValueRange carried) {
          cpu::Emit::Values next;
          for (int64_t i = 0; i < unroll; ++i) {
            Value place = e.add(at, i * lanes);
            next.push_back(e.addf(carried[i], e.load(e.f32Type(), in, place, cpu::Lanes(lanes))));
          }
          return next;
        });
  });
}

cpu::LoadedCode compileRoof(const cpu::Target &target) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  cpu::loadCodegenDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  cpu::Emit emit(*module, target);
  emitMultiply(emit);
  emitRead(emit);
  cpu::Bytes object = cpu::compileObject(*module, target);
  return cpu::LoadedCode(cpu::linkShared({&object, 1}));
}

} // namespace

double secondsOf(const std::function<void()> &work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Work items of `read`.
static int64_t blocksOf(const Arena &memory) {
  return static_cast<int64_t>(memory.size() / sizeof(float)) / kBlock;
}

CpuRoof::CpuRoof(const cpu::Target &target, Team &team)
    : walk(team, 1), code(compileRoof(target)),
      multiply(reinterpret_cast<KernelFunction>(code.find("multiply"))),
      read(reinterpret_cast<KernelFunction>(code.find("read"))), registers(accumulatorsOf(target)),
      lanes(target.lanes()), memory(std::max<int64_t>(256 << 20, 4 * target.l3Bytes)) {
  std::fill_n(reinterpret_cast<float *>(memory.data()), memory.size() / sizeof(float), 1.0f);
  sums.resize((std::max<int64_t>(kItems, blocksOf(memory)) + 1) * lanes);
}

/// Kernels want their buffers at cache lines.
static float *aligned(std::vector<float> &values) {
  return reinterpret_cast<float *>(alignUp(reinterpret_cast<uintptr_t>(values.data())));
}

double CpuRoof::secondsOfItems(int64_t items, int64_t grain, KernelFunction kernel, void *in) {
  void *buffers[] = {in, aligned(sums)};
  WalkLaunch launch{items, grain, 0};
  return secondsOf([&] {
    walk.run({&launch, 1}, [&](int, size_t, int64_t begin, int64_t end) {
      kernel(buffers, nullptr, begin, end, nullptr);
    });
  });
}

double CpuRoof::measureFlops() {
  alignas(64) float factor[64] = {};
  return 2.0 * registers * lanes * kSteps * kItems / secondsOfItems(kItems, 4, multiply, factor);
}

double CpuRoof::measureBandwidth() {
  int64_t items = blocksOf(memory);
  double seconds = secondsOfItems(items, 0, read, memory.data());
  return static_cast<double>(items * kBlock * sizeof(float)) / seconds;
}

} // namespace lmc::bench
