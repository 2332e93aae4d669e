// Attention and its adjoints as CUDA kernels: against the reference evaluator in several orders of
// threads, with planted bugs, and through NVIDIA's compiler with budgets.
#include "AttentionPrograms.h"
#include "Budget.h"
#include "Emulator.h"

#include "codegen/cuda/Print.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

using namespace lmc;
using namespace lmc::test;

namespace {

/// First thread first; any order and the last warp as far as it can, with lazy copies.
constexpr unsigned kSeeds[] = {0, 3, 5};

Program planned(Context &context, const AttentionProgram &program) {
  return makeProgram(context, program.source, program.source.name, program.inputs);
}

void expectAgreement(const std::vector<AttentionProgram> &list) {
  Context context;
  std::vector<Program> programs;
  for (const AttentionProgram &program : list) {
    const Program &added = programs.emplace_back(planned(context, program));
    auto isPart = [](const auto &kernel) {
      return kernel.second.text.find("attentionPart<Tile") != std::string::npos;
    };
    EXPECT_EQ(llvm::any_of(added.kernels, isPart), program.source.splitAttention.has_value())
        << program.source.name;
  }
  expectAgreement(programs, kSeeds);
}

TEST(AttentionEmulation, F32AgreesWithTheEvaluator) { expectAgreement(attentionPrograms("f32")); }

TEST(AttentionEmulation, Bf16AgreesWithTheEvaluator) { expectAgreement(attentionPrograms("bf16")); }

TEST(AttentionEmulation, F32InPartsAgreesWithTheEvaluator) {
  expectAgreement(splitPrograms("f32"));
}

TEST(AttentionEmulation, Bf16InPartsAgreesWithTheEvaluator) {
  expectAgreement(splitPrograms("bf16"));
}

/// Pages change where keys lie, not the order of sums: the bits are those of the same tokens in one piece.
void expectPagesToChangeNothing(const std::string &element) {
  Context context;
  std::vector<Program> programs;
  for (const PagedProgram &one : pagedPrograms(element))
    for (bool gathered : {false, true})
      programs.push_back(planned(context, one.program(gathered)));
  ASSERT_NO_FATAL_FAILURE(expectAgreement(programs, kSeeds));
  std::vector<const Program *> all;
  for (const Program &program : programs)
    all.push_back(&program);
  Emulator emulator(all, cuda::deviceLibrary());
  for (size_t i = 0; i < programs.size(); i += 2) {
    SCOPED_TRACE(programs[i].source.name);
    auto pool = [](const auto &kernel) {
      return kernel.second.text.find("PagedRows<") != std::string::npos;
    };
    EXPECT_TRUE(llvm::any_of(programs[i].kernels, pool));
    EXPECT_FALSE(llvm::any_of(programs[i + 1].kernels, pool));
    std::string fault;
    std::vector<lm::Tensor> paged = emulator.run(programs[i], 3, fault),
                            whole = emulator.run(programs[i + 1], 3, fault);
    ASSERT_EQ(fault, "");
    for (size_t result = 0; result < whole.size(); ++result)
      EXPECT_EQ(paged[result].data, whole[result].data);
  }
}

TEST(PagedEmulation, F32AgreesWithTheEvaluatorAndOnePiece) { expectPagesToChangeNothing("f32"); }

TEST(PagedEmulation, Bf16AgreesWithTheEvaluatorAndOnePiece) { expectPagesToChangeNothing("bf16"); }

std::vector<AttentionProgram> appends() {
  std::vector<AttentionProgram> list;
  for (std::string element : {"f32", "bf16"}) {
    AttentionSizes one{element, 3, 1, 2, 2, 10}, several{element, 3, 5, 2, 3, 64};
    AttentionSizes symbolic = several;
    symbolic.symbolic = true;
    symbolic.longest = 8;
    list.push_back(appendToPages("append_one_" + element, one, {16, 3, {15, 16, 2}}));
    list.push_back(appendToPages("append_across_" + element, several, {3, 5, {2, 10, 0}}));
    list.push_back(appendToPages("append_symbolic_" + element, symbolic, {16, 2, {27, 13, 5}}));
  }
  // Behind the last page of a sequence there is no place; a negative past is none.
  list.push_back(appendToPages("append_too_much", {"f32", 3, 5, 2, 3, 8}, {4, 3, {9, 12, 1}}));
  list.push_back(appendToPages("append_negative", {"f32", 3, 5, 2, 3, 8}, {4, 3, {-2, 1, 1}}));
  return list;
}

TEST(PagedEmulation, AppendsToPages) { expectAgreement(appends()); }

/// In the text of kernels that append.
TEST(PagedEmulation, FindsPlantedBugsOfAppending) {
  Context context;
  for (auto [what, good, bad] :
       {std::tuple("a page too far", " / 3", " / 3 + 1"),
        {"pages of one token", " % 3", " % 1"},
        {"the same place for all", "lmc::maximum(", "0 * lmc::maximum("}}) {
    Program program =
        planned(context, appendToPages("append", {"f32", 3, 5, 2, 3, 64}, {3, 5, {2, 9, 0}}));
    EXPECT_EQ(evidence(program, Emulator({&program}, cuda::deviceLibrary())), "");
    cuda::Kernel &kernel = program.kernels.begin()->second;
    ASSERT_EQ(kernel.family, "cache");
    std::string planted = replaced(kernel.text, good, bad);
    ASSERT_NE(planted, kernel.text) << what;
    kernel.text = planted;
    EXPECT_NE(evidence(program, Emulator({&program}, cuda::deviceLibrary())), "") << what;
  }
}

constexpr Plant kPlants[] = {
    {"missing wait for a tile", "waitCopies<0>();\n    __syncthreads();\n    if constexpr",
     "__syncthreads();\n    if constexpr", "adjoints"},
    {"missing barrier for a tile", "waitCopies<0>();\n    __syncthreads();\n    if constexpr",
     "waitCopies<0>();\n    if constexpr", "adjoints"},
    {"missing wait between scores and sums", "waitCopies<0>();\n      __syncthreads();",
     "__syncthreads();", "adjoints"},
    {"missing barrier between scores and sums", "waitCopies<0>();\n      __syncthreads();",
     "waitCopies<0>();", "adjoints"},
    {"copy into the stage that is read", "copySecond(nextHead, nextRow, nextStage);",
     "copySecond(nextHead, nextRow, stage);", "adjoints"},
    {"statistics of the other stage", "statisticOf(1, stage) + column",
     "statisticOf(1, 1 - stage) + column", "adjoints"},
    {"a query does not see itself", "key <= query + past", "key < query + past", "adjoints"},
    {"a key too many without a mask", "end <= query + past + 1", "end <= query + past + 2",
     "decode"},
    {"keys behind the end", "key < keys &&", "key <= keys &&", "full"},
    {"the last key is missing", "minimum(keys, end + past)", "minimum(keys, end + past - 1)",
     "decode"},
    {"queries start too late", "maximum(key - past, Index(0))", "maximum(key - past + 1, Index(0))",
     "adjoints"},
    {"sums do not decay", "sums[r][d][2 * half] *= decay;", "", "adjoints"},
    {"missing barrier before parts are written", "__syncthreads(); // the tiles", "// the tiles",
     "decode"},
    {"missing barrier before parts are read",
     "schedule.total[r][half];\n    }\n    __syncthreads();", "schedule.total[r][half];\n    }",
     "decode"},
    {"a row that saw no key", "most == minusInfinity<Real>() ? Real(0) : most * scale",
     "most * scale", "decode"},
    {"missing barrier before weights are read", "__syncwarp();\n#pragma unroll 1",
     "\n#pragma unroll 1", "f32"},
    {"missing barrier before weights are written", "__syncwarp(); // other", "// other", "f32"},
    {"a key behind the window", "key + Window > query + past", "key + Window >= query + past",
     "window"},
    {"a window without its last key", "key + Window > query + past",
     "key + Window > query + past + 1", "window"},
    {"no mask at the window's edge", "isInWindow(queryEnd - 1, key)", "isInWindow(query, key)",
     "window"},
    {"a window without its last key over a cache", "query + past + 1 - Window",
     "query + past + 2 - Window", "decode_window"},
    {"keys are left by their last query", "minimum(queries, end - 1 - past + Window)",
     "minimum(queries, end - 2 - past + Window)", "window"},
    {"the slope of a soft cap is missing", "chain.times(p * (cotangent - delta), score)",
     "p * (cotangent - delta)", "soft_cap"},
    {"the slope of what is masked", "larger(fused(-share, share, Real(1)), Real(0))",
     "fused(-share, share, Real(1))", "soft_cap"},
    {"a log-sum-exp without the soft cap", "return cap;", "return scale;", "soft_cap"},
    {"parts share their keys", "row : row + (Parts - 1) * Chunk", "row : row", "parts"},
    {"a part goes on within a chunk of another", "row % Chunk != 0", "row % Chunk == 0", "parts"},
    {"a part begins a round late", "round + part < chunk ?", "round + part <= chunk ?", "parts"},
    {"a part without the chunk in which the window begins", "chunk = from / Chunk,",
     "chunk = (from + Chunk - 1) / Chunk,", "parts_window"},
    {"all parts are the first one", "round + part + (", "round + (", "parts"},
    {"an empty part weighs something", "? minusInfinity<Real>()\n              : fused(",
     "? Real(0)\n              : fused(", "parts"},
    {"the page behind a token's own", "pages[row / PageTokens * nextPage]",
     "pages[maximum(row / PageTokens - 1, Index(0)) * nextPage]", "paged"},
    {"the first rows of a page", "row % PageTokens * token", "row % 2 * token", "paged"},
    {"a page of a tile is another's", "{from.at(begin), from", "{from.at(Index(0)), from",
     "paged_tiles"},
    {"a tile begins at its page", "(row - begin) * token", "row * token", "paged_tiles"},
    {"a tile lies in one page", "Aligned && PageTokens % Count == 0", "Aligned", "paged"},
    {"a window's tile lies in one page", "Aligned && PageTokens % Count == 0",
     "PageTokens % Count == 0", "paged_window"},
    {"missing barrier before parts of warps are read in a part",
     "schedule.total[r][half];\n    }\n    __syncthreads();", "schedule.total[r][half];\n    }",
     "parts"},
};

TEST(AttentionEmulation, FindsPlantedBugs) {
  Context context;
  std::map<std::string, Program> programs;
  auto add = [&](const std::string &name, const AttentionProgram &program) {
    Program &added = programs.emplace(name, planned(context, program)).first->second;
    // What surrounds attention is evaluated.
    for (auto at = added.kernels.begin(); at != added.kernels.end();)
      at = at->second.family == "attention" ? std::next(at) : added.kernels.erase(at);
  };
  add("adjoints", attentionAdjoints("adjoints", {"bf16", 1, 139, 2, 1, 16, true}));
  add("f32", attentionAdjoints("f32", {"f32", 1, 39, 2, 1, 16, true}));
  add("full", attentionForward("full", {"f32", 1, 39, 1, 1, 16, false}));
  add("window",
      attentionAdjoints("window", AttentionSizes{"bf16", 1, 171, 2, 1, 16, true}.modified(20)));
  add("decode_window",
      attentionOverCache("decode_window", AttentionSizes{"f32", 1, 2, 4, 2, 16, true}.modified(20),
                         200, 150));
  add("soft_cap",
      attentionAdjoints("soft_cap", AttentionSizes{"f32", 1, 39, 2, 1, 16, true}.modified(0, 0.5)));
  add("decode", attentionOverCache("decode", {"f32", 1, 2, 4, 2, 16, true}, 200, 30));
  // One part of four is empty, another ends within its second tile.
  add("parts",
      inParts(attentionOverCache("parts", {"f32", 1, 2, 4, 2, 16, true}, 1100, 700), 4, 256));
  add("parts_window",
      inParts(attentionOverCache("parts_window",
                                 AttentionSizes{"f32", 1, 1, 2, 1, 16, true}.modified(60), 300,
                                 200),
              3, 32));
  add("paged", attentionOverPages("paged", {"f32", 2, 1, 4, 2, 16}, {16, 14, {150, 70}}));
  add("paged_tiles",
      attentionOverPages("paged_tiles", {"f32", 2, 1, 4, 2, 16}, {256, 2, {300, 70}}));
  add("paged_window",
      attentionOverPages("paged_window", AttentionSizes{"f32", 2, 1, 4, 2, 16}.modified(90),
                         {128, 3, {300, 170}}));

  expectFound(programs, kPlants);
}

/// Of the kernel that combines parts.
TEST(AttentionEmulation, FindsPartsThatAreNotCombined) {
  Context context;
  Program program = planned(
      context,
      inParts(attentionOverCache("combined", {"f32", 1, 1, 2, 1, 16, true}, 200, 150), 3, 16));
  EXPECT_EQ(evidence(program, Emulator({&program}, cuda::deviceLibrary())), "");
  unsigned rows = 0;
  for (auto &[symbol, kernel] : program.kernels) {
    if (kernel.family != "row")
      continue;
    ++rows;
    std::string good = kernel.text;
    kernel.text = replaced(good, "c < 3;", "c < 2;");
    ASSERT_NE(kernel.text, good);
    EXPECT_NE(evidence(program, Emulator({&program}, cuda::deviceLibrary())), "") << symbol;
    kernel.text = good;
  }
  EXPECT_EQ(rows, 2u) << "out, and the log-sum-exp, which this program returns";
}

/// What a kernel of sm_80's path may take on all architectures, and the tensor-core and ldmatrix instructions that
/// it has: those of one iteration, twice where a loop is written out in part.
struct Budget {
  const char *kernel; ///< element, head dimension, kind
  unsigned threads, registers, sharedBytes, hmma, ldsm;
};

constexpr Budget kBudgets[] = {
    {"bf16_64_forward", 128, 255, 50688, 224, 64},
    {"bf16_64_dq", 256, 128, 73728, 96, 56},
    {"bf16_64_dkdv", 256, 176, 74752, 128, 72},
    {"bf16_64_decode", 256, 80, 76032, 16, 12},
    {"bf16_96_forward", 128, 255, 53248, 192, 60},
    {"bf16_128_forward", 128, 255, 69632, 160, 44},
    {"bf16_128_dq", 256, 176, 139264, 192, 112},
    {"bf16_128_dkdv", 256, 255, 140288, 256, 144},
    {"bf16_128_decode", 128, 120, 73984, 32, 24},
    {"bf16_256_forward", 256, 248, 135168, 256, 144},
    {"bf16_256_dkdv", 256, 240, 135680, 192, 128},
    {"f32_64_forward", 128, 96, 44032, 0, 0},
    {"f32_64_dkdv", 128, 210, 79360, 0, 0},
    // The same tiles: pages cost a few registers for addresses.
    {"bf16_64_paged", 256, 80, 76032, 16, 12},
    {"bf16_64_small_pages", 256, 80, 76032, 16, 12},
    {"bf16_128_paged", 128, 128, 73984, 32, 24},
    {"bf16_128_small_pages", 128, 128, 73984, 32, 24},
};

TEST(AttentionNvrtc, KernelsKeepTheirBudgets) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::map<std::string, cuda::Kernel> all;
  auto add = [&](const AttentionProgram &source, const std::vector<std::string> &names) {
    Program program = planned(context, source);
    auto name = names.begin();
    for (auto &[symbol, kernel] : program.kernels) {
      if (kernel.family != "attention")
        continue;
      ASSERT_NE(name, names.end());
      kernel.text = replaced(kernel.text, kernel.name + "(", *name + "(");
      kernel.name = *name;
      all[*name++] = kernel;
    }
  };
  for (std::string element : {"bf16", "f32"})
    for (int64_t D : {64, 96, 128, 256}) {
      std::string name = element + "_" + std::to_string(D);
      // As training has it: slices of a fused projection, grouped heads, any length.
      AttentionSizes sizes{element, 1, 2, 4, 2, D, true, true, true};
      add(attentionAdjoints(name, sizes), {name + "_forward", name + "_dq", name + "_dkdv"});
      add(attentionOverCache(name, {element, 1, 1, 8, 2, D}, 300, 5), {name + "_decode"});
      add(attentionOverPages(name, {element, 2, 1, 8, 2, D}, {128, 3, {300, 5}}),
          {name + "_paged"});
      add(attentionOverPages(name, {element, 2, 1, 8, 2, D}, {16, 20, {300, 5}}),
          {name + "_small_pages"});
    }
  for (std::string architecture : {"sm_80", "sm_90a", "sm_100a"}) {
    bool isSm100 = architecture == "sm_100a";
    std::vector<cuda::Kernel> kernels;
    for (const Budget &budget : kBudgets)
      kernels.push_back(all.at(budget.kernel));
    auto resources = resourcesInRegisters(*compiler, kernels, architecture);
    for (const Budget &budget : kBudgets) {
      SCOPED_TRACE(architecture + " " + budget.kernel);
      const cuda::Resources &used = resources.at(budget.kernel);
      EXPECT_LE(used.registers, budget.registers + (isSm100 ? 2 : 0));
      EXPECT_EQ(used.threads, budget.threads);
      EXPECT_EQ(used.dynamicSharedBytes, budget.sharedBytes);
      EXPECT_GT(used.instructions.ldgsts, 0u) << "asynchronous copies";
      EXPECT_EQ(used.instructions.hmma, budget.hmma);
      EXPECT_EQ(used.instructions.ldsm, budget.ldsm);
    }
  }
}

