// What a launch costs, as far as its kernel's ops and the sizes of its buffers tell.
#pragma once

#include "passes/LaunchList.h"

namespace lmc {

/// Work of one launch at the largest extents.
struct LaunchCost {
  double flops = 0, bytes = 0; ///< arithmetic; inputs read and outputs written
  explicit LaunchCost(const LaunchList &list, const LaunchList::Launch &launch);
  /// In flops; a byte counts as much as the arithmetic that a core does while memory gives it one.
  double total() const;
};

} // namespace lmc
