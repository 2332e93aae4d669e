// What --emit=cuda shows.
#include "Program.h"

#include "codegen/cuda/Print.h"
#include "codegen/cuda/ScalarPrinter.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace lmc;
using namespace lmc::test;

namespace {

const char *kProduct = R"(
func.func @f(%x: tensor<6x5xf32> {lm.name = "x", lm.role = "input"})
    -> (tensor<6x6xf32> {lm.name = "y", lm.role = "output"}, tensor<6x5xf32> {lm.name = "z", lm.role = "output"}) {
  %y = lm.matmul %x, %x {transpose_b} : (tensor<6x5xf32>, tensor<6x5xf32>) -> tensor<6x6xf32> loc("gram")
  %z = lm.add %x, %x : (tensor<6x5xf32>, tensor<6x5xf32>) -> tensor<6x5xf32> loc("twice")
  return %y, %z : tensor<6x6xf32>, tensor<6x5xf32>
})";

TEST(Print, ShowsKernelsWithTheirLaunches) {
  Context context;
  auto module = context.parse(kProduct);
  runPipeline(*module, PipelineOptions());
  std::string text = cuda::printCuda(*module, "cuda:sm_80");
  EXPECT_THAT(text,
              testing::HasSubstr("// launch: grid ceil(30 / 1024), block 256\n// twice (map)"));
  EXPECT_THAT(text,
              testing::HasSubstr("extern \"C\" __global__ void __launch_bounds__(256)\nmap_0("));
  EXPECT_THAT(text, testing::HasSubstr("// gram (matmul)"));
}

TEST(Print, PtxNeedsACudaTarget) {
  Context context;
  auto module = context.parse(kProduct);
  runPipeline(*module, PipelineOptions());
  for (const char *target : {"cpu", "cuda:", "cuda:sm_90a --x", "cuda:90"})
    EXPECT_THROW(cuda::printPtx(*module, target), Error) << target;
}

TEST(Print, GridsFollowTheSymbols) {
  Context context;
  for (const Source &source : sources()) {
    if (source.name != "flat_symbolic")
      continue;
    Program program = makeProgram(context, source, "k");
    const cuda::Kernel &kernel = program.kernels.begin()->second;
    EXPECT_EQ(kernel.symbols, (std::vector<std::string>{"B", "T"}));
    // One block of 1024 elements covers a few rows at most: never fewer threads than elements.
    for (int64_t B : {1, 3, 64})
      for (int64_t T : {1, 129, 512})
        EXPECT_GE(kernel.blocks({{"B", B}, {"T", T}}) * 1024, B * T);
  }
}

TEST(Print, RefusesElementsThatItCannotRead) {
  Context context;
  Source source{"half",
                R"(
func.func @f(%x: tensor<3xf16>) -> tensor<3xf16> {
  %y = lm.neg %x : (tensor<3xf16>) -> tensor<3xf16>
  return %y : tensor<3xf16>
})",
                {}};
  EXPECT_THROW(makeProgram(context, source, "k"), Error);
}

TEST(Literals, ReadBackAsTheSameValue) {
  Context context;
  mlir::Builder b(&context.context);
  EXPECT_EQ(cuda::literal(b.getF32Type(), 1), "1.0f");
  EXPECT_EQ(cuda::literal(b.getF32Type(), -0.044715), "-0.0447149985f");
  EXPECT_EQ(cuda::literal(b.getF64Type(), 1e-8), "1e-08");
  EXPECT_EQ(cuda::literal(b.getI64Type(), 7), "7ll");
  EXPECT_EQ(cuda::literal(b.getI32Type(), llvm::APInt::getSignedMinValue(32)), "(-2147483647 - 1)");
  for (double value : {0.1, 1.0 / 3, 1.2e-38, 3.4e38, -2.5, std::nan(""), HUGE_VAL}) {
    std::string text = cuda::literal(b.getF32Type(), value);
    if (std::isfinite(value))
      EXPECT_EQ(std::stof(text), static_cast<float>(value)) << text;
    else
      EXPECT_THAT(text, testing::HasSubstr("__longlong_as_double")) << text;
  }
}

} // namespace
