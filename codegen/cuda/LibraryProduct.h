// Products that cuBLASLt can compute as they stand, described for the runtime (runtime/CudaProducts.h).
#pragma once

#include "codegen/cuda/Kernel.h"

#include <optional>

namespace lmc::cuda {

/// Fewer rows read the weights once and do little else: they stay with the generated kernels.
inline constexpr int64_t kLeastLibraryRows = 9;

/// One of the two operands; lines of a row-major matrix, one after the other.
struct LibraryOperand {
  unsigned buffer = 0;               ///< input of the kernel
  int64_t offset = 0;                ///< of element 0, bytes
  bool transposed = false;           ///< lines run along the rows: [k, m] or [n, k]
  std::vector<GridFactor> step;      ///< elements from one line to the next
  std::vector<GridFactor> batchStep; ///< from one batch entry to the next
};

/// y [batch, m, n] = gelu(a b + bias + addend), each of the three optional; y is dense and the
/// kernel's only output. Sums are f32.
struct LibraryProduct {
  bool bf16 = false;         ///< elements of a and b, else f32
  bool roundsResult = false; ///< y and what is added are bf16, else f32
  std::vector<GridFactor> m, n, k, batch;
  LibraryOperand a, b;
  unsigned resultBuffer = 0;      ///< inputs first, then the output
  std::optional<unsigned> bias;   ///< input [n]
  std::optional<unsigned> addend; ///< input like y; may be y's own memory
  bool gelu = false;              ///< of the tanh form
};

/// How the library computes a kernel of the matmul family, or why it has no form for it.
struct LibraryFit {
  std::optional<LibraryProduct> product;
  std::string refusal;
};
LibraryFit fitLibrary(plan::KernelOp kernel, const Ranges &ranges);

} // namespace lmc::cuda
