// Evaluates the symbolic extents of an executable (Executable.proto, Extent).
#pragma once

#include "runtime/Executable.pb.h"

#include <cstdint>
#include <optional>
#include <span>

namespace lmc {

/// The product of the factors, or nothing if it does not fit 62 bits or a factor makes no sense
/// (unknown dim, negative multiplier, divisor below 1). Factors are monotonic in the dims, so the
/// value at every dim's maximum bounds all others.
inline std::optional<int64_t> tryEvaluate(const executable::Extent &extent,
                                          std::span<const int64_t> dims) {
  using Wide = __int128;
  constexpr Wide kLimit = Wide(1) << 62;
  Wide product = 1;
  for (const executable::Extent::Factor &factor : extent.factors()) {
    if (factor.mul() < 0)
      return std::nullopt;
    Wide value = factor.mul();
    if (factor.dim() >= 0) {
      if (uint32_t(factor.dim()) >= dims.size() || factor.div() < 1)
        return std::nullopt;
      value = (value * dims[factor.dim()] + factor.div() - 1) / factor.div();
    }
    // Bounding each value before multiplying keeps the product below 2^124.
    if (value > kLimit)
      return std::nullopt;
    product *= value;
    if (product > kLimit)
      return std::nullopt;
  }
  return int64_t(product);
}

/// For extents that verify() has seen and dims within their ranges.
inline int64_t evaluate(const executable::Extent &extent, std::span<const int64_t> dims) {
  return *tryEvaluate(extent, dims);
}

} // namespace lmc
