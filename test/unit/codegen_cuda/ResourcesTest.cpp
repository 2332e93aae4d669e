// What a kernel takes of a GPU: read from cubins and logs, and held against limits and peaks.
#include "codegen/cuda/Gpus.h"
#include "codegen/cuda/Nvrtc.h"
#include "runtime/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lmc::cuda {
namespace {

using testing::HasSubstr;

/// Blocks on H100: threads, registers, dynamic bytes of shared memory.
unsigned blocks(unsigned threads, unsigned registers, unsigned sharedBytes = 0) {
  Resources kernel;
  kernel.threads = threads;
  kernel.registers = registers;
  kernel.dynamicSharedBytes = sharedBytes;
  return blocksPerMultiprocessor(gpuOf("sm_90a"), kernel);
}

// The same numbers come from cuda_occupancy.h (toolkit 13.0).
TEST(Gpus, BlocksOfAMultiprocessor) {
  EXPECT_EQ(blocks(32, 16), 32u) << "blocks";
  EXPECT_EQ(blocks(256, 32), 8u) << "threads";
  EXPECT_EQ(blocks(256, 128), 2u) << "registers";
  EXPECT_EQ(blocks(256, 129), 1u) << "registers come in units of 8 a thread";
  EXPECT_EQ(blocks(128, 168), 3u);
  EXPECT_EQ(blocks(128, 64, 48 * 1024), 4u) << "shared memory: 49 KiB each with the system's";
  EXPECT_EQ(blocks(128, 64, 227 * 1024), 1u);
  EXPECT_EQ(blocks(128, 64, 227 * 1024 + 1), 0u);
}

TEST(Gpus, AreFoundByArchitecture) {
  EXPECT_STREQ(gpuOf("sm_100a").architecture, "sm_100");
  EXPECT_STREQ(gpuOf("sm_80").architecture, "sm_80");
  EXPECT_THROW(gpuOf("sm_10"), Error);
  try {
    gpuOf("sm_75");
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("'sm_75'"));
    EXPECT_THAT(error.what(), HasSubstr("sm_80, sm_90, sm_100"));
  }
}

TEST(Gpus, UnknownOnesCountAsTheSmallest) {
  EXPECT_EQ(multiprocessorsOf("sm_80"), 108u);
  EXPECT_EQ(multiprocessorsOf("sm_90a"), 132u);
  EXPECT_EQ(multiprocessorsOf("sm_86"), 108u);
}

/// FlashAttention-3 (arXiv 2407.08608) gives 3.9 T special functions a second for an H100.
TEST(Gpus, ExponentialsOfAnH100) {
  EXPECT_NEAR(gpuOf("sm_90a").exponentialsPerSecond(), 3.9e12, 0.05e12);
}

TEST(Gpus, TheSlowestUnitBoundsALaunch) {
  mlir::Block nothing;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  mlir::OpBuilder builder(&context);
  builder.setInsertionPointToEnd(&nothing);
  context.loadDialect<mlir::func::FuncDialect>();
  builder.create<mlir::func::ReturnOp>(builder.getUnknownLoc());
  KernelWork work(nothing, [](llvm::StringRef) { return 0; });
  const Gpu &gpu = gpuOf("sm_90a");
  auto expect = [&](const char *bound, double seconds) {
    Roofline roofline = rooflineOf(gpu, work);
    EXPECT_STREQ(roofline.bound, bound);
    EXPECT_NEAR(roofline.seconds, seconds, 1e-9 * seconds);
  };
  work.bytesRead = 2e9, work.bytesWritten = 1.35e9;
  expect("memory", 1e-3);
  work.matrixFlops = 989.4e12;
  expect("matrix units", 1);
  work.productFlops = 2 * 66.9e12;
  expect("arithmetic units", 2);
  work.isDouble = true;
  expect("arithmetic units", 2 * 66.9 / 33.5);
  work.exponentials = 5 * gpu.exponentialsPerSecond();
  expect("special function units", 5);
}

TEST(Log, WarningsAreLines) {
  EXPECT_THAT(warningsOf("ptxas info    : 0 bytes gmem\n"
                         "ptxas info    : (C7514) Potential Performance Loss: x\n"
                         "ptxas warning : y\n"),
              testing::ElementsAre(HasSubstr("C7514"), "ptxas warning : y"));
  EXPECT_TRUE(warningsOf("ptxas info    : Used 8 registers").empty());
}

class CubinTest : public testing::Test {
protected:
  void SetUp() override {
    std::string why;
    compiler = Nvrtc::open(&why);
    if (!compiler)
      GTEST_SKIP() << why;
  }
  Resources resources(const std::string &text, const std::string &architecture) {
    Kernel kernel;
    kernel.name = "f";
    kernel.block = 64;
    std::vector<char> cubin = compiler->cubin(text, architecture, &log);
    return resourcesOf(kernel, cubin, log);
  }
  const Nvrtc *compiler = nullptr;
  std::string log;
};

// An array that is indexed by a number from memory cannot lie in registers.
TEST_F(CubinTest, SeesLocalAndSharedMemory) {
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100"}) {
    Resources r = resources(R"(
extern "C" __global__ void f(const int *x, int *y) {
  __shared__ int shared[64];
  int local[50];
  for (int i = 0; i < 50; ++i)
    local[x[i]] = i;
  shared[threadIdx.x] = local[x[60]];
  __syncthreads();
  y[threadIdx.x] = local[x[threadIdx.x]] + shared[63 - threadIdx.x];
})",
                            architecture);
    EXPECT_GE(r.localBytes, 200u) << architecture;
    EXPECT_GT(r.instructions.ldl, 0u) << architecture;
    EXPECT_GT(r.instructions.stl, 0u) << architecture;
    EXPECT_EQ(r.instructions.hmma, 0u);
    EXPECT_GT(r.instructions.all, 10u);
    EXPECT_GE(r.staticSharedBytes, 256u) << log;
    EXPECT_LT(r.staticSharedBytes, 256u + 2048u) << log;
    EXPECT_GT(r.registers, 0u);
    EXPECT_TRUE(warningsOf(log).empty()) << log;
  }
}

TEST_F(CubinTest, SeesSpills) {
  Resources r = resources(R"(
extern "C" __global__ void __launch_bounds__(1024, 2) f(const float *x, float *y) {
  float v[96];
  for (int i = 0; i < 96; ++i)
    v[i] = x[i * 1024 + threadIdx.x];
  __syncthreads();
  for (int i = 0; i < 96; ++i)
    y[i * 1024 + threadIdx.x] = v[i] * v[95 - i];
})",
                          "sm_90a");
  EXPECT_EQ(r.registers, 32u);
  EXPECT_GT(r.spillStoreBytes, 0u) << log;
  EXPECT_GT(r.spillLoadBytes, 0u) << log;
}

// setmaxnreg needs to know how many registers a kernel begins with.
TEST_F(CubinTest, IgnoredSetmaxnregIsAWarning) {
  resources(R"(extern "C" __global__ void f(int *y) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
  *y = 1;
})",
            "sm_90a");
  EXPECT_THAT(warningsOf(log), testing::Contains(HasSubstr("setmaxnreg"))) << log;
}

TEST_F(CubinTest, RefusesOtherKernels) {
  resources("extern \"C\" __global__ void f() {}", "sm_80");
  std::vector<char> cubin = compiler->cubin("extern \"C\" __global__ void f() {}", "sm_80");
  EXPECT_THROW(instructionsOf(cubin, "g"), Error);
  EXPECT_THROW(instructionsOf(std::span(cubin).first(50), "f"), Error);
}

} // namespace
} // namespace lmc::cuda
