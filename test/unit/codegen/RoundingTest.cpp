// Kernels that read, keep and make bf16: arguments are drawn as f32, so a conversion that is left
// out, or made twice, shows.
#include "test/unit/codegen/KernelCheck.h"

#include "ir/Dialect.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace lmc::test {
namespace {

using Values = std::vector<Value>;
using G = lm::GraphBuilder;
using In = ArrayRef<Value>;

Value rounded(G &g, Value x) { return g.convert(x, g.b.getBF16Type()); }
Value wide(G &g, Value x) { return g.convert(x, g.b.getF32Type()); }

/// Sums are in f32, so what is summed is equal to the bit and the usual tolerance holds.
std::vector<FamilyCase> exactCases() {
  std::vector<FamilyCase> cases;
  for (const char *m : {"1", "3", "21"})
    for (bool transposed : {false, true}) {
      std::string x = std::string("f32[") + m + ",37]";
      std::string name = std::string("product.rows") + m + (transposed ? ".nt" : ".nn");
      // The left side is stored as bf16, the right one is an f32 argument rounded as it is read.
      cases.push_back(
          {name, {x.c_str(), transposed ? "f32[53,37]" : "f32[37,53]", "f32[53]"}, [=](G &g, In a) {
             Value left = rounded(g, g.mul(a[0], 1.5));
             Value y = g.matmul(left, rounded(g, a[1]), false, transposed);
             return Values{g.add(y, a[2])};
           }});
    }
  cases.push_back({"product.both_arguments", {"f32[29,19]", "f32[19,35]"}, [](G &g, In a) {
                     return Values{g.matmul(rounded(g, a[0]), rounded(g, a[1]), false, false)};
                   }});
  cases.push_back({"product.transposed_slice", {"f32[29,19]", "f32[40,29]"}, [](G &g, In a) {
                     Value right = g.slice(rounded(g, a[1]), 0, 3, 31);
                     return Values{g.matmul(rounded(g, a[0]), right, true, true)};
                   }});
  cases.push_back({"product.symbolic_rows",
                   {"f32[T,37]", "f32[53,37]"},
                   [](G &g, In a) {
                     return Values{
                         g.matmul(rounded(g, g.neg(a[0])), rounded(g, a[1]), false, true)};
                   },
                   {{"T", {1, 40}}},
                   {{{"T", 1}}, {{"T", 5}}, {{"T", 40}}}});
  cases.push_back({"gather.table", {"f32[11,23]", "i32[3,5]<11"}, [](G &g, In a) {
                     Value rows = g.b.create<lm::GatherOp>(g.loc, rounded(g, a[0]), a[1]);
                     return Values{g.mul(wide(g, rows), 2.0)};
                   }});
  cases.push_back({"map.recomputed", // the rounded value is stored for one reader and read by both
                   {"f32[7,45]", "f32[45,6]"},
                   [](G &g, In a) {
                     Value x = rounded(g, g.add(a[0], 0.125));
                     return Values{g.matmul(x, rounded(g, a[1]), false, false),
                                   g.mul(wide(g, x), 3.0)};
                   }});
  cases.push_back(
      {"windows", {"f32[2,11,21]", "f32[4,1,21]", "f32[3,21,35]"}, [](G &g, In a) {
         using Numbers = ArrayRef<int64_t>;
         Value x = rounded(g, g.mul(a[0], 1.5));
         auto convolved = [&](Value w, Numbers strides, int64_t groups) -> Value {
           return g.b.create<lm::ConvolutionOp>(g.loc, x, rounded(g, w), strides, Numbers{},
                                                Numbers{3}, Numbers{2}, groups);
         };
         Value largest = g.b.create<lm::MaxPoolOp>(g.loc, x, Numbers{3}, Numbers{2}, Numbers{},
                                                   Numbers{}, Numbers{2});
         return Values{convolved(a[1], {}, 21), convolved(a[2], {2}, 1), wide(g, largest)};
       }});
  cases.push_back({"column.of_rounded", {"f32[67,45]"}, [](G &g, In a) {
                     return Values{g.sumLeading(wide(g, rounded(g, g.mul(a[0], a[0]))))};
                   }});
  return cases;
}

/// A rounding in the middle may fall to the other side: two units in the last place of a bf16.
std::vector<FamilyCase> roundedCases() {
  std::vector<FamilyCase> cases;
  cases.push_back(
      {"attention", {"f32[2,13,6,20]", "f32[2,13,3,20]", "f32[2,13,3,20]"}, [](G &g, In a) {
         auto op = g.b.create<lm::AttentionOp>(
             g.loc, ValueRange{rounded(g, a[0]), rounded(g, a[1]), rounded(g, a[2])},
             lm::AttentionScores{0.25, true});
         return Values{wide(g, op.getOut()), op.getLse()};
       }});
  auto adjoint = [&](std::string name, ArgumentSpec like, ArgumentSpec kv) {
    cases.push_back(
        {"attention." + name, {like, kv, kv, like}, [](G &g, In a) {
           Value q = rounded(g, a[0]), k = rounded(g, a[1]), v = rounded(g, a[2]);
           lm::AttentionScores scores{0.25, true};
           auto op = g.b.create<lm::AttentionOp>(g.loc, ValueRange{q, k, v}, scores);
           auto grad = g.b.create<lm::AttentionGradOp>(
               g.loc, ValueRange{q, k, v, op.getOut(), op.getLse(), rounded(g, a[3])}, scores);
           return Values{wide(g, grad.getDq()), wide(g, grad.getDk()), wide(g, grad.getDv())};
         }});
  };
  adjoint("adjoint", "f32[1,19,4,16]", "f32[1,19,2,16]");
  adjoint("adjoint_whole", "f32[3,141,6,20]", "f32[3,141,3,20]"); // one kernel, two tiles of keys
  cases.push_back({"attention.past",
                   {"f32[1,9,2,16]", "f32[1,T,4,16]"},
                   [](G &g, In a) {
                     Value past = g.scalar(3, g.b.getI32Type()), keys = rounded(g, a[0]);
                     auto op = g.b.create<lm::AttentionOp>(
                         g.loc, ValueRange{rounded(g, a[1]), keys, keys, past},
                         lm::AttentionScores{0.25, true});
                     return Values{wide(g, op.getOut())};
                   },
                   {{"T", {1, 6}}},
                   {{{"T", 1}}, {{"T", 6}}}});
  cases.push_back({"product.epilogue", {"f32[21,37]", "f32[37,53]", "f32[53,20]"}, [](G &g, In a) {
                     Value y = g.matmul(rounded(g, a[0]), rounded(g, a[1]), false, false);
                     Value active = g.tanh(wide(g, rounded(g, y)));
                     return Values{g.matmul(rounded(g, active), rounded(g, a[2]), false, false)};
                   }});
  return cases;
}

class Rounding : public testing::TestWithParam<FamilyCase>, public Context {
protected:
  void check(const CheckOptions &options) { checkFamily(*this, GetParam(), false, options); }
};
class ExactRounding : public Rounding {};
class NearRounding : public Rounding {};

bool hasAvx512() { return llvm::sys::getHostCPUFeatures().lookup("avx512f"); }

TEST_P(ExactRounding, MatchesTheEvaluator) { check({}); }
TEST_P(ExactRounding, MatchesTheEvaluatorOnAvx2) {
  if (!hasAvx512())
    GTEST_SKIP() << "this machine has no AVX2, or AVX2 is what 'host' means here";
  check({.cpu = "x86-64-v3"});
}
TEST_P(NearRounding, MatchesTheEvaluator) { check({.tolerance = 1.0 / 128}); }

auto nameOfCase(const testing::TestParamInfo<FamilyCase> &info) {
  return testName(info.param.name);
}
INSTANTIATE_TEST_SUITE_P(Cases, ExactRounding, testing::ValuesIn(exactCases()), nameOfCase);
INSTANTIATE_TEST_SUITE_P(Cases, NearRounding, testing::ValuesIn(roundedCases()), nameOfCase);

} // namespace
} // namespace lmc::test
