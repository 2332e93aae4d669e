#include "ir/BlockPanels.h"

#include "runtime/BlockLayouts.h"
#include "runtime/Half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace lmc::lm {
namespace {

constexpr std::array formats = {
    BlockFormat{"q8_0", 32, 32, 8, 0, 0, false},
    BlockFormat{"q4_0", 32, 32, 4, 0, -8, false},
    BlockFormat{"q4_1", 32, 32, 4, 0, 0, true},
    BlockFormat{"q5_0", 32, 32, 4, 1, -16, false},
    BlockFormat{"q5_1", 32, 32, 4, 1, 0, true},
    BlockFormat{"iq4_nl", 32, 32, 4, 0, 0, false, BlockFormat::Scale::Half, kIQ4Values},
    BlockFormat{"mxfp4", 32, 32, 4, 0, 0, false, BlockFormat::Scale::Exponent, kMxfp4Values},
    BlockFormat{"q2_k", 256, 16, 2, 0, 0, true},
    BlockFormat{"q3_k", 256, 16, 2, 1, -4, false},
    BlockFormat{"q4_k", 256, 32, 4, 0, 0, true},
    BlockFormat{"q5_k", 256, 32, 4, 1, 0, true},
    BlockFormat{"q6_k", 256, 16, 4, 2, -32, false},
};

/// Where the parts of one column's super-block lie.
class Place {
public:
  Place(const BlockPanels &p, int64_t column, int64_t index)
      : p(p), lane(column % p.width), panel(column / p.width * p.panelBytes()),
        head(panel + index * p.headBytes()),
        codes(panel + p.codesAt() + index * (p.format->super / 32) * p.blockBytes()) {}

  int64_t d() const { return head + lane * p.scaleBytes(); }
  int64_t dmin() const { return head + p.minimumAt() + lane * p.scaleBytes(); }
  int64_t scale(int64_t sub) const { return head + p.subScalesAt() + sub * p.width + lane; }
  int64_t minimum(int64_t sub) const { return head + p.subMinimumsAt() + sub * p.width + lane; }

  struct Bits {
    int64_t byte;
    int shift, count, from; ///< `count` bits of q from bit `from`, at `shift` of the byte
  };
  Bits low(int64_t i) const { return field(i, p.format->lowBits, 0); }
  Bits high(int64_t i) const { return field(i, p.format->highBits, p.format->lowBits); }

private:
  Bits field(int64_t i, int bits, int before) const {
    int64_t quad = i % 32 / 4, plane = quad % bits;
    int64_t byte =
        codes + i / 32 * p.blockBytes() + 4 * p.width * (before + plane) + 4 * lane + i % 4;
    return {byte, int(bits * (quad / bits)), bits, before};
  }

  const BlockPanels &p;
  int64_t lane, panel, head, codes;
};

void writeHalf(float value, std::byte *at) {
  uint16_t half = floatToHalf(value);
  std::memcpy(at, &half, sizeof half);
}

float readHalf(const std::byte *at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return halfToFloat(half);
}

} // namespace

std::span<const BlockFormat> blockFormats() { return formats; }

const BlockFormat *findBlockFormat(std::string_view name) {
  const auto *it = std::ranges::find(formats, name, &BlockFormat::name);
  return it == formats.end() ? nullptr : it;
}

// A format's sizes are quotients, and a division takes as long as a block.
ColumnWriter::ColumnWriter(const BlockPanels &panels, std::span<std::byte> data, int64_t column)
    : format(*panels.format), width(panels.width), lane(column % width),
      headBytes(panels.headBytes()), minimumAt(panels.minimumAt()),
      subScalesAt(panels.subScalesAt()), subMinimumsAt(panels.subMinimumsAt()),
      subs(format.hasSuperBlocks() ? format.super / format.sub : 0),
      blockBytes(panels.blockBytes()), heads(data.data() + column / width * panels.panelBytes()),
      codes(heads + panels.codesAt()) {}

