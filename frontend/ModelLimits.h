// Bounds on a model's sizes, and the conditions that tie them together; for every reader of specs.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/SpecFields.h"

namespace lmc {

// Far above any real model, and products of three stay below 2^63.
inline constexpr int64_t maxLayers = 4096, maxWidth = 1 << 20, maxVocab = 1 << 22,
                         maxContext = 1 << 22, maxExperts = 4096;

/// How a file calls the sizes that depend on each other.
struct SizeNames {
  std::string_view width, heads, kvHeads, headDim, vocab, bos;
};

/// Fills in head_dim and kv_heads where they are 0, then checks that heads divide the width, kv
/// heads divide the heads, rotary head_dim is even and ids lie in the vocabulary. Throws Error.
void completeSizes(ModelConfig &config, const SpecFields &fields, const SizeNames &names);

} // namespace lmc
