// Products of bf16 for sm_90a: against the reference evaluator in several orders of threads, with
// planted bugs, and through NVIDIA's compiler with budgets.
#include "Budget.h"
#include "Emulator.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace lmc::test {
namespace {

constexpr unsigned kSeeds[] = {0, 1, 3, 5};
constexpr double kTolerance = 1e-4; ///< of sums in f32 whose terms cancel

Source source(const std::string &name, const std::string &text, llvm::StringMap<int64_t> extents) {
  Source made{name, text, std::move(extents), kTolerance};
  made.architecture = "sm_90a";
  return made;
}

/// Of B entries, up to `most` (large tiles): a [m, k] b [k, n], each transposed or not ("nt").
Source batched(const std::string &layout, int m, int k, int n, int most = 64) {
  auto type = [](int rows, int columns, bool transposed) {
    return fmt::format("tensor<?x{}x{}xbf16, #lm.dims<\"B\">>", transposed ? columns : rows,
                       transposed ? rows : columns);
  };
  bool ta = layout[0] == 't', tb = layout[1] == 't';
  std::string a = type(m, k, ta), b = type(k, n, tb);
  std::string y = fmt::format("tensor<?x{}x{}xf32, #lm.dims<\"B\">>", m, n);
  return source("batched_" + layout,
                fmt::format("func.func @f(%a: {0}, %b: {1}) -> {2} attributes {{lm.ranges = {{B = "
                            "array<i64: 1, {6}>}}}} {{\n  %y = lm.matmul %a, %b {{{3}{4}{5}}} : "
                            "({0}, {1}) -> {2}\n  return %y : {2}\n}}",
                            a, b, y, ta ? "transpose_a" : "", ta && tb ? ", " : "",
                            tb ? "transpose_b" : "", most),
                {{"B", 2}});
}

/// T rows, up to 32768, of x [T, 320] from column `start` on, times w [200, 136].
Source rows(const std::string &name, int T, int start) {
  return source(name,
                fmt::format(R"(
!x = tensor<?x320xbf16, #lm.dims<"T">>
!s = tensor<?x200xbf16, #lm.dims<"T">>
!y = tensor<?x136xf32, #lm.dims<"T">>
func.func @f(%x: !x, %w: tensor<200x136xbf16>) -> !y attributes {{lm.ranges = {{T = array<i64: 1, 32768>}}}} {{
  %s = lm.slice %x {{dim = 1 : i64, start = {} : i64, size = 200 : i64}} : (!x) -> !s
  %y = lm.matmul %s, %w : (!s, tensor<200x136xbf16>) -> !y
  return %y : !y
}})",
                            start),
                {{"T", T}});
}

/// Bias, activation, a residual and an output in bf16; rows of two symbols.
const char *const kEpilogue = R"(
!x = tensor<?x?x80xbf16, #lm.dims<"B", "T">>
!y = tensor<?x?x264xf32, #lm.dims<"B", "T">>
!z = tensor<?x?x264xbf16, #lm.dims<"B", "T">>
func.func @f(%x: !x, %w: tensor<264x80xbf16>, %bias: tensor<264xf32>, %r: !y) -> (!y, !z)
    attributes {lm.ranges = {B = array<i64: 1, 64>, T = array<i64: 1, 1024>}} {
  %p = lm.matmul %x, %w {transpose_b} : (!x, tensor<264x80xbf16>) -> !y
  %b = lm.broadcast %bias {dims = array<i64: 2>} : (tensor<264xf32>) -> !y
  %h = lm.add %p, %b : (!y, !y) -> !y
  %g = lm.gelu %h {approximate} : (!y) -> !y
  %s = lm.add %g, %r : (!y, !y) -> !y
  %z = lm.convert %s : (!y) -> !z
  return %h, %z : !y, !z
})";

/// Adds to what is there.
const char *const kAccumulate = R"(
!x = tensor<?x72xbf16, #lm.dims<"T">>
!d = tensor<?x136xf32, #lm.dims<"T">>
func.func @f(%d: !d {lm.name = "d", lm.role = "gradient"}, %x: !x {lm.name = "x", lm.role = "input"},
             %w: tensor<136x72xbf16> {lm.name = "w", lm.role = "input"}) -> (!d {lm.updates = 0 : i64})
    attributes {lm.ranges = {T = array<i64: 1, 32768>}} {
  %p = lm.matmul %x, %w {transpose_b} : (!x, tensor<136x72xbf16>) -> !d
  %s = lm.add %d, %p : (!d, !d) -> !d
  return %s : !d
})";

std::vector<Source> sources() {
  std::vector<Source> list;
  for (const char *layout : {"nn", "nt", "tn", "tt"})
    list.push_back(batched(layout, 136, 200, 152)); // four steps of the depth, two tiles each way
  list.push_back(rows("rows_131", 131, 64));
  list.push_back(rows("rows_3", 3, 64)); // few
  list.push_back(source("epilogue", kEpilogue, {{"B", 3}, {"T", 47}}));
  list.back().tolerance = 8e-3; // one rounding to 8 bits
  list.push_back(source("accumulate", kAccumulate, {{"T", 130}}));
  return list;
}

std::string textOf(const Program &program) {
  std::string text;
  for (auto &[name, kernel] : program.kernels)
    text += kernel.text;
  return text;
}

