// Attention and its adjoints for sm_90a: against the reference evaluator in several orders of threads,
// with planted bugs, and through NVIDIA's compiler with budgets.
#include "AttentionPrograms.h"
#include "Budget.h"
#include "Emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace lmc::test {
namespace {

/// First thread first; last thread first, random, and the last warp as far as it can, with late copies.
constexpr unsigned kSeeds[] = {0, 1, 3, 5};

Program planned(Context &context, AttentionProgram program) {
  program.source.architecture = "sm_90a";
  return makeProgram(context, program.source, program.source.name, program.inputs);
}

std::string textOf(const Program &program) {
  std::string text;
  for (auto &[name, kernel] : program.kernels)
    text += kernel.text;
  return text;
}

AttentionSizes sizes(int64_t B, int64_t T, int64_t H, int64_t G, int64_t D, bool causal) {
  return {"bf16", B, T, H, G, D, causal};
}

/// Lengths on both sides of a tile, three tiles of keys and more, every width of the sums.
std::vector<AttentionProgram> programs() {
  std::vector<AttentionProgram> list;
  auto add = [&](const std::string &name, AttentionSizes s, bool fused = false,
                 bool symbolic = false) {
    s.fused = fused;
    s.symbolic = symbolic;
    list.push_back(attentionForward(name, s));
  };
  add("d64_causal", sizes(1, 300, 2, 2, 64, true), true);
  add("d64_full", sizes(2, 391, 2, 1, 64, false), false, true);
  add("d128_causal", sizes(1, 270, 2, 1, 128, true), true, true);
  add("d128_full", sizes(1, 257, 1, 1, 128, false));
  add("d40", sizes(1, 129, 1, 1, 40, true));
  add("d80", sizes(1, 150, 1, 1, 80, true));
  add("d96", sizes(1, 128, 1, 1, 96, false));
  add("d256", sizes(1, 140, 1, 1, 256, true));
  add("one_token", sizes(2, 1, 2, 1, 64, true));
  AttentionSizes negative = sizes(1, 33, 1, 1, 64, true);
  negative.scale = -0.5;
  add("negative_scale", negative);
  // Windows smaller and larger than a tile, of one key and of all.
  add("window", sizes(1, 300, 2, 1, 64, true).modified(50), true);
  add("window_wide", sizes(1, 500, 1, 1, 64, true).modified(300), false, true);
  add("window_of_one", sizes(1, 150, 1, 1, 80, true).modified(1));
  add("window_of_all", sizes(1, 150, 1, 1, 64, true).modified(150));
  add("soft_cap", sizes(1, 270, 2, 1, 128, false).modified(0, 0.7), true);
  add("both", sizes(1, 260, 1, 1, 256, true).modified(70, 0.5));
  add("negative_soft_cap", negative.modified(20, 0.4));
  return list;
}

TEST(HopperAttention, AgreesWithTheEvaluator) {
  Context context;
  std::vector<Program> all;
  for (const AttentionProgram &program : programs()) {
    all.push_back(planned(context, program));
    EXPECT_THAT(textOf(all.back()), testing::HasSubstr("attentionForwardTiles"));
  }
  expectAgreement(all, kSeeds);
}

/// Lengths on both sides of a tile, several tiles, every width of the sums, grouped heads; with sums beside the next
/// tile's scores (dq; dk and dv up to 64) and without.
std::vector<AttentionProgram> adjoints() {
  std::vector<AttentionProgram> list;
  auto add = [&](const std::string &name, AttentionSizes s, bool fused = false,
                 bool symbolic = false) {
    s.fused = fused;
    s.symbolic = symbolic;
    list.push_back(attentionAdjoints("adjoint_" + name, s));
  };
  add("d64_causal", sizes(1, 300, 2, 2, 64, true), true);
  add("d64_full", sizes(2, 261, 2, 1, 64, false), false, true);
  add("d128_causal", sizes(1, 270, 2, 1, 128, true), true, true);
  add("d128_full", sizes(1, 197, 1, 1, 128, false));
  add("d40", sizes(1, 129, 1, 1, 40, true));
  add("d80", sizes(1, 150, 3, 1, 80, true));
  add("d96", sizes(1, 128, 1, 1, 96, false));
  add("one_token", sizes(2, 1, 2, 1, 64, true));
  AttentionSizes negative = sizes(1, 33, 1, 1, 64, true);
  negative.scale = -0.5;
  add("negative_scale", negative);
  add("window", sizes(1, 300, 2, 1, 64, true).modified(50), true);
  add("window_wide", sizes(1, 400, 1, 1, 64, true).modified(200), false, true);
  add("window_of_one", sizes(1, 150, 1, 1, 80, true).modified(1));
  add("soft_cap", sizes(1, 200, 2, 1, 128, false).modified(0, 0.7), true);
  add("both", sizes(1, 200, 1, 1, 96, true).modified(70, 0.5));
  add("negative_soft_cap", negative.modified(20, 0.4));
  add("d128_all", sizes(1, 200, 4, 2, 128, true).modified(90, 0.5), true, true);
  add("d64_all", sizes(1, 200, 4, 2, 64, true).modified(90, 0.5), true, true);
  return list;
}

TEST(HopperAttention, AdjointsAgreeWithTheEvaluator) {
  Context context;
  std::vector<Program> all;
  for (const AttentionProgram &program : adjoints()) {
    all.push_back(planned(context, program));
    EXPECT_THAT(textOf(all.back()), testing::HasSubstr("attentionDqTiles"));
    EXPECT_THAT(textOf(all.back()), testing::HasSubstr("attentionDkDvTiles"));
  }
  expectAgreement(all, kSeeds);
}

/// Heads that are wider stay with the tiles of sm_80, and the kernel says why.
TEST(HopperAttention, AdjointsOfWideHeadsSayWhyNot) {
  Context context;
  std::string text =
      textOf(planned(context, attentionAdjoints("wide", sizes(1, 33, 1, 1, 160, true))));
  EXPECT_THAT(text, testing::HasSubstr("attentionForwardTiles"));
  EXPECT_THAT(text,
              testing::HasSubstr("a block has a tile of keys; as on sm_80: sums of wide heads "
                                 "leave no registers for scores"));
  EXPECT_THAT(text, testing::HasSubstr("attentionDq<Tile>"));
}

constexpr Plant kPlants[] = {
    {"no wait for the queries", "waitForPhase(shared.queriesFull, 0);", "", "causal"},
    {"no wait for keys", "waitForPhase(shared.full(0, keys.stage), keys.parity);\n    fence",
     "fence", "causal"},
    {"no wait for values", "waitForPhase(shared.full(1, values.stage), values.parity);", "",
     "causal"},
    {"no wait for the last values",
     "waitForPhase(shared.full(1, values.stage), values.parity);\n  fence", "fence", "causal"},
    {"wrong parity of values", "shared.full(1, values.stage), values.parity",
     "shared.full(1, values.stage), values.parity ^ 1", "causal"},
    {"wrong parity of empty stages", "shared.empty(operand, ring.stage), ring.parity ^ 1",
     "shared.empty(operand, ring.stage), ring.parity", "causal"},
    {"no wait for empty stages",
     "waitForPhase(shared.empty(operand, ring.stage), ring.parity ^ 1);", "", "causal"},
    {"too few bytes", "arriveExpecting(barrier, Tile::kBoxes * kTileBytes<Lines>)",
     "arriveExpecting(barrier, kTileBytes<Lines>)", "full"},
    {"too many bytes", "arriveExpecting(barrier, Tile::kBoxes * kTileBytes<Lines>)",
     "arriveExpecting(barrier, 2 * Tile::kBoxes * kTileBytes<Lines>)", "full"},
    {"the stage of the keys for the values",
     "startSums<Tile>(sums, weights, shared.tile(1, values.stage));\n    commit",
     "startSums<Tile>(sums, weights, shared.tile(1, keys.stage));\n    commit", "causal"},
    {"keys are given back before they are multiplied", "waitProducts<1>(); // the scores",
     "release(0, keys); waitProducts<1>();", "causal"},
    {"keys are given back before their products are done", "waitProducts<1>(); // the scores",
     "waitProducts<2>();", "causal"},
    {"values are given back before their products are done", "waitProducts<0>(); // the sums",
     "waitProducts<1>();", "causal"},
    {"values are never given back", "release(1, values);", "values.advance();", "causal"},
    {"half of the warps give a stage back", "Tile::kConsumers / kWarp);",
     "Tile::kConsumers / kWarp / 2);", "causal"},
    {"no fence before products", "fenceProducts();\n  startScores", "startScores", "causal"},
    {"sums do not decay", "schedule.decayRow(sums, 0, half, decays[half]);", "", "causal"},
    {"a query does not see itself", "key <= query + past", "key < query + past", "causal"},
    {"a query sees the next key", "key <= query + past", "key <= query + past + 1", "causal"},
    {"keys behind the end", "key < keys &&", "key <= keys &&", "short"},
    {"no mask on a tile's edge", "end <= keys && (!Causal", "(!Causal", "full"},
    {"a tile of keys is left out", "keysEnd - keysBegin + Tile::kInner - 1) / Tile::kInner));",
     "keysEnd - keysBegin) / Tile::kInner));", "full"},
    {"tiles from the first key on in spite of a window", "firstKey + tile * Tile::kInner",
     "tile * Tile::kInner", "window"},
    {"the window begins too late", "query + past + 1 - Window", "query + past + 2 - Window",
     "window"},
    {"a key behind the window", "key + Window > query + past", "key + Window >= query + past",
     "window"},
    {"no mask at the window's edge", "isInWindow(queryEnd - 1, key)", "isInWindow(query, key)",
     "wide_window"},
    {"the soft cap comes behind the mask",
     "applyChain<Tile>(scores, chain);\n    maskScores<Tile, true>(scores, mask, first, row, 1);",
     "maskScores<Tile, true>(scores, mask, first, row, 1);\n    applyChain<Tile>(scores, chain);",
     "soft_cap"},
    {"a log-sum-exp without the soft cap", "return cap;", "return scale;", "soft_cap"},
    {"the first warpgroup's queries for all", "thread / kWarpgroup * kTileBytes<64>", "0",
     "causal"},
    {"the first box of the head dimension twice", "Coordinates<4>{box * kTileLine,",
     "Coordinates<4>{0,", "full"},
};

TEST(HopperAttention, FindsPlantedBugs) {
  Context context;
  std::map<std::string, Program> programs;
  programs.emplace("causal",
                   planned(context, attentionForward("causal", sizes(1, 391, 1, 1, 64, true))));
  programs.emplace("full",
                   planned(context, attentionForward("full", sizes(1, 145, 1, 1, 80, false))));
  programs.emplace("short",
                   planned(context, attentionForward("short", sizes(1, 5, 1, 1, 64, false))));
  // Uneven weights, so that one key more or less is seen.
  AttentionSizes steep = sizes(1, 391, 1, 1, 64, true);
  steep.scale = 1;
  programs.emplace("window", planned(context, attentionForward("window", steep.modified(20))));
  programs.emplace("wide_window",
                   planned(context, attentionForward("wide_window", steep.modified(135))));
  programs.emplace(
      "soft_cap",
      planned(context,
              attentionForward("soft_cap", sizes(1, 145, 1, 1, 64, true).modified(0, 0.5))));
  expectFound(programs, kPlants);
}

constexpr Plant kAdjointPlants[] = {
    {"no wait for the outer tiles", "waitForPhase(shared.outerFull(), 0);", "", "causal"},
    {"no wait for the first inner tiles",
     "waitForPhase(shared.full(ring.stage), ring.parity);\n  fence", "fence", "causal"},
    {"no wait for inner tiles", "waitForPhase(shared.full(ring.stage), ring.parity);\n    fence",
     "fence", "causal"},
    {"no wait for inner tiles without overlap", "waitForPhase(shared.full(stage), parity);", "",
     "d128"},
    {"wrong parity of full stages", "shared.full(ring.stage), ring.parity);\n    fence",
     "shared.full(ring.stage), ring.parity ^ 1);\n    fence", "causal"},
    {"no wait for empty stages of tiles",
     "waitForPhase(shared.empty(stage), parity ^ 1);\n      copyHead", "copyHead", "causal"},
    {"no wait for empty stages of statistics",
     "waitForPhase(shared.empty(stage), parity ^ 1);\n#pragma unroll", "#pragma unroll", "causal"},
    {"wrong parity of empty stages",
     "waitForPhase(shared.empty(stage), parity ^ 1);\n      copyHead",
     "waitForPhase(shared.empty(stage), parity);\n      copyHead", "causal"},
    {"statistics are not announced", "arrive(shared.full(stage));", "", "causal"},
    {"statistics are announced before they are there",
     "for (int i = lane; i < Tile::kInner; i += kWarp) {",
     "arrive(shared.full(stage));\n        for (int i = lane; i < Tile::kInner; i += kWarp) {",
     "causal"},
    {"statistics are not waited for", "kArrivals = 2 + (Statistics ? kWarp : 0)", "kArrivals = 2",
     "causal"},
    {"one of the outer operands is not waited for", "initialise(shared.outerFull(), 2);",
     "initialise(shared.outerFull(), 1);", "causal"},
    {"statistics of the other stage", "shared.statistic(1, stage));",
     "shared.statistic(1, stage ? 0 : 1));", "causal"},
    {"statistics of the first head", "lse.ofHead(head).at(row + i)", "lse.ofHead(0).at(row + i)",
     "grouped"},
    {"operands of the first head", "of.innerHead + head, row", "of.innerHead, row", "grouped"},
    {"the last head is left out", "left = of.heads;", "left = of.heads - 1;", "grouped"},
    {"sums of the next stage", "startAll(last);", "startAll(ring.stage);", "causal"},
    {"tiles are given back before their products are done",
     "waitProducts<0>(); // the last tile's sums", "", "causal"},
    {"scores are read before they are done", "waitProducts<1>(); // both scores",
     "waitProducts<2>();", "causal"},
    {"tiles are never given back", "release(last);", "", "causal"},
    {"half of the warps give a stage back",
     "initialise(shared.empty(stage), Tile::kConsumers / kWarp);",
     "initialise(shared.empty(stage), Tile::kConsumers / kWarp / 2);", "causal"},
    {"tiles are given back before their sums", "startAll(stage);\n      waitProducts<0>();",
     "release(stage);\n      startAll(stage);\n      waitProducts<0>();", "d128"},
    {"no fence before products", "fenceProducts();\n    startBoth(ring.stage);",
     "startBoth(ring.stage);", "causal"},
    {"no fence before sums", "fenceProducts();\n      startAll(stage);", "startAll(stage);",
     "d128"},
    {"the first warpgroup's rows for all", "ownRows = thread / kWarpgroup * kTileBytes<64>",
     "ownRows = 0", "causal"},
    {"an inner operand for the other",
     "startScores<Tile>(scores[1], shared.outer(1) + ownRows, shared.inner(1, stage));",
     "startScores<Tile>(scores[1], shared.outer(1) + ownRows, shared.inner(0, stage));", "causal"},
    {"queries start too late", "maximum(key - past, Index(0))",
     "maximum(key - past + 64, Index(0))", "causal"},
    {"a query sees the next key", "key <= query + past", "key <= query + past + 1", "causal"},
    {"keys are left by their last query", "minimum(queries, end - 1 - past + Window)",
     "minimum(queries, end - 64 - past + Window)", "window"},
    {"a key behind the window", "key + Window > query + past", "key + Window >= query + past",
     "window"},
    {"the slope of a soft cap is missing", "chain.times(p * (cotangent - delta), score)",
     "p * (cotangent - delta)", "soft_cap"},
};

TEST(HopperAttention, FindsPlantedBugsOfAdjoints) {
  Context context;
  std::map<std::string, Program> programs;
  auto add = [&](const std::string &name, const AttentionSizes &sizes) {
    Program &added =
        programs.emplace(name, planned(context, attentionAdjoints(name, sizes))).first->second;
    // What surrounds the adjoints is evaluated.
    for (auto at = added.kernels.begin(); at != added.kernels.end();)
      at = at->second.text.find("lmc::attentionD") != std::string::npos ? std::next(at)
                                                                        : added.kernels.erase(at);
    EXPECT_EQ(added.kernels.size(), 2u);
  };
  AttentionSizes steep = sizes(1, 300, 1, 1, 64, true);
  steep.scale = 0.5;
  AttentionSizes grouped = sizes(1, 130, 2, 1, 64, false);
  grouped.scale = 0.5;
  add("causal", sizes(1, 430, 1, 1, 64, true));
  add("grouped", grouped);
  add("d128", sizes(1, 300, 1, 1, 128, false));
  add("window", steep.modified(20));
  add("soft_cap", sizes(1, 100, 1, 1, 64, true).modified(0, 0.5));
  expectFound(programs, kAdjointPlants);
}

struct Budget {
  const char *program;
  unsigned registers, sharedBytes, products, tileCopies;
};

/// Products: scores of two tiles of keys (the first, and one of the loop) and weighted sums of two.
constexpr Budget kBudgets[] = {
    {"d64_causal", 168, 81992, 24, 4},   {"d64_full", 168, 81992, 24, 4},
    {"d128_causal", 168, 163912, 32, 8}, {"d128_full", 168, 163912, 32, 8},
    {"d80", 168, 163912, 26, 8},         {"d256", 168, 196680, 40, 16},
    {"window", 168, 81992, 24, 4},       {"soft_cap", 168, 163912, 32, 8},
    {"both", 168, 196680, 40, 16},
};

/// Of dq, then of dk and dv. Products: two scores and the sums of a tile, twice where they overlap.
constexpr Budget kAdjointBudgets[][2] = {
    {{"adjoint_d64_causal", 168, 131128, 32, 4}, {"", 168, 83512, 32, 4}},
    {{"adjoint_d64_full", 168, 131128, 32, 4}, {"", 168, 83512, 32, 4}},
    {{"adjoint_d128_causal", 168, 163896, 40, 8}, {"", 168, 165432, 24, 8}},
    {{"adjoint_d128_full", 168, 163896, 40, 8}, {"", 168, 165432, 24, 8}},
    {{"adjoint_d80", 168, 163896, 28, 8}, {"", 168, 165432, 18, 8}},
    {{"adjoint_d96", 168, 163896, 32, 8}, {"", 168, 165432, 20, 8}},
    {{"adjoint_window", 168, 131128, 32, 4}, {"", 168, 83512, 32, 4}},
    {{"adjoint_soft_cap", 168, 163896, 40, 8}, {"", 168, 165432, 24, 8}},
    {{"adjoint_d64_all", 168, 131128, 32, 4}, {"", 168, 83512, 32, 4}},
    {{"adjoint_d128_all", 168, 163896, 40, 8}, {"", 168, 165432, 24, 8}},
    {{"adjoint_both", 168, 163896, 32, 8}, {"", 168, 165432, 20, 8}},
};

TEST(HopperAttention, AdjointsKeepTheirBudgets) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::map<std::string, std::vector<cuda::Kernel>> kernels;
  std::vector<cuda::Kernel> all;
  for (const AttentionProgram &program : adjoints())
    for (auto &[name, kernel] : planned(context, program).kernels)
      if (kernel.text.find("lmc::attentionD") != std::string::npos) {
        kernels[program.source.name].push_back(kernel);
        all.push_back(kernel);
      }
  auto resources = resourcesInRegisters(*compiler, all, "sm_90a");
  for (const auto &both : kAdjointBudgets)
    for (size_t i = 0; i < 2; ++i) {
      SCOPED_TRACE(std::string(both[0].program) + (i ? " dk, dv" : " dq"));
      ASSERT_EQ(kernels[both[0].program].size(), 2u);
      const cuda::Kernel &kernel = kernels[both[0].program][i];
      const cuda::Resources &used = resources.at(kernel.name);
      EXPECT_LE(used.registers, both[i].registers);
      EXPECT_EQ(kernel.sharedBytes, both[i].sharedBytes);
      EXPECT_LE(kernel.sharedBytes, 227u << 10);
      EXPECT_EQ(used.instructions.hgmma, both[i].products);
      EXPECT_EQ(used.instructions.utmaldg, both[i].tileCopies);
      EXPECT_EQ(used.instructions.hmma + used.instructions.ldgsts, 0u);
    }
}

