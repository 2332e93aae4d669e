#include "ReferenceModel.h"

#include "ir/Evaluator.h"
#include "passes/Passes.h"
#include "runtime/Philox.h"

#include "mlir/Pass/PassManager.h"

#include <stdexcept>

using namespace mlir;

namespace lmc {

ReferenceModel::ReferenceModel(const ModelConfig &config, const ProgramOptions &options)
    : config(config), module(buildPrograms(context, config, options)) {
  specs = parametersOf(*module);
  for (const ParameterSpec &spec : specs)
    parameters.emplace_back(spec.shape);
}

void ReferenceModel::randomise(uint64_t seed) {
  for (size_t i = 0; i < specs.size(); ++i) {
    Philox random(seed, i);
    double mean = specs[i].initMean;
    for (int64_t n = 0; n < parameters[i].size(); ++n)
      parameters[i].data[n] = mean + 0.3 * random.normal(n);
  }
}

void ReferenceModel::load(const std::filesystem::path &weights) {
  auto source = openWeights(weights);
  std::vector<const TensorView *> views = matchWeights(*source, config, specs);
  for (size_t i = 0; i < views.size(); ++i) {
    std::vector<float> values(views[i]->numElements());
    readAsF32(*views[i], values);
    parameters[i].data.assign(values.begin(), values.end());
  }
}

void ReferenceModel::differentiate() {
  PassManager passes(&context);
  passes.addNestedPass<func::FuncOp>(createDifferentiate());
  if (failed(passes.run(*module)))
    throw std::runtime_error("differentiation failed");
}

SmallVector<lm::Tensor> ReferenceModel::run(StringRef name, ArrayRef<lm::Tensor> rest,
                                            StringRef bind) {
  OwningOpRef<ModuleOp> bound = ModuleOp::create(UnknownLoc::get(&context));
  auto function = cast<func::FuncOp>(module->lookupSymbol<func::FuncOp>(name)->clone());
  bound->push_back(function);
  if (!bind.empty()) {
    const std::string bindings[] = {bind.str()};
    InferShapesOptions options;
    options.bindings = bindings;
    PassManager passes(&context);
    passes.addNestedPass<func::FuncOp>(createInferShapes(options));
    if (failed(passes.run(*bound)))
      throw std::runtime_error("shapes do not fit");
  }
  SmallVector<lm::Tensor> arguments(parameters.begin(), parameters.end());
  arguments.append(rest.begin(), rest.end());
  auto results = lm::evaluate(function, arguments);
  if (failed(results))
    throw std::runtime_error("evaluation failed");
  return std::move(*results);
}

lm::Tensor ReferenceModel::forward(ArrayRef<int> tokens) {
  auto T = static_cast<int64_t>(tokens.size());
  lm::Tensor logits = run("forward", ids({1, T}, tokens), "T=" + std::to_string(T))[0];
  return {{T, config.vocab}, std::move(logits.data)};
}

lm::Tensor ids(ArrayRef<int64_t> shape, ArrayRef<int> values) {
  return {shape, std::vector<double>(values.begin(), values.end())};
}

ModelConfig oddGpt2() {
  return readModelSpec(YAML::Load("{architecture: gpt2, layers: 2, width: 6, heads: 2, "
                                  "ffn_width: 7, vocab: 11, context: 9}"),
                       "odd.yaml");
}

ModelConfig oddLlama() {
  return readModelSpec(YAML::Load("{architecture: llama, layers: 2, width: 5, heads: 3, "
                                  "kv_heads: 1, head_dim: 4, ffn_width: 7, vocab: 11, context: 9}"),
                       "odd.yaml");
}

ModelConfig oddMixture() {
  return readModelSpec(
      YAML::Load(
          "{architecture: qwen3_moe, layers: 2, width: 5, heads: 3, kv_heads: 1, head_dim: 4, "
          "ffn_width: 7, vocab: 11, context: 9, experts: 3, experts_per_token: 2, "
          "expert_width: 4, normalize_experts: false, dense_layers: [0]}"),
      "odd.yaml");
}

ModelConfig oddNetwork() {
  return readModelSpec(
      YAML::Load("{inputs: 5, classes: 3, layers: [linear: {width: 7}, layer_norm, gelu, linear: "
                 "{width: 6, bias: false}, rms_norm, silu, linear: {width: 5}, gelu_tanh, relu]}"),
      "odd.yaml");
}

} // namespace lmc
