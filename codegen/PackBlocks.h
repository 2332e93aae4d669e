// Block-quantised weights as GGUF has them, in the layout that integer products read: done once, where
// an executable gets its parameters.
#pragma once

#include "ir/BlockPanels.h"
#include "runtime/Team.h"

#include <cstddef>
#include <span>

namespace lmc {

/// Bytes of a block as files have it (runtime/BlockLayouts.h).
int64_t fileBytes(const lm::BlockFormat &format);

/// Writes the columns in `blocks`, one after the other and each [depth / super] blocks, as panels; all of
/// `packed` is written, padding as zeros. Values stay the same. Sizes are the caller's to check.
void packBlocks(std::span<const std::byte> blocks, const lm::BlockPanels &panels,
                std::span<std::byte> packed, Team &team);

} // namespace lmc
