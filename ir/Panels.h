// A matrix [depth, columns] as panels of some columns, the layout that the register tile of a matrix
// product reads: panels [count, paddedDepth, width]. Column j is column j % width of panel
// j / width; rows beyond depth and columns beyond the last are zeros.
#pragma once

#include <cstdint>

namespace lmc::lm {

/// Depth is a multiple of this, so that a loop over it may take several steps at once.
inline constexpr int64_t kPanelSteps = 4;

struct Panels {
  int64_t depth, columns; ///< of the matrix
  int64_t width;          ///< columns of a panel

  int64_t count() const { return (columns + width - 1) / width; }
  int64_t paddedDepth() const { return (depth + kPanelSteps - 1) / kPanelSteps * kPanelSteps; }
  int64_t panelSize() const { return paddedDepth() * width; } ///< elements
  int64_t size() const { return count() * panelSize(); }      ///< elements
  /// Where element (k, j) lies, in elements.
  int64_t at(int64_t k, int64_t j) const { return j / width * panelSize() + k * width + j % width; }
};

} // namespace lmc::lm
