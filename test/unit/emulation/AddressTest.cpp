// CUDA kernels under AddressSanitizer and UndefinedBehaviorSanitizer: every buffer has its exact size.
#include "Sanitized.h"

#include "codegen/cuda/Print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc::test {
namespace {

constexpr const char *kFlags = "-fsanitize=address,undefined -fno-sanitize-recover=undefined";

class Addresses : public testing::Test {
protected:
  void SetUp() override {
    if (std::string why = Sanitized::missing(kFlags); !why.empty())
      GTEST_SKIP() << why;
  }
  static Sanitized &sanitized() {
    static Sanitized one(kFlags, "ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0");
    return one;
  }
  Program named(const std::vector<Source> &list, const std::string &name) {
    for (const Source &source : list)
      if (source.name == name)
        return makeProgram(context, source, name);
    ADD_FAILURE() << "no program " << name;
    return {};
  }

  Context context;
};

TEST_F(Addresses, AreInTheirBuffers) { expectClean(sanitized(), smallPrograms(context)); }

constexpr bool kSilent = true;

constexpr ReportedPlant kPlants[] = {
    {{"a read behind the sums of warps", "T result = partial[0];",
      "volatile T next = partial[Warps];\n  T result = partial[0];", "softmax_long"},
     "global-buffer-overflow",
     kSilent},
    {{"a whole vector is read at a buffer's end", "if (first + N <= end)\n    return",
      "if (first < end)\n    return", "gelu"},
     "heap-buffer-overflow",
     kSilent},
    {{"a whole vector is written at a buffer's end", "if (first + N <= end) {",
      "if (first < end) {", "gelu"},
     "heap-buffer-overflow"},
    {{"a shift by more than a word has", "for (int offset = kWarp / 2; offset > 0; offset /= 2)",
      "volatile int bit = 1 << threadIdx.x;\n  for (int offset = kWarp / 2; offset > 0; offset /= "
      "2)",
      "softmax_long"},
     "shift exponent",
     kSilent},
};

TEST_F(Addresses, ReportsPlantedBugs) {
  std::map<std::string, Program> programs;
  for (std::string name : {"softmax_long", "gelu"})
    programs.emplace(name, named(sources(), name));
  expectReported(sanitized(), programs, kPlants);
}

/// A launch whose kernel takes more of shared memory than was asked for.
TEST_F(Addresses, ReportsTooLittleSharedMemory) {
  Program program = named(productSources(), "bf16_nt");
  sanitized().build(cuda::deviceLibrary() + program.kernels.begin()->second.text);
  EXPECT_EQ(sanitized().run(program).said, "");
  Outcome outcome = sanitized().run(program, [](Replay::Launch &launch) { launch.shared /= 2; });
  EXPECT_THAT(outcome.said, testing::HasSubstr("heap-buffer-overflow"));
  EXPECT_FALSE(outcome.ended);
}

} // namespace
} // namespace lmc::test
