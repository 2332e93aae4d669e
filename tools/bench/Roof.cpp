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

/// acc[i] = acc[i] * a + b, over and over; buffers: one vector in, one out an item.
void emitMultiply(cpu::Emit &e, const cpu::Target &target) {
  e.beginKernel("multiply", UnknownLoc::get(e.builder().getContext()));
  unsigned lanes = target.lanes(), count = accumulatorsOf(target);
  Type type = e.f32Type();
  Value in = e.buffer(0), out = e.buffer(1);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value a = e.load(type, in, e.i64(0), cpu::Lanes(lanes));
    cpu::Emit::Values sums;
    for (unsigned i = 0; i < count; ++i)
      sums.push_back(e.f32(i, lanes));
    sums = e.loopCarried(e.i64(0), e.i64(kSteps), e.i64(1), sums, [&](Value, ValueRange carried) {
      cpu::Emit::Values next;
      for (Value sum : carried)
        next.push_back(e.fma(sum, a, a));
      return next;
    });
    Value total = sums[0];
    for (unsigned i = 1; i < count; ++i)
      total = e.addf(total, sums[i]);
    e.store(type, total, out, e.mul(item, static_cast<int64_t>(lanes)), cpu::Lanes(lanes));
  });
  e.endKernel();
}

/// The sum of a block of memory, as one vector an item.
void emitRead(cpu::Emit &e, const cpu::Target &target) {
  e.beginKernel("read", UnknownLoc::get(e.builder().getContext()));
  unsigned lanes = target.lanes();
  constexpr int64_t unroll = 8;
  Type type = e.f32Type();
  Value in = e.buffer(0), out = e.buffer(1);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    cpu::Emit::Values sums(unroll, e.f32(0, lanes));
    Value first = e.mul(item, kBlock);
    sums =
        e.loopCarried(first, e.add(first, kBlock), e.i64(unroll * lanes), sums,
                      [&](Value at, ValueRange carried) {
                        cpu::Emit::Values next;
                        for (int64_t i = 0; i < unroll; ++i)
                          next.push_back(e.addf(carried[i], e.load(type, in, e.add(at, i * lanes),
                                                                   cpu::Lanes(lanes))));
                        return next;
                      });
    Value total = sums[0];
    for (int64_t i = 1; i < unroll; ++i)
      total = e.addf(total, sums[i]);
    e.store(type, total, out, e.mul(item, static_cast<int64_t>(lanes)), cpu::Lanes(lanes));
  });
  e.endKernel();
}

cpu::LoadedCode compileRoof(const cpu::Target &target) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  cpu::loadCodegenDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  cpu::Emit emit(*module, target);
  emitMultiply(emit, target);
  emitRead(emit, target);
  cpu::Bytes object = cpu::compileObject(*module, target);
  return cpu::LoadedCode(cpu::linkShared({&object, 1}));
}

} // namespace

double secondsOf(const std::function<void()> &work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Roof::Roof(const cpu::Target &target, Team &team)
    : team(team), code(compileRoof(target)),
      multiply(reinterpret_cast<KernelFunction>(code.find("multiply"))),
      read(reinterpret_cast<KernelFunction>(code.find("read"))), registers(accumulatorsOf(target)),
      lanes(target.lanes()) {
  int64_t bytes = std::max<int64_t>(256 << 20, 4 * target.l3Bytes);
  memory.assign(bytes / sizeof(float) / kBlock * kBlock, 1.0f);
  sums.resize((std::max<int64_t>(kItems, memory.size() / kBlock) + 1) * lanes);
}

/// Kernels want their buffers at cache lines.
static float *aligned(std::vector<float> &values) {
  return reinterpret_cast<float *>(alignUp(reinterpret_cast<uintptr_t>(values.data())));
}

double Roof::measureFlops() {
  alignas(64) float factor[64] = {};
  void *buffers[] = {factor, aligned(sums)};
  double seconds = secondsOf([&] {
    team.run(kItems, 4, [&](int, int64_t begin, int64_t end) {
      multiply(buffers, nullptr, begin, end, nullptr);
    });
  });
  return 2.0 * registers * lanes * kSteps * kItems / seconds;
}

double Roof::measureBandwidth() {
  void *buffers[] = {aligned(memory), aligned(sums)};
  int64_t items = static_cast<int64_t>(memory.size()) / kBlock - 1;
  double seconds = secondsOf([&] {
    team.run(items, 0,
             [&](int, int64_t begin, int64_t end) { read(buffers, nullptr, begin, end, nullptr); });
  });
  return static_cast<double>(items * kBlock * sizeof(float)) / seconds;
}

} // namespace lmc::bench
