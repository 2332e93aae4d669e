// Elementary functions without an instruction, written out as arithmetic.
//
// Every f32 math.exp, expm1, log, tanh, erf, sin and cos, scalar or vector of any width, becomes a
// range reduction and a polynomial: no calls, no branches, and the same bits at every width.
// Polynomials are minimax fits (Remez) of our own. Error bounds in units of the last place of the
// result, over all f32 arguments, with or without fused multiply-add:
//
//   exp    1.2  results under 2^-126 are 0 (no denormals); overflow gives inf
//   expm1  2    expm1(x) = x for |x| < 2^-25, denormals and -0 included
//   log    1    denormal arguments are exact; log(0) = -inf, log(x < 0) = NaN
//   tanh   3    relative near 0 as well; -0 and denormals are kept
//   erf    2    likewise
//   sin, cos 1  for |x| <= 5e7, by reduction in f64; NaN beyond, where an f32 is too coarse to tell
//               the phase (neighbours differ by 4 or more)
//
// NaN gives NaN. Infinite arguments give the limit; NaN for sin and cos.
#pragma once

#include "codegen/cpu/Target.h"

#include "mlir/IR/Operation.h"

namespace lmc::cpu {

/// Rewrites the ops listed above under `root`. Those on other element types are left (the lowering
/// refuses them).
void expandMath(mlir::Operation *root, const Target &target);

} // namespace lmc::cpu