TEST(HopperAttention, KeepsItsBudget) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::map<std::string, cuda::Kernel> kernels;
  for (const AttentionProgram &program : programs())
    for (auto &[name, kernel] : planned(context, program).kernels)
      if (kernel.family == "attention")
        kernels[program.source.name] = kernel;
  std::vector<cuda::Kernel> budgeted;
  for (const Budget &budget : kBudgets)
    budgeted.push_back(kernels.at(budget.program));
  auto resources = resourcesInRegisters(*compiler, budgeted, "sm_90a");
  for (const Budget &budget : kBudgets) {
    SCOPED_TRACE(budget.program);
    const cuda::Kernel &kernel = kernels.at(budget.program);
    const cuda::Resources &used = resources.at(kernel.name);
    EXPECT_LE(used.registers, budget.registers);
    EXPECT_EQ(kernel.sharedBytes, budget.sharedBytes);
    EXPECT_LE(kernel.sharedBytes, 227u << 10);
    const cuda::InstructionCounts &counts = used.instructions;
    EXPECT_EQ(counts.hgmma, budget.products);
    EXPECT_EQ(counts.utmaldg, budget.tileCopies);
    EXPECT_EQ(counts.hmma + counts.ldgsts, 0u);
  }
}

} // namespace
} // namespace lmc::test
