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

void writeBlock(const BlockPanels &panels, std::span<std::byte> data, int64_t column, int64_t index,
                const UnpackedBlock &block) {
  const BlockFormat &format = *panels.format;
  Place place(panels, column, index);
  if (format.scale == BlockFormat::Scale::Exponent)
    data[place.d()] = std::byte(block.exponent);
  else
    writeHalf(block.d, &data[place.d()]);
  if (format.minimums)
    writeHalf(block.dmin, &data[place.dmin()]);
  if (format.hasSuperBlocks())
    for (int64_t sub = 0; sub < format.super / format.sub; ++sub) {
      data[place.scale(sub)] = std::byte(block.scales[sub]);
      if (format.minimums)
        data[place.minimum(sub)] = std::byte(block.minimums[sub]);
    }
  // Four integers at a time: billions of weights go through here when a model is loaded.
  auto writeField = [&](int64_t first, int bits, int from, std::byte *plane) {
    for (int64_t p = 0; p < bits; ++p, plane += 4 * panels.width) {
      uint32_t word = 0;
      for (int64_t j = 0; j < 8 / bits; ++j) {
        uint32_t four;
        std::memcpy(&four, block.q + first + 4 * (bits * j + p), sizeof four);
        uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
        word |= (four >> from & mask) << (bits * j);
      }
      std::memcpy(plane, &word, sizeof word);
    }
  };
  for (int64_t first = 0; first < format.super; first += 32) {
    writeField(first, format.lowBits, 0, &data[place.low(first).byte]);
    if (format.highBits)
      writeField(first, format.highBits, format.lowBits, &data[place.high(first).byte]);
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
