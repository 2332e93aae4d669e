// Random bits are those of runtime/Philox.h, to the bit, whatever computes them.
#include "test/unit/codegen/KernelCheck.h"

#include "runtime/Philox.h"

#include <gtest/gtest.h>

namespace lmc::test {
namespace {

constexpr int32_t kKey0 = -1234567, kKey1 = 89, kStep = -5;
constexpr uint32_t kStream = 11;

/// @f with bits of that shape, and a mask and a reduction that are fused with them.
std::string program(const std::string &shape) {
  std::string text = R"(
    func.func @f(%k0: tensor<i32> {lm.name = "k0", lm.role = "input"}, %k1: tensor<i32> {lm.name = "k1", lm.role = "input"},
                 %step: tensor<i32> {lm.name = "step", lm.role = "input"})
        -> (tensor<SHAPExi32> {lm.name = "bits", lm.role = "output"}, tensor<SHAPExi1> {lm.name = "mask", lm.role = "output"}) {
      %bits = lm.random_bits %k0, %k1, %step {stream = 11 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<SHAPExi32>
      %zero = lm.constant dense<0> : tensor<SHAPExi32>
      %mask = lm.compare %bits, %zero {predicate = "ge"} : (tensor<SHAPExi32>, tensor<SHAPExi32>) -> tensor<SHAPExi1>
      return %bits, %mask : tensor<SHAPExi32>, tensor<SHAPExi1>
    })";
  for (size_t at; (at = text.find("SHAPE")) != std::string::npos;)
    text.replace(at, 5, shape);
  return text;
}

const char *const kShapes[] = {"4099", "3x5x17", "7x1", "129x64"};

TEST(RandomBits, AreThoseOfTheRuntime) {
  Philox stream(uint64_t(uint32_t(kKey1)) << 32 | uint32_t(kKey0),
                uint64_t(uint32_t(kStep)) << 32 | kStream);
  for (const char *shape : kShapes) {
    Context context;
    auto module = context.parse(program(shape));
    ASSERT_TRUE(module) << context.errors;
    auto function = functionOf(*module);
    lm::Tensor bits = evaluated(function, tensorsFor(function, {{kKey0}, {kKey1}, {kStep}}))[0];
    for (int64_t i = 0; i < bits.size(); ++i)
      ASSERT_EQ(bits.data[i], static_cast<int32_t>(stream.block(i)[0])) << shape << " at " << i;
  }
}

TEST(RandomBits, AreExactInKernels) {
  for (const char *cpu : {"host", "x86-64-v2", "x86-64-v3"})
    for (const char *shape : kShapes) {
      Context context;
      auto module = context.parse(program(shape));
      ASSERT_TRUE(module) << context.errors;
      auto arguments = tensorsFor(functionOf(*module), {{kKey0}, {kKey1}, {kStep}});
      checkKernels(context, *module, {{}}, {arguments}, {.cpu = cpu, .tolerance = 0});
    }
}

} // namespace
} // namespace lmc::test