/// The planes of 32 integers' field of `Bits` bits from bit `from`, four integers at a time.
template <int Bits>
static void writeField(const uint8_t *q, int from, std::byte *plane, int64_t planeBytes) {
  constexpr uint32_t mask = ((1u << Bits) - 1) * 0x01010101u;
  for (int p = 0; p < Bits; ++p, plane += planeBytes) {
    uint32_t word = 0;
    for (int j = 0; j < 8 / Bits; ++j) {
      uint32_t four;
      std::memcpy(&four, q + 4 * (Bits * j + p), sizeof four);
      word |= (four >> from & mask) << (Bits * j);
    }
    std::memcpy(plane, &word, sizeof word);
  }
}

void ColumnWriter::write(int64_t index, const UnpackedBlock &block) const {
  std::byte *head = heads + index * headBytes;
  if (format.scale == BlockFormat::Scale::Exponent)
    head[lane] = std::byte(block.exponent);
  else
    writeHalf(block.d, head + 2 * lane);
  if (format.minimums)
    writeHalf(block.dmin, head + minimumAt + 2 * lane);
  for (int64_t sub = 0; sub < subs; ++sub) {
    head[subScalesAt + sub * width + lane] = std::byte(block.scales[sub]);
    if (format.minimums)
      head[subMinimumsAt + sub * width + lane] = std::byte(block.minimums[sub]);
  }
  const int64_t planeBytes = 4 * width;
  std::byte *low = codes + index * (format.super / 32) * blockBytes + 4 * lane;
  std::byte *high = low + format.lowBits * planeBytes;
  for (int64_t first = 0; first < format.super; first += 32) {
    const uint8_t *q = block.q + first;
    switch (format.lowBits) {
    case 8:
      writeField<8>(q, 0, low, planeBytes);
      break;
    case 4:
      writeField<4>(q, 0, low, planeBytes);
      break;
    case 2:
      writeField<2>(q, 0, low, planeBytes);
      break;
    }
    switch (format.highBits) {
    case 2:
      writeField<2>(q, format.lowBits, high, planeBytes);
      break;
    case 1:
      writeField<1>(q, format.lowBits, high, planeBytes);
      break;
    }
    low += blockBytes;
    high += blockBytes;
  }
}

UnpackedBlock readBlock(const BlockPanels &panels, std::span<const std::byte> data, int64_t column,
                        int64_t index) {
  const BlockFormat &format = *panels.format;
  Place place(panels, column, index);
  UnpackedBlock block;
  if (format.scale == BlockFormat::Scale::Exponent)
    block.exponent = uint8_t(data[place.d()]);
  else
    block.d = readHalf(&data[place.d()]);
  if (format.minimums)
    block.dmin = readHalf(&data[place.dmin()]);
  if (format.hasSuperBlocks())
    for (int64_t sub = 0; sub < format.super / format.sub; ++sub) {
      block.scales[sub] = uint8_t(data[place.scale(sub)]);
      if (format.minimums)
        block.minimums[sub] = uint8_t(data[place.minimum(sub)]);
    }
  auto read = [&](Place::Bits bits) {
    return (unsigned(data[bits.byte]) >> bits.shift & ((1u << bits.count) - 1)) << bits.from;
  };
  for (int64_t i = 0; i < format.super; ++i)
    block.q[i] = uint8_t(read(place.low(i)) | (format.highBits ? read(place.high(i)) : 0));
  return block;
}

StepAndMinimum stepOf(const BlockFormat &format, const UnpackedBlock &block, int64_t sub) {
  if (format.scale == BlockFormat::Scale::Exponent)
    return {std::ldexp(1.0f, block.exponent - 128), 0};
  if (!format.hasSuperBlocks()) // m of q4_1 and q5_1 is added
    return {block.d, format.minimums ? -block.dmin : 0};
  if (format.minimums)
    return {block.d * float(block.scales[sub]), block.dmin * float(block.minimums[sub])};
  return {block.d * float(int8_t(block.scales[sub])), 0};
}

int integerOf(const BlockFormat &format, const UnpackedBlock &block, int64_t i) {
  if (format.values)
    return format.values[block.q[i]];
  return format.isSigned() ? int8_t(block.q[i]) : int(block.q[i]) + format.offset;
}

} // namespace lmc::lm
