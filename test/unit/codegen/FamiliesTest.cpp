// Kernel families at odd sizes that cross vector, tile and block edges: against the reference
// evaluator, on this machine's vector unit and on AVX2, with 1, 2 and 3 threads.
#include "test/unit/codegen/FamilyCases.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace lmc::test {

const std::vector<FamilyCase> &familyCases() {
  static const std::vector<FamilyCase> cases = [] {
    std::vector<FamilyCase> all;
    addMaps(all);
    addRows(all);
    addColumns(all);
    addProducts(all);
    addAttention(all);
    addTables(all);
    addExperts(all);
    addWindows(all);
    return all;
  }();
  return cases;
}

namespace {

class Family : public testing::TestWithParam<FamilyCase>, public Context {
protected:
  void check(bool gradients, const std::string &cpu) {
    checkFamily(*this, GetParam(), gradients, {.cpu = cpu});
  }
};

TEST_P(Family, MatchesTheEvaluator) { check(false, "host"); }

TEST_P(Family, GradientsMatchTheEvaluator) {
  if (GetParam().gradients)
    check(true, "host");
}

TEST_P(Family, MatchesTheEvaluatorOnAvx2) {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  if (!features.lookup("avx2") || !features.lookup("fma") || !features.lookup("avx512f"))
    GTEST_SKIP() << "this machine has no AVX2, or AVX2 is what 'host' means here";
  check(GetParam().gradients, "x86-64-v3");
}

INSTANTIATE_TEST_SUITE_P(Cases, Family, testing::ValuesIn(familyCases()),
                         [](const auto &info) { return testName(info.param.name); });

} // namespace
} // namespace lmc::test
