// GGUF files as models: config, weights under the names that the model's parameters have, and back.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/checkpoint/GgufFile.h"
#include "frontend/checkpoint/WeightSource.h"
#include "frontend/gguf/GgufRope.h"

namespace lmc {

inline bool isGguf(const std::filesystem::path &path) { return path.extension() == ".gguf"; }

/// Errors name the file and the key; a key of the architecture that is not understood is one.
ModelConfig readGgufConfig(const GgufFile &file);

/// general.architecture, general.name and the architecture's keys, and tensors that are no parameters.
/// Error where the architecture, its activation or its rotation has no GGUF form.
struct GgufConfig {
  GgufMetadata metadata;
  std::vector<GgufTable> tables;
};
GgufConfig writeGgufConfig(const ModelConfig &config, const std::string &name);

/// The weights by their Hugging Face names, in the order of the model (StoredOrder); blocks as they
/// are in the file. Tensors that the architecture does not know keep their names.
std::unique_ptr<WeightSource> openGgufWeights(const std::filesystem::path &path);

/// A model as tensors of a GGUF file. Views are valid as long as this object.
struct GgufModel {
  GgufMetadata metadata;
  std::vector<GgufFile::Tensor> tensors;
  std::vector<std::shared_ptr<const void>> owners; ///< of the views' bytes
};
/// Any GGUF file, as it is.
GgufModel readGgufModel(const std::filesystem::path &path);
/// A model folder: parameters are checked as everywhere, the tokenizer comes along. Throws Error.
GgufModel convertToGguf(const std::filesystem::path &folder);

} // namespace lmc
