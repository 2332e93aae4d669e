// What a model is, as numbers: read from a YAML spec, an inline mapping of a train config or a
// Hugging Face config.json; written into checkpoints. No MLIR.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

enum class Architecture {
  Gpt2,   ///< learned positions, layer_norm, one fused qkv projection, a two-matrix MLP
  Llama,  ///< rotary positions, rms_norm, grouped-query attention, swiglu
  Layers, ///< an explicit list of layers from a feature vector to class logits
  Ir,     ///< functions in the lm dialect, in a .mlir file
};

enum class Activation { GeluExact, GeluTanh, Silu, Relu };

/// One entry of a spec's `layers:` list.
struct LayerSpec {
  enum class Kind { Linear, LayerNorm, RmsNorm, Gelu, GeluTanh, Silu, Relu };
  Kind kind = Kind::Linear;
  int64_t width = 0; ///< Linear: output features
  bool bias = true;  ///< Linear
  bool operator==(const LayerSpec &) const = default;
};

struct ModelConfig {
  Architecture architecture = Architecture::Gpt2;

  // Language models.
  int64_t layers = 0, width = 0, heads = 0;
  int64_t kvHeads = 0;  ///< G key and value heads; `heads` for gpt2
  int64_t headDim = 0;  ///< D; width / heads for gpt2
  int64_t ffnWidth = 0; ///< hidden features of the MLP
  int64_t vocab = 0, context = 0;
  double normEps = 1e-5;
  double ropeTheta = 10000; ///< Llama
  bool tiedHead = true;     ///< the head is the token embedding
  Activation activation = Activation::GeluTanh;
  bool biases = true; ///< GPT-2: of linear layers and norms; nanoGPT trains without
  std::optional<int64_t> bosId;
  std::vector<int64_t> eosIds; ///< any of them ends a text

  // Architecture::Layers: features [B, inputs] -> layerList -> logits [B, classes].
  int64_t inputs = 0, classes = 0;
  std::vector<LayerSpec> layerList;

  std::filesystem::path irFile; ///< Architecture::Ir

  bool isLanguageModel() const {
    return architecture == Architecture::Gpt2 || architecture == Architecture::Llama;
  }
  bool operator==(const ModelConfig &) const = default;
};

/// Reads a model spec by what the path is: a folder with config.json, a file called *.json, a .mlir
/// file (only named, not parsed), or YAML. Throws Error with file:line.
ModelConfig readModelConfig(const std::filesystem::path &path);

/// A spec that is a mapping inside another YAML file; `file` is how that file is called in errors.
ModelConfig readModelSpec(const YAML::Node &mapping, const std::string &file);

/// Hugging Face's field names for model_type gpt2 and llama. A key that changes the numbers and is
/// not understood is an error with its line; keys known not to change them are passed over.
ModelConfig readHuggingFaceConfig(const std::filesystem::path &file);

/// config.json as transformers loads it; for other architectures than gpt2 and llama the YAML spec
/// as JSON text under "lmc_spec".
std::string huggingFaceConfig(const ModelConfig &config);

/// The spec as YAML with every key, in one order: readModelSpec(canonicalSpec(c)) == c, and equal
/// configs have equal texts.
std::string canonicalSpec(const ModelConfig &config);

} // namespace lmc
