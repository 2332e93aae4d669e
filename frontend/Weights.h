// Values for a model's parameters: random ones, or a checkpoint's.
#pragma once

#include "frontend/checkpoint/WeightSource.h"
#include "frontend/models/Programs.h"

#include <span>

namespace lmc {

/// Draws a parameter's initial values, row-major f32; values.size() is the product of its shape. A
/// function of seed, name and element index alone.
void initialiseParameter(const ParameterSpec &parameter, uint64_t seed, std::span<float> values);

/// openWeights, and .gguf files.
std::unique_ptr<WeightSource> openModelWeights(const std::filesystem::path &path);

/// The tensor of each parameter, in order; views live as long as the source. A checkpoint of the
/// bare model (no "transformer." or "model." before the names), buffers that are no parameters and
/// a copy of a tied head are understood. Throws Error for a missing tensor, another shape, a tensor
/// that the model does not know, and a head that differs from the embedding it should be tied to.
std::vector<const TensorView *> matchWeights(const WeightSource &source, const ModelConfig &config,
                                             std::span<const ParameterSpec> parameters);

} // namespace lmc