TEST(Attention, RefusesWideHeads) {
  Context context;
  try {
    planned(context, attentionForward("wide", {"bf16", 1, 2, 1, 1, 320}));
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("attention takes head_dim up to 256, got 320"));
  }
}

/// Operands that are stored as f32 and rounded in the kernel's region, and keys whose head dimension
/// is not contiguous.
TEST(AttentionEmulation, RoundsAndTransposesWhileCopying) {
  Context context;
  // What the fused kernel below computes, op by op.
  Source source{"rounds",
                R"(
!q = tensor<1x19x2x12xf32>
!t = tensor<1x12x2x19xf32>
!h = tensor<1x19x2x12xbf16>
func.func @f(%q: !q, %kt: !t) -> (!h, tensor<1x19x2xf32>) {
  %k = lm.transpose %kt {permutation = array<i64: 0, 3, 2, 1>} : (!t) -> !q
  %q16 = lm.convert %q : (!q) -> !h
  %k16 = lm.convert %k : (!q) -> !h
  %out, %lse = lm.attention %q16, %k16, %q16 {scale = 0.3, causal} : (!h, !h, !h) -> (!h, tensor<1x19x2xf32>)
  return %out, %lse : !h, tensor<1x19x2xf32>
})",
                {},
                1.6e-2};
  Program program = makeProgram(context, source, "rounds");
  program.plan = context.parse(R"(
!q = tensor<1x19x2x12xf32>
!t = tensor<1x12x2x19xf32>
!h = tensor<1x19x2x12xbf16>
!l = tensor<1x19x2xf32>
plan.tensor @a0 "input" !q at 0
plan.tensor @a1 "input" !t at 1856
plan.tensor @r0 "output" !h at 3712
plan.tensor @r1 "output" !l at 4672
plan.program @f transient = 0 ranges = {} {
  %0 = plan.use @a0 : <!q>
  %1 = plan.use @a1 : <!t>
  %2 = plan.use @r0 : <!h>
  %3 = plan.use @r1 : <!l>
  plan.launch @attention_0(%0, %1) -> (%2, %3) {ops = [], paths = []} : (!plan.buffer<!q>, !plan.buffer<!t>) -> (!plan.buffer<!h>, !plan.buffer<!l>)
}
plan.kernel @attention_0 "attention" {
^bb0(%q: !q, %kt: !t):
  %k = lm.transpose %kt {permutation = array<i64: 0, 3, 2, 1>} : (!t) -> !q
  %q16 = lm.convert %q : (!q) -> !h
  %k16 = lm.convert %k : (!q) -> !h
  %out, %lse = lm.attention %q16, %k16, %q16 {scale = 0.3, causal} : (!h, !h, !h) -> (!h, !l)
  plan.yield %out, %lse : !h, !l
})");
  ASSERT_TRUE(program.plan) << context.errors;
  program.kernels.clear();
  for (auto op : program.plan->getOps<plan::KernelOp>())
    program.kernels["attention_0"] = cuda::emitKernel(op, cuda::Ranges(), "rounds", "sm_80");
  EXPECT_THAT(program.kernels["attention_0"].text,
              testing::HasSubstr("AttentionTile<lmc::bfloat16"));
  Emulator emulator({&program}, cuda::deviceLibrary());
  EXPECT_EQ(evidence(program, emulator), "");
}

} // namespace
