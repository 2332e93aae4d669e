// What a model is, as numbers: read from a YAML spec, an inline mapping of a train config or a
// Hugging Face config.json; written into checkpoints. No MLIR.
#pragma once

#include "frontend/Rope.h"

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

enum class Architecture {
  Gpt2,  ///< learned positions, layer_norm, one fused qkv projection, a two-matrix MLP
  Llama, ///< rotary positions, rms_norm, grouped-query attention, swiglu; so the next, DecoderStyle
  Mistral,
  Qwen2,
  Qwen3,
  Qwen3Moe,
  Mixtral,
  Phi3,
  Gemma2,
  Gemma3,
  Bert,   ///< an encoder: every token sees all tokens, norms behind blocks
  Layers, ///< an explicit list of layers from a feature vector to class logits
  Ir,     ///< functions in the lm dialect, in a .mlir file
};

/// As specs, `lmc inspect` and the server call it: "gpt2", "llama", ..., "bert", "layers", "mlir".
std::string_view architectureName(Architecture architecture);

enum class Activation { GeluExact, GeluTanh, Silu, Relu };

/// One entry of a spec's `layers:` list.
struct LayerSpec {
  enum class Kind { Linear, LayerNorm, RmsNorm, Gelu, GeluTanh, Silu, Relu };
  Kind kind = Kind::Linear;
  int64_t width = 0; ///< Linear: output features
  bool bias = true;  ///< Linear
  bool operator==(const LayerSpec &) const = default;
};

/// What a family has whose MLPs are mixtures of experts (Shazeer et al. 2017, arXiv:1701.06538).
struct ExpertStyle {
  std::string_view block;          ///< in a checkpoint's names: the router and the experts
  std::string_view gate, up, down; ///< and an expert's matrices
  bool isFixed =
      false; ///< every layer has experts, as wide as ffn_width, whose weights add up to 1
};

/// What a family of decoders with rotary positions and rms_norm always has, beside Llama.
struct DecoderStyle {
  bool biasedQkv = false;        ///< biases of the q, k and v projections
  bool qkNorm = false;           ///< an rms_norm over each head of q and k, before the rotation
  bool fusedProjections = false; ///< q, k, v in one matrix, gate and up in another
  bool sandwichNorms = false;    ///< what a block adds to the residual stream is normed as well
  bool offsetNorms = false;      ///< norms multiply by 1 + weight
  bool scaledEmbedding = false;  ///< embeddings are multiplied by sqrt(width)
  bool mixedAttention = false;   ///< a window may hold for some layers only
  bool localRotation = false;    ///< layers with a window have a rotation of their own
  bool caps = false;             ///< tanh may bound scores and logits
  const ExpertStyle *experts = nullptr;     ///< null: plain MLPs
  Activation activation = Activation::Silu; ///< of the MLP's gate
};
/// Null for architectures of another kind.
const DecoderStyle *decoderStyle(Architecture architecture);

/// How a text's tokens become its one vector.
enum class Pooling { Mean, First }; ///< of all tokens; the first token's ([CLS])

/// Architecture::Bert.
struct EncoderConfig {
  int64_t tokenTypes = 2; ///< rows of the type embedding; texts are all of type 0
  Pooling pooling = Pooling::Mean;
  bool normalized = false; ///< vectors are divided by their length
  bool operator==(const EncoderConfig &) const = default;
};

/// The experts of a layer, each an MLP: those with the largest probabilities compute a token.
struct MixtureConfig {
  int64_t experts = 0, perToken = 0; ///< 0: a plain MLP
  int64_t width = 0;                 ///< hidden features of an expert
  bool normalized = true; ///< the probabilities of the chosen experts are divided by their sum
  std::vector<int64_t> denseLayers = {}; ///< layers with a plain MLP, rising
  bool operator==(const MixtureConfig &) const = default;
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
  // Decoders with a DecoderStyle.
  RopeConfig rope;
  double localRopeTheta =
      10000;          ///< of the layers in windowLayers, with DecoderStyle::localRotation
  int64_t window = 0; ///< a query sees this many keys, itself included; 0: all
  std::vector<int64_t> windowLayers; ///< the layers for which the window holds, rising
  double queryScalar = 0;            ///< scores are divided by its root; 0: headDim
  double attentionCap = 0;           ///< c: scores are c tanh(score / c); 0: none
  double logitCap = 0;               ///< the same of logits
  bool attentionBiases = false;      ///< of the q, k, v and output projections
  bool mlpBiases = false;            ///< of the gate, up and down projections
  MixtureConfig mixture;             ///< with DecoderStyle::experts

  EncoderConfig encoder;

  bool tiedHead = true; ///< the head is the token embedding
  Activation activation = Activation::GeluTanh;
  bool biases = true; ///< GPT-2: of linear layers and norms; nanoGPT trains without
  std::optional<int64_t> bosId;
  std::vector<int64_t> eosIds; ///< any of them ends a text

  // Architecture::Layers: features [B, inputs] -> layerList -> logits [B, classes].
  int64_t inputs = 0, classes = 0;
  std::vector<LayerSpec> layerList;

  std::filesystem::path irFile; ///< Architecture::Ir

  bool hasLocalRotation() const {
    const DecoderStyle *style = decoderStyle(architecture);
    return style && style->localRotation;
  }
  bool hasExperts() const {
    const DecoderStyle *style = decoderStyle(architecture);
    return style && style->experts;
  }
  bool isEncoder() const { return architecture == Architecture::Bert; }
  /// Predicts the next token.
  bool isLanguageModel() const {
    return architecture == Architecture::Gpt2 || decoderStyle(architecture);
  }
  bool takesTokens() const { return isLanguageModel() || isEncoder(); }
  bool operator==(const ModelConfig &) const = default;
};

/// Reads a model spec by what the path is: a folder with config.json, a file called *.json, a .gguf,
/// a .mlir file (only named, not parsed), or YAML. Throws Error with file:line.
ModelConfig readModelConfig(const std::filesystem::path &path);

/// A spec that is a mapping inside another YAML file; `file` is how that file is called in errors.
ModelConfig readModelSpec(const YAML::Node &mapping, const std::string &file);

/// Hugging Face's field names, for the model types of frontend/huggingface. A key that changes the
/// numbers and is not understood is an error with its line; keys known not to change them are passed
/// over.
ModelConfig readHuggingFaceConfig(const std::filesystem::path &file);

/// config.json as transformers loads it; for networks that are no language models the YAML
/// spec as JSON text under "lmc_spec".
std::string huggingFaceConfig(const ModelConfig &config);

/// The spec as YAML with every key, in one order: readModelSpec(canonicalSpec(c)) == c, and equal
/// configs have equal texts.
std::string canonicalSpec(const ModelConfig &config);

} // namespace lmc
