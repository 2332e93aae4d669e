// Matrices of block-quantised weights in the layout that integer products read. No MLIR.
//
// A weight is w = step * (q + offset) or step * q - minimum, q an integer of few bits; step and minimum
// belong to a sub-block of 16 or 32 neighbouring weights of a column. Formats with super-blocks have
// step = d * scale and minimum = dmin * m, d and dmin of 256 weights.
//
// A panel holds `width` columns, one for each 32-bit lane of a vector register. First come the scales
// of all super-blocks, in rising k; for each, each part once for all columns: d, dmin, scales (one row of
// bytes a sub-block), m (the same). Then, at a multiple of 64 bytes, the integers: for each 32 steps of k
// the low bits of q, then its high bits. A field of L bits takes L planes of 4 * width bytes: byte
// 4 * column + b of plane p holds, at bit L * j, the field of step 4 * (L * j + p) + b. So a plane shifted
// right by L * j and masked is what a dot product of four bytes a lane takes.
// A panel of one column is different: it is the column's blocks as files have them, each block's scales before its
// integers. Formats whose files order bits
// like planes have it (hasFileOrder): it is for tables of which rows are gathered, which then stay
// where the file has them.
//   Source: GGUF's formats (runtime/BlockLayouts.h), whose values are kept to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lmc::lm {

struct BlockFormat {
  enum class Scale {
    Half,     ///< d is f16
    Exponent, ///< d is 2^(e - 128), e one byte
  };

  std::string_view name; ///< "q4_k"
  int64_t super;         ///< weights that share d: 32 or 256
  int64_t sub;           ///< weights that share a step: 16 or 32
  int lowBits, highBits; ///< of q
  int offset;            ///< added to q
  bool minimums;         ///< the form with a minimum
  Scale scale = Scale::Half;
  /// q counts entries of these 16 values, which then take its place.
  const int8_t *values = nullptr;

  bool isSigned() const { return lowBits == 8; } ///< q is an int8
  bool hasSuperBlocks() const { return super != sub; }
  /// Is a block of a file its scales and then its planes?
  bool hasFileOrder() const { return !hasSuperBlocks() && highBits == 0; }
  int bits() const { return lowBits + highBits; }
};

std::span<const BlockFormat> blockFormats();
/// Null for an unknown name.
const BlockFormat *findBlockFormat(std::string_view name);

/// A matrix [depth, columns]; depth is a multiple of the format's super-block.
struct BlockPanels {
  const BlockFormat *format;
  int64_t depth, columns;
  int64_t width; ///< columns of a panel; 1: as files have them

  int64_t count() const { return (columns + width - 1) / width; }
  bool isFile() const { return width == 1; }

  // All in bytes; offsets in a panel.
  int64_t scaleBytes() const { return format->scale == BlockFormat::Scale::Half ? 2 : 1; }
  /// Of the scales of one super-block.
  int64_t headBytes() const {
    int64_t parts = format->minimums ? 2 : 1;
    int64_t subs = format->hasSuperBlocks() ? format->super / format->sub : 0;
    return width * parts * (scaleBytes() + subs);
  }
  int64_t minimumAt() const { return width * scaleBytes(); } ///< dmin, in a head
  int64_t subScalesAt() const { return minimumAt() * (format->minimums ? 2 : 1); }
  int64_t subMinimumsAt() const { return subScalesAt() + width * (format->super / format->sub); }
  /// Of the integers of 32 steps.
  int64_t blockBytes() const { return 4 * width * format->bits(); }
  /// From one super-block's scales to the next.
  int64_t headStride() const { return headBytes() + (isFile() ? blockBytes() : 0); }
  /// From the integers of 32 steps to the next.
  int64_t blockStride() const { return blockBytes() + (isFile() ? headBytes() : 0); }
  int64_t codesAt() const {
    return isFile() ? headBytes() : (depth / format->super * headBytes() + 63) / 64 * 64;
  }
  int64_t panelBytes() const {
    if (isFile())
      return depth / 32 * blockStride();
    return (codesAt() + depth / 32 * blockBytes() + 63) / 64 * 64;
  }
  int64_t size() const { return count() * panelBytes(); }
};

/// One super-block of a column, as integers.
struct UnpackedBlock {
  uint16_t d = 0, dmin = 0;                   ///< the bits of f16
  uint8_t exponent = 0;                       ///< in place of d, of Scale::Exponent
  uint8_t scales[16] = {}, minimums[16] = {}; ///< scales are int8 where there are no minimums
  alignas(16)
      uint8_t q[256]; ///< of the first `super` alone; billions pass here, so nothing clears them
};

/// Writes super-blocks of some neighbouring columns of one panel: all of a panel at once where there are many,
/// because their integers lie side by side.
class PanelWriter {
public:
  PanelWriter(const BlockPanels &panels, std::span<std::byte> data, int64_t panel);

  /// Super-block `index` of the columns in lanes `lane`, `lane` + 1, ...
  void write(int64_t index, int64_t lane, std::span<const UnpackedBlock> columns) const;

private:
  void writeHead(std::byte *head, int64_t lane, const UnpackedBlock &block) const;

  const BlockFormat &format;
  int64_t width, headBytes, minimumAt, subScalesAt, subMinimumsAt, subs, blockBytes;
  void (*writePlanes)(std::span<const UnpackedBlock> columns, int64_t steps, std::byte *plane,
                      int64_t planeBytes);
  std::byte *heads, *codes; ///< of the panel
};

UnpackedBlock readBlock(const BlockPanels &panels, std::span<const std::byte> data, int64_t column,
                        int64_t index);

/// Step and minimum (the subtrahend; offset forms have none) of a sub-block, formed as readers of the
/// format form them.
struct StepAndMinimum {
  float step, minimum;
};
StepAndMinimum stepOf(const BlockFormat &format, const UnpackedBlock &block, int64_t sub);
/// The integer that the step multiplies: q + offset, or its entry of the values, or q.
int integerOf(const BlockFormat &format, const UnpackedBlock &block, int64_t i);

} // namespace lmc::lm
