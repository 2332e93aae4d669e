// A model in another form: what `lmc quantize`, `lmc export` and `lmc import` share.
#pragma once

#include "frontend/checkpoint/TensorType.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/QuantizationMix.h"
#include "tools/lmc/Model.h"

namespace lmc {

struct GgufJob {
  std::filesystem::path model, output;
  const QuantizationMix *mix = nullptr; ///< null: what the weights are stored as
  bool requantize = false, json = false;
  int threads = 1;
};
/// Writes the .gguf and prints each tensor, or one JSON object. Throws Error.
void writeGguf(const GgufJob &job);

struct FolderJob {
  std::filesystem::path model, output;
  std::optional<TensorType> type; ///< none: what the weights are stored as
  std::string shardSize;
  bool json = false;
};
/// Writes the folder and prints what is in it. Throws Error.
void writeFolder(const FolderJob &job);

} // namespace lmc
