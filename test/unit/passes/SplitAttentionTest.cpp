// Attention over a cache in parts: the numbers of the whole, and where the pass splits.
#include "../ir/OpCases.h"

#include "ir/Dialect.h"
#include "passes/Passes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

struct Sizes {
  int64_t B = 1, T = 1, H = 8, G = 8, D = 128, S = 4096;
  std::string element = "bf16", more;
};

/// out and lse of T queries over a cache.
std::string attentionOf(const Sizes &s) {
  auto type = [&](int64_t tokens, int64_t heads) {
    return fmt::format("tensor<{}x{}x{}x{}x{}>", s.B, tokens, heads, s.D, s.element);
  };
  std::string q = type(s.T, s.H), k = type(s.S, s.G);
  std::string lse =
      fmt::format("tensor<{}x{}x{}x{}>", s.B, s.T, s.H, s.element == "f64" ? "f64" : "f32");
  return fmt::format(
      "func.func @f(%q: {0}, %k: {1}, %v: {1}, %past: tensor<i32>) -> ({0}, {2}) {{\n"
      "  %out, %lse = lm.attention %q, %k, %v, %past {{scale = 0.3{3}}} : ({0}, {1}, {1}, "
      "tensor<i32>) -> ({0}, {2})\n  return %out, %lse : {0}, {2}\n}}\n",
      q, k, lse, s.more);
}

/// Parts and keys of a chunk; 0, 0: it stays whole.
std::pair<int64_t, int64_t> partsOf(const Sizes &sizes, int64_t multiprocessors) {
  Context context;
  auto module = context.parse(attentionOf(sizes));
  EXPECT_TRUE(module) << context.errors;
  SplitAttentionOptions options;
  options.multiprocessors = multiprocessors;
  EXPECT_TRUE(context.run(*module, createSplitAttention(options))) << context.errors;
  std::pair<int64_t, int64_t> found = {0, 0};
  module->walk([&](lm::AttentionPartsOp op) { found = {op.getParts(), op.getChunk()}; });
  bool whole = false;
  module->walk([&](lm::AttentionOp) { whole = true; });
  EXPECT_NE(whole, found.first > 0);
  return found;
}

using Parts = std::pair<int64_t, int64_t>;

TEST(SplitAttention, GivesEachMultiprocessorTwoBlocks) {
  EXPECT_EQ(partsOf({.H = 32, .S = 8192}, 132), Parts(33, 128));
  EXPECT_EQ(partsOf({.H = 32, .S = 8192}, 108), Parts(27, 128));
  EXPECT_EQ(partsOf({.B = 4, .H = 32, .S = 8192}, 132), Parts(8, 128));
  EXPECT_EQ(partsOf({.B = 16, .S = 8192}, 132), Parts(2, 128));
  EXPECT_EQ(partsOf({.B = 17, .S = 8192}, 132), Parts(0, 0)) << "136 blocks are enough";
  EXPECT_EQ(partsOf({.H = 40, .G = 1, .S = 32768}, 108), Parts(108, 128)) << "two tiles of heads";
  EXPECT_EQ(partsOf({.S = 8192}, 0), Parts(0, 0));
}

TEST(SplitAttention, GivesEachPartAChunk) {
  EXPECT_EQ(partsOf({.S = 2048}, 132), Parts(16, 128));
  EXPECT_EQ(partsOf({.S = 2000}, 132), Parts(15, 128));
  EXPECT_EQ(partsOf({.D = 64, .S = 2048}, 132), Parts(16, 128)) << "32 KiB each";
  EXPECT_EQ(partsOf({.D = 256, .S = 2048}, 132), Parts(32, 64));
  EXPECT_EQ(partsOf({.S = 2048, .element = "f32"}, 132), Parts(32, 64));
  EXPECT_EQ(partsOf({.D = 256, .S = 1024, .element = "f32"}, 132), Parts(32, 32));
}

TEST(SplitAttention, KeepsShortCachesWhole) {
  EXPECT_EQ(partsOf({.S = 512}, 132), Parts(4, 128)) << "256 KiB";
  EXPECT_EQ(partsOf({.S = 511}, 132), Parts(0, 0));
  EXPECT_EQ(partsOf({.D = 64, .S = 1023}, 132), Parts(0, 0));
  // A window is what is read, from the first query's first key to the last one's last.
  EXPECT_EQ(partsOf({.S = 8192, .more = ", causal, window = 511 : i64"}, 132), Parts(0, 0));
  EXPECT_EQ(partsOf({.T = 2, .S = 8192, .more = ", causal, window = 511 : i64"}, 132),
            Parts(4, 128));
  EXPECT_EQ(partsOf({.S = 8192, .more = ", causal, window = 1024 : i64"}, 132), Parts(8, 128));
}

