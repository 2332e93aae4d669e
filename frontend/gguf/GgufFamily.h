// What GGUF calls the tensors and sizes of each kind of model, for reading and for writing.
//   Source: ggml-org/ggml, docs/gguf.md, "Standardized key-value pairs" and "tensor names".
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/checkpoint/TensorView.h"

#include <array>
#include <span>

namespace lmc {

/// A tensor, or with "{}" in both names one for each number, of a layer or of an expert, without the ".weight"
/// or ".bias" that both names end in. "*" is that of StackedNames.h.
struct GgufTensorName {
  std::string_view gguf, huggingFace;
  /// How GGUF stores what the model has.
  StoredOrder order = StoredOrder::Rows;
  int64_t ModelConfig::*heads = nullptr; ///< of RotaryPairs
};

/// A size under "<architecture>.<key>", u32 in files.
struct GgufSize {
  std::string_view key;
  int64_t ModelConfig::*field;
  int64_t most;
  bool optional = false; ///< then 0 stands for what completeSizes makes of it
};

/// An f32 under "<architecture>.<key>".
struct GgufNumber {
  std::string_view key;
  double &(*field)(ModelConfig &);
  std::optional<double> fallback = {};
  bool optional = false; ///< 0 says that the model has none; other numbers must be above 0
};

struct GgufFamily {
  std::string_view name; ///< general.architecture
  Architecture architecture;
  Activation activation;
  std::array<std::span<const GgufTensorName>, 4> tensors;
  std::span<const GgufNumber> numbers;
  int64_t window = 0; ///< where no key says it; 0: none
  /// Where no key says it, the window is left out in each layer of this number; 0: it holds for all.
  int64_t windowPattern = 0;
  /// The depth of the one published model whose scores are divided by sqrt(width / heads).
  int64_t layersOfWideScale = 0;
};

std::span<const GgufSize> ggufSizes();

/// Error naming the file where its general.architecture is none of ours. "llama" with experts is Mixtral's.
const GgufFamily &ggufFamilyOf(const GgufMetadata &metadata);
/// Error where the architecture has no GGUF form. Mistral's is llama's.
const GgufFamily &ggufFamilyOf(Architecture architecture);

/// Which of the layers have a window: all but each `pattern`-th one; with 0 all.
std::vector<bool> ggufWindowPattern(int64_t layers, int64_t pattern);

/// ModelConfig::queryScalar where no key says it; only Gemma's families have one.
double ggufQueryScalar(const GgufFamily &family, const ModelConfig &config);

/// The other name of a tensor, with what the table says of it; null and "" for an unknown one.
struct GgufNameMatch {
  const GgufTensorName *entry = nullptr;
  std::string name;
};
GgufNameMatch huggingFaceNameOf(const GgufFamily &family, std::string_view ggufName);
GgufNameMatch ggufNameOf(const GgufFamily &family, std::string_view huggingFaceName);

/// The tensor as the other side has it: the same bytes in another shape, order of rows or, of norms
/// that multiply by 1 + weight, with 1 less or more. Error naming the tensor where its shape does not
/// allow that.
TensorView fromGguf(const GgufTensorName &entry, const ModelConfig &config, TensorView view);
TensorView toGguf(const GgufTensorName &entry, const ModelConfig &config, TensorView view);

} // namespace lmc
