// Emit -> LLVM -> object -> shared object -> call, and what the lowering refuses.
#include "codegen/cpu/Lowering.h"
#include "codegen/cpu/Emit.h"
#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

using namespace lmc;
using namespace lmc::cpu;
using mlir::Value;

namespace {

struct Compiled {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module{mlir::ModuleOp::create(mlir::UnknownLoc::get(&context))};
  Target target;
  std::optional<LoadedCode> code;

  explicit Compiled(Target target) : target(std::move(target)) { loadCodegenDialects(context); }
  KernelFunction finish(const char *symbol) {
    std::vector<Bytes> objects = {compileObject(*module, target)};
    code.emplace(linkShared(objects));
    return reinterpret_cast<KernelFunction>(code->find(symbol));
  }
};

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const char *name : {"host", "x86-64-v2", "x86-64-v3", "x86-64-v4"})
    if (Target target = Target::named(name); target.runsOnHost())
      all.push_back(target);
  return all;
}

TEST(TargetTest, NamesGiveTheirVectorUnits) {
  EXPECT_EQ(Target::named("x86-64-v2").vectorBits, 128u);
  EXPECT_EQ(Target::named("x86-64-v3").lanes(), 8u);
  EXPECT_TRUE(Target::named("x86-64-v3").fma);
  EXPECT_EQ(Target::named("x86-64-v4").lanes(), 16u);
  EXPECT_EQ(Target::named("x86-64-v4").vectorRegisters, 32u);
  EXPECT_EQ(Target::named("aarch64").lanes(), 4u);
  EXPECT_TRUE(Target::host().runsOnHost());
  EXPECT_FALSE(Target::named("aarch64").runsOnHost() && Target::named("x86-64-v2").runsOnHost());
  EXPECT_NE(Target::named("x86-64-v3").canonical(), Target::named("x86-64-v4").canonical());
  EXPECT_THROW(Target::named("x86-65"), Error);
}

// y = 2 x + 1 over [begin, end) with a masked tail, at every size around the vector width.
TEST(LoweringTest, VectorLoopWithTailOnEveryTarget) {
  for (const Target &target : targets()) {
    Compiled compiled(target);
    Emit emit(*compiled.module, target);
    emit.beginKernel("affine", mlir::UnknownLoc::get(&compiled.context));
    mlir::Type f32 = emit.f32Type();
    emit.vectorLoop(emit.begin(), emit.end(), target.lanes(), [&](Value i, Lanes lanes) {
      Value x = emit.load(f32, emit.buffer(0), i, lanes);
      Value y = emit.fma(x, emit.f32(2, lanes.width), emit.f32(1, lanes.width));
      emit.store(f32, y, emit.buffer(1), i, lanes);
    });
    emit.endKernel();
    KernelFunction affine = compiled.finish("affine");
    for (int64_t n : {1, 3, 4, 7, 8, 16, 17, 31, 33, 100}) {
      std::vector<float> x(n), y(n + 8, -5.0f);
      std::iota(x.begin(), x.end(), -3.0f);
      void *buffers[] = {x.data(), y.data()};
      affine(buffers, nullptr, 0, n, nullptr);
      for (int64_t i = 0; i < n + 8; ++i)
        ASSERT_EQ(y[i], i < n ? 2 * x[i] + 1 : -5.0f) << target.cpu << " n=" << n << " i=" << i;
    }
  }
}

TEST(LoweringTest, SymbolicDimensionsScratchAndReductions) {
  for (const Target &target : targets()) {
    Compiled compiled(target);
    Emit emit(*compiled.module, target);
    emit.beginKernel("rows", mlir::UnknownLoc::get(&compiled.context));
    mlir::Type f32 = emit.f32Type();
    unsigned width = target.lanes();
    emit.loop(emit.begin(), emit.end(), 1, [&](Value row) {
      Value first = emit.mul(row, emit.dim(1));
      emit.store(f32, emit.f32(0, width), emit.scratch(64), emit.i64(0), width);
      emit.vectorLoop(emit.i64(0), emit.dim(1), width, [&](Value i, Lanes lanes) {
        Value x = emit.load(f32, emit.buffer(0), emit.add(first, i), lanes);
        Value sum = emit.load(f32, emit.scratch(64), emit.i64(0), width);
        emit.store(f32, emit.addf(sum, x), emit.scratch(64), emit.i64(0), width);
      });
      Value sum = emit.reduceAdd(emit.load(f32, emit.scratch(64), emit.i64(0), width));
      emit.store(f32, sum, emit.buffer(1), row);
    });
    emit.endKernel();
    KernelFunction rows = compiled.finish("rows");
    for (int64_t columns : {1, 5, 16, 37}) {
      std::vector<float> x(3 * columns), y(3);
      std::iota(x.begin(), x.end(), 1.0f); // sums of small integers are exact in any order
      alignas(64) float scratch[64];
      int64_t dims[] = {3, columns};
      void *buffers[] = {x.data(), y.data()};
      rows(buffers, dims, 0, 3, scratch);
      for (int64_t r = 0; r < 3; ++r)
        EXPECT_EQ(y[r], std::accumulate(&x[r * columns], &x[r * columns] + columns, 0.0f));
    }
  }
}

