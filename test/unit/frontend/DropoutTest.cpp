// What dropout makes of a tensor, and that only the training program has it.
#include "ReferenceModel.h"
#include "frontend/models/Blocks.h"
#include "ir/Evaluator.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mlir;

namespace lmc {
namespace {

/// Ones of this many elements with a share p dropped; two streams of one step.
SmallVector<lm::Tensor> dropped(int64_t count, double p, int step) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<lm::LMDialect, func::FuncDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  ModelConfig config = oddGpt2();
  ModelGraph m(*module, "f", config, {});
  Value x = m.argument("x", "input", {count}, Float32Type::get(&context));
  m.useDropout({.embedding = p});
  m.output(drop(m, "first", x, p), "first");
  m.output(drop(m, "second", x, p), "second");
  m.finish();
  lm::Tensor ones({count}, std::vector<double>(count, 1.0));
  auto results = lm::evaluate(module->lookupSymbol<func::FuncOp>("f"),
                              {ones, ids({}, {7}), ids({}, {8}), ids({}, {step})});
  EXPECT_TRUE(succeeded(results));
  return std::move(*results);
}

TEST(Dropout, KeepsTheMeanAndHasTheVarianceOfItsShare) {
  const int64_t n = 40000;
  for (double p : {0.1, 0.5, 0.93}) {
    for (const lm::Tensor &y : dropped(n, p, 3)) {
      double sum = 0, squares = 0;
      for (double value : y.data) {
        if (value != 0)
          ASSERT_NEAR(value, 1 / (1 - p), 1e-5);
        sum += value;
        squares += (value - 1) * (value - 1);
      }
      // y is 1 / (1 - p) with probability 1 - p: variance p / (1 - p). Five standard errors.
      double variance = p / (1 - p), fourth = p + (1 - p) * std::pow(variance, 4);
      EXPECT_NEAR(sum / n, 1, 5 * std::sqrt(variance / n)) << p;
      EXPECT_NEAR(squares / n, variance, 5 * std::sqrt((fourth - variance * variance) / n)) << p;
    }
  }
}

TEST(Dropout, StreamsAndStepsAreIndependent) {
  const int64_t n = 40000;
  auto now = dropped(n, 0.5, 3), later = dropped(n, 0.5, 4), again = dropped(n, 0.5, 3);
  EXPECT_EQ(now[0].data, again[0].data);
  auto correlation = [&](const lm::Tensor &a, const lm::Tensor &b) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      sum += (a.data[i] - 1) * (b.data[i] - 1); // each 1 or -1
    return sum / n;
  };
  EXPECT_NEAR(correlation(now[0], now[1]), 0, 5 / std::sqrt(n));
  EXPECT_NEAR(correlation(now[0], later[0]), 0, 5 / std::sqrt(n));
  EXPECT_NEAR(correlation(now[1], later[1]), 0, 5 / std::sqrt(n));
}

std::string textOf(ModuleOp module, StringRef name) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.lookupSymbol(name)->print(stream);
  return text;
}

TEST(Dropout, StandsInTheTrainingProgramOnly) {
  ProgramOptions plain{.batch = 2, .length = 5}, with = plain;
  with.dropout = {.embedding = 0.1, .residual = 0.2};
  ReferenceModel without(oddGpt2(), plain), model(oddGpt2(), with);
  for (const char *name : {"eval", "forward", "prefill", "decode"})
    EXPECT_EQ(textOf(model.program(), name), textOf(without.program(), name)) << name;
  // The embedding's, and two of each of two layers; none where the share is 0.
  auto count = [&](ProgramOptions options) {
    ReferenceModel counted(oddGpt2(), options);
    unsigned found = 0;
    llvm::DenseSet<uint32_t> streams;
    counted.program().walk([&](lm::RandomBitsOp op) {
      ++found;
      streams.insert(op.getStream());
    });
    EXPECT_EQ(streams.size(), found);
    return found;
  };
  EXPECT_EQ(count(with), 5u);
  with.dropout.residual = 0;
  EXPECT_EQ(count(with), 1u);
  EXPECT_EQ(count(plain), 0u);
}

TEST(Dropout, IsRefusedWhereAModelHasNoPlaceForIt) {
  ProgramOptions options{.batch = 2, .length = 5, .dropout = {.residual = 0.1}};
  try {
    ReferenceModel model(oddLlama(), options);
    FAIL() << "accepted";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("dropout: only gpt2 has places for it"));
  }
}

} // namespace
} // namespace lmc
