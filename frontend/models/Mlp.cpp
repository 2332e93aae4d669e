// Networks given as a list of layers, from feature vectors to class logits.
#include "frontend/models/Blocks.h"

#include <cmath>

using namespace mlir;

namespace lmc {
namespace {

using Kind = LayerSpec::Kind;

/// The spec's list and the linear layer to `classes` that ends it.
std::vector<LayerSpec> layersOf(const ModelConfig &config) {
  std::vector<LayerSpec> layers = config.layerList;
  layers.push_back({Kind::Linear, config.classes, true});
  return layers;
}

std::vector<ParameterSpec> parameters(const ModelConfig &config) {
  std::vector<ParameterSpec> table;
  int64_t width = config.inputs;
  for (auto [i, layer] : llvm::enumerate(layersOf(config))) {
    std::string name = "layers." + std::to_string(i);
    if (layer.kind == Kind::Linear) {
      // He et al. 2015: keeps the variance through relu-like activations.
      double deviation = std::sqrt(2.0 / static_cast<double>(width));
      table.push_back({name + ".weight", {layer.width, width}, 0, deviation});
      if (layer.bias)
        table.push_back({name + ".bias", {layer.width}, 0, 0});
      width = layer.width;
    } else if (layer.kind == Kind::LayerNorm || layer.kind == Kind::RmsNorm) {
      table.push_back({name + ".weight", {width}, 1, 0});
      if (layer.kind == Kind::LayerNorm)
        table.push_back({name + ".bias", {width}, 0, 0});
    }
  }
  return table;
}

Value apply(ModelGraph &m, const std::string &name, Kind kind, Value x) {
  switch (kind) {
  case Kind::Linear:
    return linear(m, name, name, x, WeightLayout::OutIn);
  case Kind::LayerNorm:
    return layerNorm(m, name, name, x);
  case Kind::RmsNorm:
    return rmsNorm(m, name, name, x);
  case Kind::Gelu:
    return activate(m.g.at(name), Activation::GeluExact, x);
  case Kind::GeluTanh:
    return activate(m.g.at(name), Activation::GeluTanh, x);
  case Kind::Silu:
    return activate(m.g.at(name), Activation::Silu, x);
  case Kind::Relu:
    return activate(m.g.at(name), Activation::Relu, x);
  }
  llvm_unreachable("a layer");
}

Value hidden(ModelGraph &m, Value x) {
  for (auto [i, layer] : llvm::enumerate(layersOf(m.config)))
    x = apply(m, "layers." + std::to_string(i), layer.kind, x);
  return x;
}

Value logits(ModelGraph &, Value x) { return x; }

} // namespace

const ModelFamily layersFamily = {parameters, hidden, logits, "", "", {}};

} // namespace lmc
