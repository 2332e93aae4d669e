// Rotary positions in a GGUF file: keys under "<architecture>.rope", and factors of frequencies as
// tensors of their own.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/checkpoint/GgufFile.h"

namespace lmc {

/// A tensor of f32 that belongs to the config.
struct GgufTable {
  std::string name;
  std::vector<float> values;
};

/// Whether it is one of them: no parameter of a model.
bool isGgufTable(std::string_view tensorName);

/// Keys without the architecture, "rope.scaling.type", ...
std::span<const std::string_view> ggufRopeKeys();

/// Sets c.rope but for theta; c.context and c.headDim are known. `prefix`: "llama.". Factors of
/// rope_freqs.weight become Scaling::Llama3 where they are those of its published settings, else
/// LongRope with the same factors for all lengths. Error naming the key or tensor.
void readGgufRope(ModelConfig &c, const GgufFile &file, const std::string &prefix);

/// The keys, and the tables that go with them. Error where GGUF cannot express the rotation.
std::vector<GgufTable> writeGgufRope(const ModelConfig &c, const std::string &prefix,
                                     GgufMetadata &metadata);

} // namespace lmc
