// A model as a Hugging Face folder.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/checkpoint/WeightSource.h"
#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// Writes config.json, model.safetensors (or shards of at most maxShardBytes), and tokenizer.json with
/// tokenizer_config.json where there is a tokenizer. Weights get `type`, one of F32, F16, BF16; without
/// it they keep what they are stored as. All are in memory at once. Throws Error, also where weights
/// are quantised and no type is given.
void writeModelFolder(const ModelConfig &config, const WeightSource &weights,
                      const Tokenizer *tokenizer, const std::filesystem::path &folder,
                      std::optional<TensorType> type, uint64_t maxShardBytes);

} // namespace lmc
