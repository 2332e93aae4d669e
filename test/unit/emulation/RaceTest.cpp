// CUDA kernels under ThreadSanitizer: each CUDA thread is a thread, and only what orders memory on a GPU
// orders it here.
#include "../codegen_cuda/AttentionPrograms.h"
#include "Sanitized.h"

#include "codegen/cuda/Print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc::test {
namespace {

constexpr const char *kFlags = "-fsanitize=thread";

class Races : public testing::Test {
protected:
  void SetUp() override {
    if (std::string why = Sanitized::missing(kFlags); !why.empty())
      GTEST_SKIP() << why;
  }
  static Sanitized &sanitized() {
    static Sanitized one(kFlags, "TSAN_OPTIONS=halt_on_error=1");
    return one;
  }
  void add(const std::string &name, const AttentionProgram &program) {
    programs.emplace(name, makeProgram(context, program.source, name, program.inputs));
  }
  void add(const Source &source, const std::string &architecture) {
    Source one = source;
    one.architecture = architecture;
    programs.emplace(one.name, makeProgram(context, one, one.name));
  }

  Context context;
  std::map<std::string, Program> programs;
};

TEST_F(Races, ThereAreNone) { expectClean(sanitized(), smallPrograms(context)); }

constexpr bool kSilent = true;

constexpr ReportedPlant kPlants[] = {
    {{"all lanes write a warp's sum", "if (threadIdx.x % kWarp == 0)\n    partial", "partial",
      "softmax_long"},
     "data race",
     kSilent},
    {{"no barrier before sums of warps are read", "__syncthreads();\n  T result = partial[0];",
      "T result = partial[0];", "softmax_long"},
     "data race"},
    {{"a vote instead of a barrier of the warp", "__syncwarp();\n#pragma unroll 1",
      "__ballot_sync(0xffffffffu, true);\n#pragma unroll 1", "f32"},
     "data race",
     kSilent},
    {{"no barrier before weights are written", "__syncwarp(); // other", "// other", "f32"},
     "data race"},
    {{"missing barrier for a tile", "waitCopies<0>();\n    __syncthreads();\n    if constexpr",
      "waitCopies<0>();\n    if constexpr", "f32"},
     "data race"},
    {{"missing wait for a tile", "waitCopies<0>();\n    __syncthreads();\n    if constexpr",
      "__syncthreads();\n    if constexpr", "f32"},
     "data race"},
    {{"no barrier of a step", "__syncthreads(); // this step's", "// this step's", "bf16_nt"},
     "data race"},
    {{"no wait for a step's copies", "waitCopies<Tiles::kStages - 2>();",
      "waitCopies<Tiles::kStages - 1>();", "bf16_nt"},
     "data race"},
};

TEST_F(Races, ReportsPlantedBugs) {
  for (const Source &source : sources())
    if (source.name == "softmax_long")
      add(source, "sm_80");
  for (const Source &source : productSources())
    if (source.name == "bf16_nt")
      add(source, "sm_80");
  add("f32", attentionAdjoints("f32", {"f32", 1, 39, 2, 1, 16, true}));
  expectReported(sanitized(), programs, kPlants);
}

constexpr ReportedPlant kPlantsOfWarpgroups[] = {
    {{"no wait for keys", "waitForPhase(shared.full(0, keys.stage), keys.parity);\n    fence",
      "fence", "attention"},
     "data race"},
    {{"keys are given back before their products are done", "waitProducts<1>(); // the scores",
      "waitProducts<2>();", "attention"},
     "data race"},
    {{"no wait for inner tiles of adjoints",
      "waitForPhase(shared.full(ring.stage), ring.parity);\n    fence", "fence", "adjoints"},
     "data race"},
    {{"statistics are announced before they are there",
      "for (int i = lane; i < Tile::kInner; i += kWarp) {",
      "arrive(shared.full(stage));\n        for (int i = lane; i < Tile::kInner; i += kWarp) {",
      "adjoints"},
     "data race"},
    {{"statistics overwrite those that are read",
      "waitForPhase(shared.empty(stage), parity ^ 1);\n#pragma unroll", "#pragma unroll",
      "adjoints"},
     "data race"},
    {{"inner tiles are given back before their products are done",
      "waitProducts<0>(); // the last tile's sums", "", "adjoints"},
     "data race"},
    {{"no wait for tiles", "waitForPhase(full + ring.stage, ring.parity);", "", "product"},
     "data race"},
    {{"a stage is given back while it is multiplied",
      "release((ring.stage ? ring.stage : Tiles::kStages) - 1);", "release(ring.stage);",
      "product"},
     "data race"},
};

TEST_F(Races, ReportsPlantedBugsOfWarpgroups) {
  add({"product",
       R"(
!x = tensor<?x328xbf16, #lm.dims<"T">>
!y = tensor<?x136xf32, #lm.dims<"T">>
func.func @f(%x: !x, %w: tensor<136x328xbf16>) -> !y attributes {lm.ranges = {T = array<i64: 1, 32768>}} {
  %y = lm.matmul %x, %w {transpose_b} : (!x, tensor<136x328xbf16>) -> !y
  return %y : !y
})",
       {{"T", 131}},
       1e-4},
      "sm_90a");
  AttentionProgram attention = attentionForward("attention", {"bf16", 1, 391, 1, 1, 64, true});
  attention.source.architecture = "sm_90a";
  add("attention", attention);
  AttentionProgram adjoints = attentionAdjoints("adjoints", {"bf16", 1, 391, 1, 1, 64, true});
  adjoints.source.architecture = "sm_90a";
  add("adjoints", adjoints);
  expectReported(sanitized(), programs, kPlantsOfWarpgroups);
}

/// Blocks of a grid are not ordered: two of them write the same elements, with the same values.
TEST_F(Races, ReportsBlocksThatWriteTheSamePlace) {
  const Source &source =
      *llvm::find_if(sources(), [](const Source &one) { return one.name == "gelu"; });
  Program program = makeProgram(context, source, source.name);
  ASSERT_EQ(program.kernels.size(), 1u);
  cuda::Kernel &kernel = program.kernels.begin()->second;
  std::string text = cuda::deviceLibrary() + kernel.text;
  sanitized().build(text);
  EXPECT_EQ(sanitized().run(program).said, "");
  sanitized().build(replaced(text, "blockIdx.x", "(blockIdx.x / 2 * 2)"));
  EXPECT_THAT(sanitized().run(program).said, testing::HasSubstr("data race"));
}

} // namespace
} // namespace lmc::test
