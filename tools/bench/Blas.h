// The single-precision products of libraries that may be installed beside lmc: opened at run time,
// never linked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lmc::bench {

/// y [m, n] = a b; a is [m, k], or [k, m] where transposed, b [k, n] or [n, k]; all row-major.
struct ProductShape {
  int64_t m, n, k;
  bool transposeA, transposeB;
};

using Sgemm = std::function<void(const ProductShape &, const float *a, const float *b, float *y)>;

/// `name`: openblas, blis or onednn. Null where it is not installed. The library uses `threads`.
Sgemm findSgemm(const std::string &name, int threads);

/// oneDNN with b [k, n] packed ahead as it likes best for this shape. Null where oneDNN 2 is not
/// installed or an operand is transposed. Throws Error where the library refuses.
Sgemm findPackedSgemm(const ProductShape &shape, const float *b, int threads);

} // namespace lmc::bench
