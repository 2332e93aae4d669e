// A hand-made executable for a GPU, small enough to predict all results:
//   program step:
//     twice[i] = 2 * x[i]                        lm.mul at 'layers.0.twice'
//     total[i] += twice[i]; y[i] = total[i] / 2  lm.add, lm.mul at 'layers.1.total'
#pragma once

#include "runtime/Executable.h"

#include <memory>

namespace lmc::test {

inline constexpr int kTinyItems =
    32; ///< elements of every tensor, f32: input x, state total, output y

/// The kernels are compiled once for the emulated driver.
std::shared_ptr<const Executable> tinyCudaExecutable();

} // namespace lmc::test
