// Weights in the layout that products read: done once, where an executable gets its parameters.
#pragma once

#include "ir/Panels.h"
#include "runtime/Team.h"

#include <cstddef>
#include <span>

namespace lmc {

/// Writes the matrix `plain` (row-major [depth, columns], or [columns, depth] where transposed) as
/// panels; all of `packed` is written, padding as zeros. Elements are of 1, 2, 4 or 8 bytes and are
/// only moved. Sizes are the caller's to check.
void packPanels(std::span<const std::byte> plain, bool transposed, const lm::Panels &panels,
                size_t elementBytes, std::span<std::byte> packed, Team &team);

} // namespace lmc