TEST(HopperProduct, AgreesWithTheEvaluator) {
  Context context;
  std::vector<Program> programs;
  for (const Source &source : sources()) {
    programs.push_back(makeProgram(context, source, source.name));
    EXPECT_THAT(textOf(programs.back()), testing::HasSubstr("multiplyByWarpgroups")) << source.name;
  }
  expectAgreement(programs, kSeeds);
}

TEST(HopperProduct, WhatTensorMapsCannotDescribeKeepsTheOtherPath) {
  Context context;
  Source unaligned = rows("unaligned", 131, 60), older = rows("older", 131, 64);
  older.architecture = "sm_100a";
  for (const Source &source : {unaligned, older})
    EXPECT_THAT(textOf(makeProgram(context, source, source.name)),
                testing::AllOf(testing::HasSubstr("lmc::multiplyTiles<"),
                               testing::Not(testing::HasSubstr("Warpgroup"))))
        << source.name;
}

constexpr Plant kPlants[] = {
    {"no wait for tiles", "waitForPhase(full + ring.stage, ring.parity);", "", "nt"},
    {"wrong parity of full stages", "waitForPhase(full + ring.stage, ring.parity)",
     "waitForPhase(full + ring.stage, ring.parity ^ 1)", "nt"},
    {"no wait for empty stages", "waitForPhase(empty + ring.stage, ring.parity ^ 1);", "", "nt"},
    {"wrong parity of empty stages", "waitForPhase(empty + ring.stage, ring.parity ^ 1)",
     "waitForPhase(empty + ring.stage, ring.parity)", "nt"},
    {"bytes of one operand", "arriveExpecting(full + ring.stage, Tiles::kStageBytes)",
     "arriveExpecting(full + ring.stage, Tiles::kOperandBytes)", "nt"},
    {"too many bytes", "arriveExpecting(full + ring.stage, Tiles::kStageBytes)",
     "arriveExpecting(full + ring.stage, Tiles::kStageBytes + 16)", "nt"},
    {"another stage is multiplied",
     "const unsigned char *const left = tiles + ring.stage * Tiles::kStageBytes",
     "const unsigned char *const left = tiles + (ring.stage ? 0 : 1) * Tiles::kStageBytes", "nt"},
    {"a stage is given back while it is multiplied",
     "release((ring.stage ? ring.stage : Tiles::kStages) - 1);", "release(ring.stage);", "nt"},
    {"no wait before a stage is given back", "waitProducts<1>();\n      if", "if", "nt"},
    {"the last products are not waited for", "waitProducts<0>();\n    keep", "keep", "nt"},
    {"no fence before products", "fenceProducts();", "", "nt"},
    {"sums are stored while tiles are read", "__syncthreads(); // sums come", "// sums come", "nt"},
    {"sums are used before they are stored",
     "__syncthreads();\n  return result;\n}\n\n} // namespace lmc\n#endif",
     "return result;\n}\n\n} // namespace lmc\n#endif", "nt"},
    {"one warpgroup's rows for both",
     "operandMatrix<Tiles::kAlongDepthA>(left, thread / kWarpgroup, s)",
     "operandMatrix<Tiles::kAlongDepthA>(left, 0, s)", "nt"},
    {"the first box twice", "across + box * kTileLine", "across", "tn"},
    {"the depth does not advance in a tile", "matrixAcross<kTileLine>(tile, depth)",
     "matrixAcross<kTileLine>(tile, 0)", "tn"},
};

TEST(HopperProduct, FindsPlantedBugs) {
  Context context;
  std::map<std::string, Program> programs;
  for (std::string layout : {"nt", "tn"})
    programs.emplace(layout, makeProgram(context, batched(layout, 72, 328, 136, 128), layout));
  for (auto &[layout, program] : programs)
    EXPECT_THAT(textOf(program), testing::HasSubstr("multiplyByWarpgroups"));
  expectFound(programs, kPlants);
}

struct Budget {
  const char *program;
  unsigned registers, tileCopies;
};

/// Two blocks of 288 threads fit into a multiprocessor with up to 96 registers.
constexpr Budget kBudgets[] = {{"batched_nt", 96, 2}, {"batched_nn", 96, 3}, {"batched_tn", 96, 4},
                               {"batched_tt", 96, 3}, {"rows_131", 96, 3},   {"epilogue", 96, 2}};

TEST(HopperProduct, KeepsItsBudget) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::map<std::string, cuda::Kernel> kernels;
  for (const Source &source : sources())
    for (auto &[name, kernel] : makeProgram(context, source, source.name).kernels)
      if (kernel.family == "matmul")
        kernels[source.name] = kernel;
  std::vector<cuda::Kernel> budgeted;
  for (const Budget &budget : kBudgets)
    budgeted.push_back(kernels.at(budget.program));
  auto resources = resourcesInRegisters(*compiler, budgeted, "sm_90a");
  for (const Budget &budget : kBudgets) {
    SCOPED_TRACE(budget.program);
    const cuda::Kernel &kernel = kernels.at(budget.program);
    const cuda::Resources &used = resources.at(kernel.name);
    EXPECT_LE(used.registers, budget.registers);
    EXPECT_EQ(kernel.block, 288u);
    EXPECT_EQ(kernel.sharedBytes, 98352u); // of two blocks: less than 227 KiB
    const cuda::InstructionCounts &counts = used.instructions;
    EXPECT_EQ(counts.hgmma, 4u);
    EXPECT_EQ(counts.utmaldg, budget.tileCopies);
    EXPECT_EQ(counts.hmma + counts.ldgsts, 0u);
  }
}

} // namespace
} // namespace lmc::test
