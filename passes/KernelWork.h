// What one launch of a kernel has to do, counted from its region: the figures that a roofline needs.
#pragma once

#include "mlir/IR/Block.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

namespace lmc {

/// Counts of a launch with every symbol at its largest extent. Each op counts once, as the region has
/// it: what a target computes twice (a row that is swept again) is its own affair.
struct KernelWork {
  /// Products and attention, a multiplication and an addition each: of elements of 16 bits, which
  /// matrix units take, and of wider ones. Attention counts the pairs of
  /// a query and a key that it sees: causal, and in its window.
  double matrixFlops = 0, productFlops = 0;
  double pointwiseFlops = 0; ///< one an element of a pointwise op or a reduction
  bool isDouble = false;     ///< some of productFlops and pointwiseFlops are of f64
  /// exp, expm1, log, tanh, erf, sin, cos, roots and divisions: each keeps a special function unit
  /// busy at least once. Attention has one for each score, two with a soft cap.
  double exponentials = 0;
  /// Of memory, each element once: a gather reads the rows that it names, an append to a cache writes
  /// what is new. A cache is read up to its largest extent, of
  /// attention with a window only what that reaches, of experts' weights no more experts than rows.
  double bytesRead = 0, bytesWritten = 0;

  /// `body`: of an lm.kernel or a plan.kernel. `largest`: of a symbolic dimension.
  KernelWork(mlir::Block &body, llvm::function_ref<int64_t(llvm::StringRef symbol)> largest);

  double flops() const { return matrixFlops + productFlops + pointwiseFlops; }
};

} // namespace lmc
