// Figures for rooflines, against sums done by hand. A function's body stands for a kernel's.
#include "../ir/OpCases.h"

#include "ir/AttentionScores.h"
#include "passes/KernelWork.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

class KernelWorkTest : public testing::Test, public Context {
protected:
  /// With T = 10.
  KernelWork workOf(const std::string &text) {
    module = parse(text);
    EXPECT_TRUE(module) << errors;
    auto function = *module->getOps<func::FuncOp>().begin();
    return KernelWork(function.getBody().front(), [](llvm::StringRef) { return 10; });
  }
  OwningOpRef<ModuleOp> module;
};

TEST_F(KernelWorkTest, ProductsByElement) {
  KernelWork f32 = workOf(R"(
!x = tensor<?x3xf32, #lm.dims<"T">>
!y = tensor<?x5xf32, #lm.dims<"T">>
func.func @f(%x: !x, %w: tensor<3x5xf32>) -> !y {
  %p = lm.matmul %x, %w : (!x, tensor<3x5xf32>) -> !y
  %y = lm.div %p, %p : (!y, !y) -> !y
  return %y : !y
})");
  EXPECT_EQ(f32.productFlops, 2 * 10 * 5 * 3);
  EXPECT_EQ(f32.matrixFlops, 0);
  EXPECT_EQ(f32.pointwiseFlops, 10 * 5);
  EXPECT_EQ(f32.exponentials, 10 * 5) << "divisions";
  EXPECT_EQ(f32.bytesRead, 4 * (10 * 3 + 3 * 5));
  EXPECT_EQ(f32.bytesWritten, 4 * 10 * 5);
  EXPECT_FALSE(f32.isDouble);
  KernelWork bf16 = workOf(R"(
func.func @f(%x: tensor<3x4xbf16>, %w: tensor<3x5xbf16>) -> tensor<4x5xf32> {
  %y = lm.matmul %x, %w {transpose_a} : (tensor<3x4xbf16>, tensor<3x5xbf16>) -> tensor<4x5xf32>
  return %y : tensor<4x5xf32>
})");
  EXPECT_EQ(bf16.matrixFlops, 2 * 4 * 5 * 3);
  EXPECT_EQ(bf16.productFlops, 0);
  EXPECT_EQ(bf16.bytesRead, 2 * (3 * 4 + 3 * 5));
  EXPECT_EQ(bf16.bytesWritten, 4 * 4 * 5);
}

TEST_F(KernelWorkTest, SpecialFunctionsOfScalarForms) {
  KernelWork work = workOf(R"(
!x = tensor<7xf64>
func.func @f(%x: !x) -> !x {
  %a = lm.exp %x : (!x) -> !x
  %b = lm.tanh %a : (!x) -> !x
  %c = lm.erf %b : (!x) -> !x
  %d = lm.abs %c : (!x) -> !x
  %e = lm.add %d, %a : (!x, !x) -> !x
  return %e : !x
})");
  EXPECT_EQ(work.exponentials, 3 * 7) << "neither abs nor add";
  EXPECT_EQ(work.pointwiseFlops, 5 * 7);
  EXPECT_TRUE(work.isDouble);
}

/// Query t of T = 10 over S = 12 keys stands at 2 + t and sees 3 + t of them.
TEST_F(KernelWorkTest, CausalAttentionCountsWhatIsSeen) {
  KernelWork work = workOf(R"(
!q = tensor<2x?x4x8xbf16, #lm.dims<"T">>
!k = tensor<2x12x2x8xbf16>
!l = tensor<2x?x4xf32, #lm.dims<"T">>
func.func @f(%q: !q, %k: !k, %past: tensor<i32>) -> (!q, !l) {
  %out, %lse = lm.attention %q, %k, %k, %past {causal, scale = 1.0 : f64} : (!q, !k, !k, tensor<i32>) -> (!q, !l)
  return %out, %lse : !q, !l
})");
  double pairs = 0;
  for (int t = 0; t < 10; ++t)
    pairs += 3 + t;
  EXPECT_EQ(work.exponentials, 2 * 4 * pairs);
  EXPECT_EQ(work.matrixFlops, 2 * 2 * 8 * 2 * 4 * pairs);
  EXPECT_EQ(work.bytesRead, 2 * (2 * 10 * 4 * 8) + 2 * (2 * 12 * 2 * 8) + 4) << "keys only once";
  EXPECT_EQ(work.bytesWritten, 2 * (2 * 10 * 4 * 8) + 4 * (2 * 10 * 4));
}

/// The same with a window of 5, of keys 0 .. 11 at most: the first query, at 2, does not fill it. Queries are
/// few below: of 12 keys the last 2 + 4 are read.
TEST_F(KernelWorkTest, AWindowHidesWhatLiesBehindIt) {
  KernelWork many = workOf(R"(
!q = tensor<2x?x4x8xbf16, #lm.dims<"T">>
!k = tensor<2x12x2x8xbf16>
!l = tensor<2x?x4xf32, #lm.dims<"T">>
func.func @f(%q: !q, %k: !k, %past: tensor<i32>) -> (!q, !l) {
  %out, %lse = lm.attention %q, %k, %k, %past {causal, window = 5 : i64, soft_cap = 3.0 : f64, scale = 1.0 : f64} : (!q, !k, !k, tensor<i32>) -> (!q, !l)
  return %out, %lse : !q, !l
})");
  double pairs = 0;
  for (int t = 0; t < 10; ++t)
    pairs += std::min(3 + t, 5);
  EXPECT_EQ(many.exponentials, 2 * (2 * 4 * pairs)) << "exp and tanh";
  EXPECT_EQ(many.matrixFlops, 2 * 2 * 8 * 2 * 4 * pairs);
  KernelWork few = workOf(R"(
!q = tensor<1x2x4x8xbf16>
!k = tensor<1x12x2x8xbf16>
func.func @f(%q: !q, %k: !k, %v: !k, %past: tensor<i32>) -> (!q, tensor<1x2x4xf32>) {
  %out, %lse = lm.attention %q, %k, %v, %past {causal, window = 5 : i64, scale = 1.0 : f64} : (!q, !k, !k, tensor<i32>) -> (!q, tensor<1x2x4xf32>)
  return %out, %lse : !q, tensor<1x2x4xf32>
})");
  EXPECT_DOUBLE_EQ(few.bytesRead, 2 * (2 * 4 * 8) + 2 * (2 * 6 * 2 * 8) + 4);
}

