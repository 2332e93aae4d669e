// Whole-model gradients against central differences in f64.
#include "ReferenceModel.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lmc {
namespace {

/// `function` of the model is what is compared with: @eval, or @loss where that draws numbers.
void compareGradients(ReferenceModel &model, llvm::ArrayRef<lm::Tensor> inputs,
                      llvm::StringRef function = "eval", const Dropout &dropout = {}) {
  model.randomise(7);
  auto loss = [&] { return model.run(function, inputs)[0].data[0]; };
  ReferenceModel derived(model.config, {.batch = inputs[0].shape[0],
                                        .length = model.config.isLanguageModel() ? 5 : 0,
                                        .inference = false,
                                        .dropout = dropout});
  derived.parameters = model.parameters;
  derived.differentiate();
  auto results = derived.run("loss", inputs);
  EXPECT_DOUBLE_EQ(results[0].data[0], loss());
  ASSERT_EQ(results.size(), 1 + model.parameters.size());

  const double h = 1e-5;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    ASSERT_EQ(results[1 + i].shape, model.parameters[i].shape);
    for (int64_t n = 0; n < model.parameters[i].size(); ++n) {
      double &x = model.parameters[i].data[n], before = x;
      x = before + h;
      double above = loss();
      x = before - h;
      double below = loss();
      x = before;
      double expected = (above - below) / (2 * h);
      ASSERT_NEAR(results[1 + i].data[n], expected, 1e-8 + 1e-6 * std::abs(expected))
          << model.specs[i].name << " element " << n;
    }
  }
}

lm::Tensor drawIds(llvm::ArrayRef<int64_t> shape, uint64_t stream, int64_t bound) {
  lm::Tensor tensor(shape);
  for (int64_t n = 0; n < tensor.size(); ++n)
    tensor.data[n] = static_cast<double>(Philox(3, stream).below(n, bound));
  return tensor;
}

void compareLanguageModel(const ModelConfig &config) {
  ReferenceModel model(config, {.batch = 2, .length = 5, .inference = false});
  compareGradients(model, {drawIds({2, 5}, 0, config.vocab), drawIds({2, 5}, 1, config.vocab)});
}

TEST(Gradient, Gpt2) { compareLanguageModel(oddGpt2()); }

TEST(Gradient, Gpt2WithDropout) {
  Dropout dropout{.embedding = 0.25, .residual = 0.4};
  ModelConfig config = oddGpt2();
  ReferenceModel model(config, {.batch = 2, .length = 5, .inference = false, .dropout = dropout});
  std::vector<lm::Tensor> inputs = {drawIds({2, 5}, 0, config.vocab),
                                    drawIds({2, 5}, 1, config.vocab)};
  for (int word : {-77, 5, 1000003}) // two of the seed, and the step
    inputs.push_back(ids({}, {word}));
  compareGradients(model, inputs, "loss", dropout);
  EXPECT_NE(model.run("loss", inputs)[0].data[0],
            model.run("eval", {inputs[0], inputs[1]})[0].data[0]);
}

TEST(Gradient, Gpt2WithoutBiasesAndUntied) {
  ModelConfig config = oddGpt2();
  config.biases = false;
  config.tiedHead = false;
  config.activation = Activation::GeluExact;
  compareLanguageModel(config);
}

TEST(Gradient, Llama) { compareLanguageModel(oddLlama()); }

TEST(Gradient, LlamaTied) {
  ModelConfig config = oddLlama();
  config.tiedHead = true;
  compareLanguageModel(config);
}

TEST(Gradient, MixtureOfExperts) {
  compareLanguageModel(oddMixture());
  ModelConfig config = oddMixture();
  config.mixture.normalized = true;
  config.mixture.perToken = 1; // all of the router's gradient is that of a constant
  compareLanguageModel(config);
}

TEST(Gradient, LayerList) {
  ModelConfig config = oddNetwork();
  ReferenceModel model(config, {.batch = 4, .inference = false});
  lm::Tensor features({4, config.inputs});
  for (int64_t n = 0; n < features.size(); ++n)
    features.data[n] = Philox(5).normal(n);
  compareGradients(model, {features, drawIds({4}, 1, config.classes)});
}

} // namespace
} // namespace lmc
