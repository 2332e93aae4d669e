#include "ReferenceModel.h"

#include "frontend/checkpoint/StackedNames.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>

namespace lmc {
namespace {

using testing::HasSubstr;

/// Tensors in memory that look like a checkpoint.
class MemoryWeights : public WeightSource {
public:
  void add(const std::string &name, std::vector<int64_t> shape, float value) {
    int64_t count = 1;
    for (int64_t extent : shape)
      count *= extent;
    std::vector<float> &values = storage[name];
    values.assign(count, value);
    views[name] = {TensorType::F32, shape, std::as_bytes(std::span(values))};
  }
  void remove(const std::string &name) { views.erase(name); }

  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &entry : views)
      result.push_back(entry.first);
    return result;
  }
  const TensorView *find(const std::string &name) const override {
    auto it = views.find(name);
    return it == views.end() ? nullptr : &it->second;
  }
  std::string describe(const std::string &) const override { return "w"; }

private:
  std::map<std::string, std::vector<float>> storage;
  std::map<std::string, TensorView> views;
};

MemoryWeights checkpointOf(const ReferenceModel &model, size_t dropped = 0) {
  MemoryWeights weights;
  for (size_t i = 0; i < model.specs.size(); ++i)
    weights.add(model.specs[i].name.substr(dropped), model.specs[i].shape, static_cast<float>(i));
  return weights;
}

std::string refusal(const ReferenceModel &model, const WeightSource &weights) {
  try {
    matchWeights(weights, model.config, model.specs);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Weights, BareModelWithBuffers) {
  ReferenceModel model(oddGpt2(), {.inference = false});
  MemoryWeights weights = checkpointOf(model, std::string("transformer.").size());
  weights.add("h.0.attn.bias", {1, 1, 9, 9}, 0);
  weights.add("h.1.attn.masked_bias", {}, 0);
  auto views = matchWeights(weights, model.config, model.specs);
  ASSERT_EQ(views.size(), model.specs.size());
  for (size_t i = 0; i < views.size(); ++i) {
    std::vector<float> values(views[i]->numElements());
    readAsF32(*views[i], values);
    EXPECT_EQ(values[0], static_cast<float>(i)) << model.specs[i].name;
  }
}

TEST(Weights, ExpertsComeInPieces) {
  ReferenceModel model(oddMixture(), {.inference = false});
  for (std::string prefix : {"model.", ""}) { // a checkpoint of the bare model
    MemoryWeights weights;
    for (const ParameterSpec &spec : model.specs)
      for (const std::string &name : storedNames(spec.name, spec.shape)) {
        auto shape = storedShape(spec.name, spec.shape);
        float value = name.find("experts.2.up") == std::string::npos ? 1 : 2;
        bool inModel = name.starts_with("model.");
        weights.add(inModel ? prefix + name.substr(6) : name, {shape.begin(), shape.end()}, value);
      }
    auto views = matchWeights(weights, model.config, model.specs);
    for (size_t i = 0; i < views.size(); ++i) {
      std::vector<float> values(views[i]->numElements());
      ASSERT_EQ(lm::Tensor::count(model.specs[i].shape), views[i]->numElements());
      readAsF32(*views[i], values);
      bool special = model.specs[i].name == "model.layers.1.mlp.experts.*.up_proj.weight";
      EXPECT_EQ(values.front(), 1);
      EXPECT_EQ(values.back(), special ? 2 : 1) << model.specs[i].name;
    }
    std::string last = prefix + "layers.1.mlp.experts.2.up_proj.weight";
    weights.add(last, {4, 6}, 0);
    EXPECT_EQ(refusal(model, weights),
              "'w': tensor '" + last + "' is [4, 6], the model expects [4, 5]");
    weights.add(prefix + "layers.1.mlp.experts.3.up_proj.weight", {4, 5}, 0);
    weights.add(last, {4, 5}, 0);
    EXPECT_THAT(refusal(model, weights), HasSubstr("no parameter for tensor"));
  }
}

TEST(Weights, CopyOfATiedHead) {
  ReferenceModel model(oddGpt2(), {.inference = false});
  MemoryWeights weights = checkpointOf(model);
  weights.add("lm_head.weight", {11, 6}, 0); // wte is parameter 0, all zeros
  EXPECT_EQ(refusal(model, weights), "");
  weights.add("lm_head.weight", {11, 6}, 1);
  EXPECT_EQ(refusal(model, weights),
            "'w': tensor 'lm_head.weight' differs from the embedding, but the config ties them");
}

TEST(Weights, MissingUnknownAndMisshapen) {
  ReferenceModel model(oddLlama(), {.inference = false});
  MemoryWeights weights = checkpointOf(model);
  weights.add("model.layers.0.self_attn.rotary_emb.inv_freq", {2}, 0);
  EXPECT_EQ(refusal(model, weights), "");
  weights.add("model.layers.0.self_attn.q_proj.bias", {12}, 0);
  EXPECT_EQ(refusal(model, weights),
            "'w': the model has no parameter for tensor 'model.layers.0.self_attn.q_proj.bias'");
  weights.remove("model.norm.weight");
  EXPECT_THAT(refusal(model, weights), HasSubstr("model.norm.weight"));
  weights.add("model.norm.weight", {6}, 0);
  EXPECT_THAT(refusal(model, weights),
              HasSubstr("'model.norm.weight' is [6], the model expects [5]"));
}

TEST(Weights, RandomInitialisation) {
  ModelConfig config = oddGpt2();
  config.width = 120;
  config.headDim = 60;
  config.layers = 8;
  ReferenceModel model(config, {.inference = false});
  std::map<std::string, std::pair<double, double>> statistics; // mean, deviation
  for (const ParameterSpec &spec : model.specs) {
    std::vector<float> values(lm::Tensor::count(spec.shape)), again(values.size());
    initialiseParameter(spec, 42, values);
    initialiseParameter(spec, 42, again);
    EXPECT_EQ(values, again);
    double mean = std::accumulate(values.begin(), values.end(), 0.0) / values.size(), squares = 0;
    for (float value : values)
      squares += (value - mean) * (value - mean);
    statistics[spec.name] = {mean, std::sqrt(squares / values.size())};
  }
  // 0.02, and 0.02 / sqrt(2 * 8) = 0.005 where a branch joins the residual stream.
  EXPECT_NEAR(statistics["transformer.h.3.attn.c_attn.weight"].second, 0.02, 4e-4);
  EXPECT_NEAR(statistics["transformer.h.3.attn.c_proj.weight"].second, 0.005, 2e-4);
  EXPECT_NEAR(statistics["transformer.h.3.attn.c_attn.weight"].first, 0, 4e-4);
  EXPECT_EQ(statistics["transformer.h.3.ln_1.weight"], std::make_pair(1.0, 0.0));
  EXPECT_EQ(statistics["transformer.h.3.ln_1.bias"], std::make_pair(0.0, 0.0));

  std::vector<float> one(9), other(9), otherSeed(9);
  initialiseParameter({"a", {9}, 0, 1}, 1, one);
  initialiseParameter({"b", {9}, 0, 1}, 1, other);
  initialiseParameter({"a", {9}, 0, 1}, 2, otherSeed);
  EXPECT_NE(one, other);
  EXPECT_NE(one, otherSeed);
}

} // namespace
} // namespace lmc