/// A sequence of 12 tokens at most has 3 pages of 4, whatever the pool holds.
TEST_F(KernelWorkTest, PagesOfAPoolCountByTheirSequences) {
  auto text = [](int pool) {
    return fmt::format(R"(
!q = tensor<2x1x4x8xbf16>
!k = tensor<{}x4x2x8xbf16>
!l = tensor<2x1x4xf32>
func.func @f(%q: !q, %k: !k, %v: !k, %past: tensor<2xi32>, %pages: tensor<2x3xi32>) -> (!q, !l) {{
  %out, %lse = lm.attention %q, %k, %v, %past, %pages {{causal, scale = 1.0 : f64}} : (!q, !k, !k, tensor<2xi32>, tensor<2x3xi32>) -> (!q, !l)
  return %out, %lse : !q, !l
}})",
                       pool);
  };
  KernelWork work = workOf(text(100));
  EXPECT_EQ(work.exponentials, 2 * 4 * 12);
  EXPECT_EQ(work.matrixFlops, 2 * 2 * 8 * 2 * 4 * 12);
  double others = 2 * (2 * 4 * 8) + 4 * 2 + 4 * 2 * 3;
  EXPECT_DOUBLE_EQ(work.bytesRead, others + 2 * 2 * (2 * 12 * 2 * 8));
  EXPECT_DOUBLE_EQ(workOf(text(5)).bytesRead, others + 2 * 2 * (20 * 2 * 8))
      << "sequences share pages of a smaller pool";
}

/// The closed form against the ranges that the evaluator walks.
TEST(VisibleKeysTest, PairsAreTheSumOfRanges) {
  for (int64_t queries : {1, 2, 7, 10})
    for (int64_t past : {0, 1, 5, 30})
      for (int64_t window : {0, 1, 2, 6, 10, 12, 50})
        for (bool causal : {false, true}) {
          lm::AttentionScores scores{1, causal, causal ? window : 0};
          lm::VisibleKeys visible(queries, past + queries, past, scores);
          double sum = 0;
          for (int64_t t = 0; t < queries; ++t)
            sum += double(visible.end(t) - visible.begin(t));
          EXPECT_EQ(visible.pairs(), sum) << queries << " " << past << " " << window;
        }
}

TEST_F(KernelWorkTest, PartsOfBuffers) {
  KernelWork gather = workOf(R"(
!y = tensor<?x4xf32, #lm.dims<"T">>
func.func @f(%table: tensor<1000x4xf32>, %ids: tensor<?xi32, #lm.dims<"T">>) -> !y {
  %y = lm.gather %table, %ids : (tensor<1000x4xf32>, tensor<?xi32, #lm.dims<"T">>) -> !y
  return %y : !y
})");
  EXPECT_EQ(gather.bytesRead, 4 * (10 * 4) + 4 * 10) << "rows that are named, and ids";
  KernelWork append = workOf(R"(
!c = tensor<1x100x2x4xf32>
!u = tensor<1x?x2x4xf32, #lm.dims<"T">>
func.func @f(%cache: !c, %new: !u, %past: tensor<i32>) -> !c {
  %y = lm.cache_append %cache, %new, %past : (!c, !u, tensor<i32>) -> !c
  return %y : !c
})");
  EXPECT_EQ(append.bytesRead, 4 * (10 * 2 * 4) + 4);
  EXPECT_EQ(append.bytesWritten, 4 * (10 * 2 * 4));
  KernelWork paged = workOf(R"(
!c = tensor<50x16x2x4xf32>
!u = tensor<3x?x2x4xf32, #lm.dims<"T">>
func.func @f(%pool: !c, %new: !u, %past: tensor<3xi32>, %pages: tensor<3x7xi32>) -> !c {
  %y = lm.cache_append %pool, %new, %past, %pages : (!c, !u, tensor<3xi32>, tensor<3x7xi32>) -> !c
  return %y : !c
})");
  EXPECT_EQ(paged.bytesRead, 4 * (3 * 10 * 2 * 4) + 4 * 3 + 4 * 3 * 7);
  EXPECT_DOUBLE_EQ(paged.bytesWritten, 4 * (3 * 10 * 2 * 4));
  KernelWork slice = workOf(R"(
func.func @f(%x: tensor<6x9xf32>) -> tensor<6x3xf32> {
  %a = lm.slice %x {dim = 1 : i64, start = 3 : i64, size = 3 : i64} : (tensor<6x9xf32>) -> tensor<6x3xf32>
  %y = lm.neg %a : (tensor<6x3xf32>) -> tensor<6x3xf32>
  return %y : tensor<6x3xf32>
})");
  EXPECT_EQ(slice.bytesRead, 4 * 6 * 3);
}

} // namespace