// Expected bits worked out by hand from IEEE 754: ties, carries into the exponent, overflow, signs.
TEST(LoweringTest, Bf16StorageRoundsToNearestEven) {
  for (const Target &target : targets()) {
    Compiled compiled(target);
    Emit emit(*compiled.module, target);
    emit.beginKernel("convert", mlir::UnknownLoc::get(&compiled.context));
    mlir::Type bf16 = emit.builder().getBF16Type();
    emit.vectorLoop(emit.begin(), emit.end(), target.lanes(), [&](Value i, Lanes lanes) {
      emit.store(bf16, emit.load(emit.f32Type(), emit.buffer(0), i, lanes), emit.buffer(1), i,
                 lanes);
      emit.store(emit.f32Type(), emit.load(bf16, emit.buffer(1), i, lanes), emit.buffer(2), i,
                 lanes);
    });
    emit.endKernel();
    KernelFunction convert = compiled.finish("convert");
    struct {
      uint32_t bits;
      uint16_t expected;
    } table[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},
                 {0x3f818000, 0x3f82}, {0xbf80ffff, 0xbf81}, {0x7f800000, 0x7f80},
                 {0xff800000, 0xff80}, {0x7f7fffff, 0x7f80}, {0x00000000, 0x0000},
                 {0x80000000, 0x8000}, {0x00007fff, 0x0000}};
    constexpr int64_t n = std::size(table);
    std::vector<float> x, back(n + 1);
    for (auto &row : table)
      x.push_back(std::bit_cast<float>(row.bits));
    x.push_back(std::bit_cast<float>(0x7f800001u)); // a NaN whose payload rounding would lose
    std::vector<uint16_t> y(n + 1);
    void *buffers[] = {x.data(), y.data(), back.data()};
    convert(buffers, nullptr, 0, n + 1, nullptr);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], table[i].expected) << std::hex << table[i].bits;
      EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), uint32_t(table[i].expected) << 16);
    }
    EXPECT_TRUE(std::isnan(back[n]));
  }
}

// As above: ties, carries, overflow, numbers that are subnormal in f16. Some targets have no instruction.
TEST(LoweringTest, F16StorageRoundsToNearestEven) {
  for (const Target &target : targets()) {
    Compiled compiled(target);
    Emit emit(*compiled.module, target);
    emit.beginKernel("convert", mlir::UnknownLoc::get(&compiled.context));
    mlir::Type f16 = emit.builder().getF16Type();
    emit.vectorLoop(emit.begin(), emit.end(), target.lanes(), [&](Value i, Lanes lanes) {
      emit.store(f16, emit.load(emit.f32Type(), emit.buffer(0), i, lanes), emit.buffer(1), i,
                 lanes);
    });
    emit.endKernel();
    KernelFunction convert = compiled.finish("convert");
    struct {
      uint32_t bits;
      uint16_t expected;
    } table[] = {{0x3f800000, 0x3c00}, {0x3f801000, 0x3c00}, {0x3f801001, 0x3c01},
                 {0x3f803000, 0x3c02}, {0xbf803000, 0xbc02}, {0x477fe000, 0x7bff},
                 {0x477fefff, 0x7bff}, {0x477ff000, 0x7c00}, {0x7f800000, 0x7c00},
                 {0xff800000, 0xfc00}, {0x00000000, 0x0000}, {0x80000000, 0x8000},
                 {0x38800000, 0x0400}, {0x387fffff, 0x0400}, {0x33800000, 0x0001},
                 {0x33000000, 0x0000}, {0x33000001, 0x0001}, {0xb3c00000, 0x8002}};
    std::vector<float> x;
    for (auto &row : table)
      x.push_back(std::bit_cast<float>(row.bits));
    x.push_back(std::bit_cast<float>(0x7f802001u)); // a NaN
    std::vector<uint16_t> y(x.size());
    void *buffers[] = {x.data(), y.data()};
    convert(buffers, nullptr, 0, static_cast<int64_t>(x.size()), nullptr);
    for (size_t i = 0; i < std::size(table); ++i)
      EXPECT_EQ(y[i], table[i].expected) << target.cpu << ", " << std::hex << table[i].bits;
    EXPECT_GT(y.back() & 0x7fff, 0x7c00) << target.cpu;
  }
}