TEST(SplitAttention, LeavesPrefillsAsTheyAre) {
  EXPECT_EQ(partsOf({.T = 4, .H = 64, .S = 8192}, 132), Parts(33, 128)) << "32 rows of a tile";
  EXPECT_EQ(partsOf({.T = 5, .H = 64, .S = 8192}, 132), Parts(0, 0));
}

TEST(SplitAttention, CountsTheKeysOfPages) {
  for (auto [pages, expected] : {std::pair(64, Parts(33, 128)), {3, Parts(0, 0)}}) {
    Context context;
    auto module = context.parse(fmt::format(R"(
!q = tensor<1x1x32x128xbf16>
!k = tensor<1000x128x8x128xbf16>
!pages = tensor<1x{}xi32>
func.func @f(%q: !q, %k: !k, %v: !k, %past: tensor<1xi32>, %pages: !pages) -> !q {{
  %out, %lse = lm.attention %q, %k, %v, %past, %pages {{scale = 0.3, causal}}
    : (!q, !k, !k, tensor<1xi32>, !pages) -> (!q, tensor<1x1x32xf32>)
  return %out : !q
}})",
                                            pages));
    ASSERT_TRUE(module) << context.errors;
    SplitAttentionOptions options;
    options.multiprocessors = 132;
    ASSERT_TRUE(context.run(*module, createSplitAttention(options))) << context.errors;
    Parts found = {0, 0};
    module->walk([&](lm::AttentionPartsOp op) {
      found = {op.getParts(), op.getChunk()};
      EXPECT_TRUE(op.getPages() && op.getPast());
    });
    EXPECT_EQ(found, expected) << pages;
  }
}

// In float64, so that only the identity is tested: odd sizes, windows, parts without keys.
TEST(SplitAttention, KeepsTheNumbers) {
  for (const Sizes &sizes : {Sizes{2, 1, 6, 3, 5, 131}, Sizes{1, 3, 2, 1, 7, 131},
                             Sizes{1, 2, 2, 2, 3, 131, "", ", causal, window = 21 : i64"},
                             Sizes{1, 1, 3, 1, 4, 131, "", ", causal, soft_cap = 0.7 : f64"}})
    for (int64_t past : {0, 15, 16, 77, 127})
      for (int64_t parts : {1, 2, 5}) {
        Context context;
        Sizes exact = sizes;
        exact.element = "f64";
        auto module = context.parse(attentionOf(exact));
        ASSERT_TRUE(module) << context.errors;
        func::FuncOp function = functionOf(*module);
        std::vector<lm::Tensor> arguments;
        for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
          lm::Tensor &x = arguments.emplace_back(cast<RankedTensorType>(type).getShape());
          for (int64_t j = 0; j < x.size(); ++j)
            x.data[j] = i == 3 ? static_cast<double>(past) : std::sin(1.7 * j + 0.9 * i + 0.3);
        }
        SmallVector<lm::Tensor> before = evaluated(function, arguments);
        SplitAttentionOptions options;
        options.parts = parts;
        options.chunk = 16;
        ASSERT_TRUE(context.run(*module, createSplitAttention(options))) << context.errors;
        bool isSplit = false;
        function.walk([&](lm::AttentionPartsOp) { isSplit = true; });
        EXPECT_TRUE(isSplit);
        expectClose(evaluated(function, arguments), before, 1e-12,
                    fmt::format("past {}, {} parts", past, parts));
      }
}

TEST(SplitAttention, SaysWhatItDoesAndWhyNot) {
  for (auto [length, expected] :
       {std::pair(8192, "'attn' (lm.attention) has its keys in 33 parts, chunks of 128"),
        {500, "'attn' (lm.attention) keeps its keys together: a head's keys and values are 250 "
              "KiB at most"}}) {
    Context context;
    std::string text = attentionOf({.S = length});
    text.insert(text.find("\n  return"), " loc(\"attn\")");
    auto module = context.parse(text);
    ASSERT_TRUE(module) << context.errors;
    SplitAttentionOptions options;
    options.multiprocessors = 132;
    options.explain = true;
    ASSERT_TRUE(context.run(*module, createSplitAttention(options)));
    EXPECT_NE(context.errors.find(expected), std::string::npos) << context.errors;
  }
}

} // namespace
