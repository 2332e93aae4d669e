// Parameters that a checkpoint has in pieces: the experts of a layer, which are one parameter here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lmc {

/// The tensors of a checkpoint that make up a parameter: a name "a.*.b" of shape [N, ...] stands for "a.0.b"
/// to "a.<N - 1>.b", each of them one index of the first dimension; any other for itself.
std::vector<std::string> storedNames(const std::string &name, std::span<const int64_t> shape);

/// The shape of each of these tensors.
std::span<const int64_t> storedShape(const std::string &name, std::span<const int64_t> shape);

} // namespace lmc