TEST(LoweringTest, ChooseAndCarriedLoops) {
  Compiled compiled(Target::host());
  Emit emit(*compiled.module, compiled.target);
  emit.beginKernel("collatz", mlir::UnknownLoc::get(&compiled.context));
  mlir::Type i64 = emit.i64Type();
  Emit::Values inits = {emit.load(i64, emit.buffer(0), emit.i64(0))};
  auto last = emit.loopCarried(
      emit.begin(), emit.end(), emit.i64(1), inits, [&](Value, mlir::ValueRange n) -> Emit::Values {
        return emit.choose(
            emit.equal(emit.rem(n[0], emit.i64(2)), emit.i64(0)),
            [&]() -> Emit::Values { return {emit.div(n[0], emit.i64(2))}; },
            [&]() -> Emit::Values { return {emit.add(emit.mul(n[0], 3), 1)}; });
      });
  emit.store(i64, last[0], emit.buffer(0), emit.i64(0));
  emit.endKernel();
  int64_t value = 27; // known: 111 steps to 1, and the 77th value is 9232
  void *buffers[] = {&value};
  KernelFunction collatz = compiled.finish("collatz");
  collatz(buffers, nullptr, 0, 77, nullptr);
  EXPECT_EQ(value, 9232);
  collatz(buffers, nullptr, 77, 111, nullptr);
  EXPECT_EQ(value, 1);
}

TEST(LoweringTest, RefusesWhatWouldCallALibrary) {
  Compiled compiled(Target::host());
  Emit emit(*compiled.module, compiled.target);
  emit.beginKernel("bad", mlir::UnknownLoc::get(&compiled.context));
  Value x = emit.load(emit.f32Type(), emit.buffer(0), emit.i64(0));
  Value y = emit.builder().create<mlir::math::Exp2Op>(emit.loc(), x);
  emit.store(emit.f32Type(), y, emit.buffer(0), emit.i64(0));
  emit.endKernel();
  try {
    compileObject(*compiled.module, compiled.target);
    FAIL() << "exp2 was compiled";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("expand it"));
  }
}

TEST(LoweringTest, LinkRefusesTwoKernelsOfOneName) {
  Compiled compiled(Target::host());
  Emit emit(*compiled.module, compiled.target);
  emit.beginKernel("same", mlir::UnknownLoc::get(&compiled.context));
  emit.endKernel();
  Bytes object = compileObject(*compiled.module, compiled.target);
  std::vector<Bytes> twice = {object, object}, once = {object};
  EXPECT_THROW(linkShared(twice), Error);
  LoadedCode code(linkShared(once)); // the linker works again after a failure
  EXPECT_NE(code.find("same"), nullptr);
  EXPECT_THROW(code.find("other"), Error);
}

TEST(LoweringTest, CompilesOnSeveralThreadsToTheSameBytes) {
  auto compile = [] {
    Compiled compiled(Target::host());
    Emit emit(*compiled.module, compiled.target);
    emit.beginKernel("copy", mlir::UnknownLoc::get(&compiled.context));
    emit.vectorLoop(emit.begin(), emit.end(), compiled.target.lanes(), [&](Value i, Lanes lanes) {
      emit.store(emit.f32Type(), emit.load(emit.f32Type(), emit.buffer(0), i, lanes),
                 emit.buffer(1), i, lanes);
    });
    emit.endKernel();
    std::vector<Bytes> objects = {compileObject(*compiled.module, compiled.target)};
    return linkShared(objects);
  };
  Bytes expected = compile(), results[3];
  std::thread threads[3];
  for (int i = 0; i < 3; ++i)
    threads[i] = std::thread([&, i] { results[i] = compile(); });
  for (std::thread &thread : threads)
    thread.join();
  for (const Bytes &result : results)
    EXPECT_EQ(result, expected);
}

TEST(LoweringTest, TextForms) {
  Compiled compiled(Target::named("aarch64"));
  Emit emit(*compiled.module, compiled.target);
  emit.beginKernel("square", mlir::UnknownLoc::get(&compiled.context));
  emit.loop(emit.begin(), emit.end(), 4, [&](Value i) {
    Value x = emit.load(emit.f32Type(), emit.buffer(0), i, 4);
    emit.store(emit.f32Type(), emit.mulf(x, x), emit.buffer(0), i, 4);
  });
  emit.endKernel();
  EXPECT_THAT(emitLLVM(*compiled.module, compiled.target), testing::HasSubstr("fmul <4 x float>"));
  EXPECT_THAT(emitAssembly(*compiled.module, compiled.target), testing::ContainsRegex("fmul.*4s"));
}

} // namespace
