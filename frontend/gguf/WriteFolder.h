// A model as a Hugging Face folder.
#pragma once

#include "frontend/checkpoint/TensorType.h"

#include <filesystem>
#include <string>

namespace lmc {

/// Writes config.json, model.safetensors (or shards of at most maxShardBytes), and tokenizer.json with
/// tokenizer_config.json where the .gguf holds a tokenizer that has this form. All weights get
/// `type`, one of F32, F16, BF16, and are in memory at once. Returns why there is no tokenizer, or "".
/// Throws Error.
std::string writeModelFolder(const std::filesystem::path &gguf, const std::filesystem::path &folder,
                             TensorType type, uint64_t maxShardBytes);

} // namespace lmc
