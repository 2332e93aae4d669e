// Block-quantised weights as CUDA text sees them: panels of 32 columns, one a lane of a warp.
#pragma once

#include "codegen/cuda/Expression.h"
#include "ir/BlockPanels.h"

namespace lmc::cuda {

/// Columns of a panel: a plane of integers is then the 128 bytes that a warp reads at once.
inline constexpr int64_t kBlockWidth = 32;

struct BlockText {
  /// Throws Error where the panels have another width.
  BlockText(const lm::BlockPanels &panels, mlir::Operation *op);

  std::string format; ///< type of device/blocks.cuh
  std::string values; ///< lmc::BlockValues of the format
};

} // namespace lmc::cuda
