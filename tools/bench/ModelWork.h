// How much a model has to do for a token, whatever computes it.
#pragma once

#include "frontend/ModelConfig.h"
#include "runtime/Executable.h"

namespace lmc::bench {

/// Operations of one token: 2 for each weight it is multiplied with, and causal attention's two
/// products over half of `length` tokens.
double flopsPerToken(const ModelConfig &config, double length);

/// Bytes that @decode of one sequence reads once: the weights as they are stored, of a mixture those of
/// the experts that a token takes, of a table that is only gathered from nothing; and the caches of `past`
/// tokens. Throws Error where there is no @decode.
double decodeBytes(const ModelConfig &config, const Executable &executable, int64_t past);

} // namespace lmc::bench
