// Loss and every gradient of whole models, compiled, against the evaluator in float64.
#include "test/unit/codegen/KernelCheck.h"

#include "frontend/models/Programs.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace lmc::test {
namespace {

ModelConfig gpt2() {
  ModelConfig config;
  config.architecture = Architecture::Gpt2;
  config.layers = 2;
  config.width = 33;
  config.heads = config.kvHeads = 3;
  config.headDim = 11;
  config.ffnWidth = 71;
  config.vocab = 57;
  config.context = 21;
  return config;
}

ModelConfig llama() {
  ModelConfig config = gpt2();
  config.architecture = Architecture::Llama;
  config.heads = 6;
  config.kvHeads = 2;
  config.headDim = 10;
  config.normEps = 1e-6;
  config.tiedHead = false;
  config.activation = Activation::Silu;
  config.biases = false;
  return config;
}

/// The function with its gradients, and arguments of a usual scale; tokens and targets last.
void checkStep(const ModelConfig &config, int64_t lossRows = 0) {
  Context context;
  OwningOpRef<ModuleOp> module =
      buildPrograms(context.context, config, {.batch = 3, .length = 19, .inference = false});
  module->lookupSymbol("eval")->erase();
  func::FuncOp loss = functionOf(*module);
  std::vector<lm::Tensor> arguments;
  for (auto [i, type] : llvm::enumerate(loss.getArgumentTypes())) {
    auto tensorType = cast<RankedTensorType>(type);
    lm::Tensor tensor(tensorType.getShape());
    Philox random(5, i);
    bool isNorm = tensor.rank() == 1;
    for (int64_t n = 0; n < tensor.size(); ++n)
      tensor.data[n] = tensorType.getElementType().isInteger()
                           ? static_cast<double>(random.below(n, config.vocab))
                           : static_cast<float>((isNorm ? 0.7 : 0) + 0.3 * random.normal(n));
    arguments.push_back(std::move(tensor));
  }
  ASSERT_TRUE(context.run(*module, createDifferentiate())) << context.errors;
  EXPECT_EQ(loss.getNumResults(), 1 + parametersOf(*module).size());
  checkKernels(context, *module, {{}}, {arguments}, {.tolerance = 2e-5, .lossRows = lossRows});
}

TEST(ModelStep, Gpt2) { checkStep(gpt2()); }

TEST(ModelStep, Gpt2WithoutBiasesUntied) {
  ModelConfig config = gpt2();
  config.biases = false;
  config.tiedHead = false;
  config.activation = Activation::GeluExact;
  checkStep(config);
}

TEST(ModelStep, Llama) { checkStep(llama()); }

TEST(ModelStep, LlamaTied) {
  ModelConfig config = llama();
  config.tiedHead = true;
  checkStep(config);
}

/// 57 rows as 16, 16, 16 and 9: slices of activations and targets are views.
TEST(ModelStep, LossInChunks) {
  checkStep(gpt2(), 16);
  checkStep(llama(), 16);
}

/// As 5, ..., 5 and 2: no chunk begins at a multiple of 64 bytes.
TEST(ModelStep, LossInChunksOffAlignment) { checkStep(gpt2(), 5); }

} // namespace
} // namespace lmc::test
