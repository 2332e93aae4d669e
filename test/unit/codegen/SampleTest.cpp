// lm.sample on the CPU: the ids of runtime/Sampling.h, those of the evaluator, and their distribution.
#include "SampleRows.h"

#include "test/unit/codegen/KernelCheck.h"

#include "codegen/Compiler.h"
#include "passes/Pipeline.h"
#include "runtime/Session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;

namespace lmc::test {
namespace {

class Sample : public Context, public testing::Test {
protected:
  /// The ids that the kernel draws, the same with 1 to 3 threads.
  std::vector<double> drawn(const SampleRows &rows, const std::string &cpu = "host") {
    auto module = parse(rows.text());
    func::FuncOp function = functionOf(*module);
    Builder b(&context);
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      function.setArgAttr(i, kName, b.getStringAttr("a" + std::to_string(i)));
      function.setArgAttr(i, kRole, b.getStringAttr("input"));
    }
    function.setResultAttr(0, kName, b.getStringAttr("y"));
    function.setResultAttr(0, kRole, b.getStringAttr("output"));
    runPipeline(*module, {});
    auto code = buildExecutable(*module, {.cpu = cpu, .jobs = 1, .useCache = false}, {}, nullptr);
    std::vector<double> first;
    for (int threads : {1, 2, 3}) {
      Session session(code, {.threads = threads});
      for (auto [i, operand] : llvm::enumerate(rows.operands())) {
        std::string name = "a" + std::to_string(i);
        if (i == 0 || i == 1 || i == 3)
          std::ranges::copy(operand.data, session.f32(name).begin());
        else
          std::ranges::copy(operand.data, session.i32(name).begin());
      }
      session.run("f");
      auto ids = session.i32("y");
      std::vector<double> got(ids.begin(), ids.end());
      if (threads == 1)
        first = got;
      EXPECT_EQ(got, first) << threads << " threads";
    }
    return first;
  }
};

TEST_F(Sample, DrawsTheIdsOfTheDefinition) {
  for (int64_t vocab : {1, 2, 3, 7, 8, 37, 512, 513, 1111, 5003, 8193}) {
    SampleRows rows = sampleRows(vocab, vocab);
    ASSERT_EQ(drawn(rows), rows.expected) << vocab;
  }
}

TEST_F(Sample, DrawsTheSameIdsOnEveryProcessor) {
  SampleRows rows = sampleRows(611, 5);
  EXPECT_EQ(drawn(rows, "x86-64"), rows.expected);
}

/// Weights in float64 and a sort; rows that are malformed, hold -inf, and ties are all the same there.
TEST_F(Sample, AgreesWithTheEvaluator) {
  for (int64_t vocab : {1, 37, 513}) {
    SampleRows rows = sampleRows(vocab, 3 * vocab);
    auto module = parse(rows.text());
    std::vector<double> ids = evaluated(functionOf(*module), rows.operands())[0].data;
    size_t others = 0; // a border between two ids lies between f32 and f64
    for (size_t i = 0; i < ids.size(); ++i)
      others += ids[i] != rows.expected[i];
    EXPECT_LE(others, 1u) << vocab;
  }
}

/// Pearson's statistic of a set of draws, against probabilities that are computed here.
TEST_F(Sample, DrawsFollowTheDistribution) {
  constexpr int64_t vocab = 23, draws = 20000;
  std::vector<float> logits(vocab);
  for (int64_t i = 0; i < vocab; ++i)
    logits[i] = 1.5f * std::sin(static_cast<float>(5 * i)) + (i % 4 == 0);
  struct Filter {
    float temperature, topP;
    int32_t topK;
  };
  for (auto [temperature, topP, topK] :
       {Filter{1, 1, 0}, Filter{0.6f, 1, 9}, Filter{1.7f, 0.7f, 0}, Filter{0.9f, 0.8f, 12}}) {
    SampleRows rows(vocab);
    for (int64_t i = 0; i < draws; ++i)
      rows.add(logits, {temperature, topK, topP, Philox(19).bits64(i)});
    std::vector<double> counts(vocab, 0.0), p(vocab, 0.0);
    for (double id : drawn(rows))
      ++counts.at(static_cast<size_t>(id));
    std::vector<int64_t> order(vocab);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
    if (topK > 0)
      order.resize(topK);
    double total = 0, run = 0, kept = 0;
    for (int64_t id : order)
      total += std::exp(double(logits[id]) / temperature);
    for (int64_t id : order) {
      if (run >= topP * total)
        break;
      run += p[id] = std::exp(double(logits[id]) / temperature);
      ++kept;
    }
    double statistic = 0;
    for (int64_t id = 0; id < vocab; ++id) {
      double wanted = draws * p[id] / run;
      if (p[id] == 0)
        EXPECT_EQ(counts[id], 0) << id;
      else
        statistic += (counts[id] - wanted) * (counts[id] - wanted) / wanted;
    }
    // Mean kept - 1, variance twice that; four deviations above it.
    EXPECT_LT(statistic, kept - 1 + 4 * std::sqrt(2 * (kept - 1)));
    EXPECT_GT(kept, 3);
  }
}

} // namespace
} // namespace lmc::test
