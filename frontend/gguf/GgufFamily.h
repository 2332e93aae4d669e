// What GGUF calls the tensors and sizes of each kind of model, for reading and for writing.
//   Source: ggml-org/ggml, docs/gguf.md, "Standardized key-value pairs" and "tensor names".
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/checkpoint/TensorView.h"

#include <span>

namespace lmc {

/// One tensor, or with "{}" in both names one of each layer.
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
};

struct GgufFamily {
  std::string_view name; ///< general.architecture
  Architecture architecture;
  Activation activation;
  std::span<const GgufTensorName> tensors;
  std::span<const GgufNumber> numbers;
  std::string_view huggingFacePrefix; ///< checkpoints of the bare model leave it out
};

std::span<const GgufSize> ggufSizes();

/// Error naming the file where its general.architecture is none of ours.
const GgufFamily &ggufFamilyOf(const GgufMetadata &metadata);
/// Error where the architecture has no GGUF form.
const GgufFamily &ggufFamilyOf(Architecture architecture);

/// The other name of a tensor, with what the table says of it; null and "" for an unknown one.
struct GgufNameMatch {
  const GgufTensorName *entry = nullptr;
  std::string name;
};
GgufNameMatch huggingFaceNameOf(const GgufFamily &family, std::string_view ggufName);
GgufNameMatch ggufNameOf(const GgufFamily &family, std::string_view huggingFaceName);

/// The tensor in the order of the other side: the same bytes, another shape or order of rows.
/// Error naming the tensor where its shape does not allow that.
TensorView fromGgufOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view);
TensorView toGgufOrder(const GgufTensorName &entry, const ModelConfig &config, TensorView view);

} // namespace lmc
