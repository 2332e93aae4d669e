#include "codegen/PackBlocks.h"

#include "runtime/BitRuns.h"
#include "runtime/BlockLayouts.h"
#include "runtime/PackedScales.h"
#include "runtime/Walk.h"

#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace lmc {
namespace {

using lm::UnpackedBlock;

// One block of a file as integers. Scales and minimums of `out` are zeros before.

template <typename Block> void unpackNibbles(const Block &block, UnpackedBlock &out) {
  unpackBits<4, 16>(block.qs, out.q);
}

void unpack(const BlockQ8_0 &block, UnpackedBlock &out) {
  out.d = block.d;
  std::memcpy(out.q, block.qs, sizeof block.qs);
}

void unpack(const BlockQ4_0 &block, UnpackedBlock &out) {
  out.d = block.d;
  unpackNibbles(block, out);
}

void unpack(const BlockQ4_1 &block, UnpackedBlock &out) {
  out.d = block.d, out.dmin = block.m;
  unpackNibbles(block, out);
}

void unpack(const BlockQ5_0 &block, UnpackedBlock &out) {
  out.d = block.d;
  unpackNibbles(block, out);
  unpackBits<1, 1>(block.qh, out.q, 4);
}

void unpack(const BlockQ5_1 &block, UnpackedBlock &out) {
  out.d = block.d, out.dmin = block.m;
  unpackNibbles(block, out);
  unpackBits<1, 1>(block.qh, out.q, 4);
}

void unpack(const BlockIQ4_NL &block, UnpackedBlock &out) {
  out.d = block.d;
  unpackNibbles(block, out);
}

void unpack(const BlockMXFP4 &block, UnpackedBlock &out) {
  out.exponent = block.e;
  unpackNibbles(block, out);
}

void unpack(const BlockQ2_K &block, UnpackedBlock &out) {
  out.d = block.d, out.dmin = block.dmin;
  for (int sub = 0; sub < 16; ++sub)
    out.scales[sub] = block.scales[sub] & 15, out.minimums[sub] = block.scales[sub] >> 4;
  unpackBits<2, 32>(block.qs, out.q);
}

void unpack(const BlockQ3_K &block, UnpackedBlock &out) {
  out.d = block.d;
  unpackBits<4, 8>(block.scalesLow, out.scales);
  unpackBits<2, 4>(block.scalesHigh, out.scales, 4);
  for (uint8_t &scale : out.scales)
    scale = uint8_t(scale - 32);
  unpackBits<2, 32>(block.qs, out.q);
  unpackBits<1, 32>(block.hmask, out.q, 2);
}

template <typename Block> void unpackScales(const Block &block, UnpackedBlock &out) {
  out.d = block.d, out.dmin = block.dmin;
  for (int sub = 0; sub < 8; ++sub) {
    auto [scale, minimum] = scaleOf(block.scales, sub);
    out.scales[sub] = scale, out.minimums[sub] = minimum;
  }
}

void unpack(const BlockQ4_K &block, UnpackedBlock &out) {
  unpackScales(block, out);
  unpackBits<4, 32>(block.qs, out.q);
}

void unpack(const BlockQ5_K &block, UnpackedBlock &out) {
  unpackScales(block, out);
  unpackBits<4, 32>(block.qs, out.q);
  unpackBits<1, 32>(block.qh, out.q, 4);
}

void unpack(const BlockQ6_K &block, UnpackedBlock &out) {
  out.d = block.d;
  std::memcpy(out.scales, block.scales, sizeof block.scales);
  unpackBits<4, 64>(block.ql, out.q);
  unpackBits<2, 32>(block.qh, out.q, 4);
}

/// `count` blocks of each column, one column after the other; those of all columns by turns, which is how a panel
/// has them.
template <typename Block>
void packColumns(const std::byte *blocks, int64_t count, int64_t columns,
                 const lm::PanelWriter &panel) {
  std::vector<UnpackedBlock> integers(columns);
  // What is read are as many streams as columns, too many for the processor to foresee; yet the next panel's blocks
  // follow these in one run.
  const std::byte *ahead = blocks + columns * count * int64_t(sizeof(Block));
  for (int64_t index = 0; index < count; ++index) {
    const std::byte *end = ahead + columns * int64_t(sizeof(Block));
    for (; ahead < end; ahead += 64)
      __builtin_prefetch(ahead);
    for (int64_t column = 0; column < columns; ++column) {
      Block block;
      std::memcpy(&block, blocks + (column * count + index) * int64_t(sizeof block),
                  sizeof block); // files align nothing
      unpack(block, integers[column]);
    }
    panel.write(index, 0, integers);
  }
}

struct FileFormat {
  std::string_view name;
  int64_t bytes;
  void (*packColumns)(const std::byte *blocks, int64_t count, int64_t columns,
                      const lm::PanelWriter &panel);
};
template <typename Block> constexpr FileFormat fileFormat(std::string_view name) {
  return {name, sizeof(Block), packColumns<Block>};
}
constexpr FileFormat fileFormats[] = {
    fileFormat<BlockQ8_0>("q8_0"),   fileFormat<BlockQ4_0>("q4_0"),
    fileFormat<BlockQ4_1>("q4_1"),   fileFormat<BlockQ5_0>("q5_0"),
    fileFormat<BlockQ5_1>("q5_1"),   fileFormat<BlockIQ4_NL>("iq4_nl"),
    fileFormat<BlockMXFP4>("mxfp4"), fileFormat<BlockQ2_K>("q2_k"),
    fileFormat<BlockQ3_K>("q3_k"),   fileFormat<BlockQ4_K>("q4_k"),
    fileFormat<BlockQ5_K>("q5_k"),   fileFormat<BlockQ6_K>("q6_k"),
};

const FileFormat &fileFormatOf(const lm::BlockFormat &format) {
  for (const FileFormat &file : fileFormats)
    if (file.name == format.name)
      return file;
  llvm_unreachable("a block format that no file has");
}

} // namespace

int64_t fileBytes(const lm::BlockFormat &format) { return fileFormatOf(format).bytes; }

void packBlocks(std::span<const std::byte> blocks, const lm::BlockPanels &panels,
                std::span<std::byte> packed, Team &team) {
  const FileFormat &file = fileFormatOf(*panels.format);
  int64_t perColumn = panels.depth / panels.format->super;
  WalkLaunch launch{panels.count(), 1, 0};
  Walk(team, 1).run({&launch, 1}, [&](int, size_t, int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      int64_t first = panel * panels.width, last = std::min(first + panels.width, panels.columns);
      std::span<std::byte> bytes = packed.subspan(panel * panels.panelBytes(), panels.panelBytes());
      std::ranges::fill(bytes, std::byte(0)); // padding; and it brings the panel into the cache
      file.packColumns(blocks.data() + first * perColumn * file.bytes, perColumn, last - first,
                       {panels, packed, panel});
    }
  });
}

} // namespace lmc
