// The keys of a YAML spec that only decoders with a DecoderStyle have: rotation, window, caps,
// experts.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/SpecFields.h"

namespace lmc {

/// All such keys, of any style.
std::vector<std::string_view> decoderSpecKeys();

/// Reads them into a config whose sizes are complete; throws Error.
void readDecoderSpec(ModelConfig &config, const SpecFields &fields, const YAML::Node &mapping);

/// "key: value" lines, which readDecoderSpec reads back.
std::string decoderSpecText(const ModelConfig &config);

/// What ties these values together, for every reader: rotated dimensions, factors by dimension,
/// layers in range, only what the style has. Throws Error "<file>: ...".
void checkDecoder(const ModelConfig &config, const std::string &file);

} // namespace lmc
