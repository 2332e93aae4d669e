// Which block format each tensor of a model gets: most get the mix's own, tensors where errors cost
// most get a wider one.
//   Source: llama.cpp's published mixes (llama_tensor_get_type), without importance matrices.
#pragma once

#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/checkpoint/TensorType.h"

#include <functional>

namespace lmc {

/// What the rules ask of a model.
struct MixFacts {
  int64_t layers = 0, heads = 0, kvHeads = 0;
  bool tiedHead = true; ///< no output.weight: token_embd.weight is the head
  bool is70B = false;   ///< Llama 2 70B's sizes have a rule of their own
  int64_t experts = 0;  ///< of a layer; 0: plain MLPs. Mixtral's number, 8, has rules of its own
};
/// From general.architecture and its keys. Error naming a missing one.
MixFacts mixFactsOf(const GgufMetadata &metadata, bool tiedHead);

/// In [0, layers): whether this layer's tensor gets the wider format.
using LayerRule = bool (*)(int64_t layer, const MixFacts &facts);

struct MixRule {
  TensorType type;
  LayerRule when;
};

struct QuantizationMix {
  std::string_view name;
  TensorType type;
  uint32_t fileType; ///< general.file_type
  /// The first rule that applies decides, else `type` does.
  std::vector<MixRule> attentionV = {}, feedForwardDown = {}, attentionOutput = {};
  /// Of attention's output with 8 experts, in place of these rules.
  std::optional<TensorType> outputOfEight = {};
};

std::span<const QuantizationMix> quantizationMixes();
/// By name, in any case. Error with the known ones.
const QuantizationMix &quantizationMix(std::string_view name);

struct TensorChoice {
  TensorType type;
  /// Where `wanted` has blocks that do not divide the rows, and `type` takes its place.
  std::optional<TensorType> wanted = {};
};
/// `name` as in GGUF; `stored` is what the tensor has. 1-D tensors, norms and position embeddings
/// are small and stay F32, or what else they are.
TensorChoice chooseType(const QuantizationMix &mix, const MixFacts &facts, std::string_view name,
                        std::span<const int64_t> shape, TensorType stored);

} // namespace lmc
