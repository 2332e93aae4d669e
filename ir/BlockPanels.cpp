#include "ir/BlockPanels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace lmc::lm {
namespace {

constexpr int8_t iq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
// Twice E2M1.
constexpr int8_t mxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

constexpr std::array formats = {
    BlockFormat{"q8_0", 32, 32, 8, 0, 0, false},
    BlockFormat{"q4_0", 32, 32, 4, 0, -8, false},
    BlockFormat{"q4_1", 32, 32, 4, 0, 0, true},
    BlockFormat{"q5_0", 32, 32, 4, 1, -16, false},
    BlockFormat{"q5_1", 32, 32, 4, 1, 0, true},
    BlockFormat{"iq4_nl", 32, 32, 4, 0, 0, false, BlockFormat::Scale::Half, iq4Values},
    BlockFormat{"mxfp4", 32, 32, 4, 0, 0, false, BlockFormat::Scale::Exponent, mxfp4Values},
    BlockFormat{"q2_k", 256, 16, 2, 0, 0, true},
    BlockFormat{"q3_k", 256, 16, 2, 1, -4, false},
    BlockFormat{"q4_k", 256, 32, 4, 0, 0, true},
    BlockFormat{"q5_k", 256, 32, 4, 1, 0, true},
    BlockFormat{"q6_k", 256, 16, 4, 2, -32, false},
};

// f16 and back; exact for values that f16 holds.
uint16_t toHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000;
  int exponent = int(bits >> 23 & 255) - 127;
  uint32_t fraction = bits & 0x7fffff;
  if (exponent == 128)
    return uint16_t(sign | 0x7c00 | fraction >> 13);
  if (exponent < -14) // subnormal
    return uint16_t(sign | uint32_t(std::ldexp(std::fabs(value), 24)));
  return uint16_t(sign | uint32_t(exponent + 15) << 10 | fraction >> 13);
}

float fromHalf(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) {
    float value = std::ldexp(float(fraction), -24);
    return sign ? -value : value;
  }
  uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

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

void writeScale(const BlockFormat &format, float value, std::byte *at) {
  if (format.scale == BlockFormat::Scale::Exponent) {
    *at = std::byte(value == 0 ? 0 : std::ilogb(value) + 128);
    return;
  }
  uint16_t half = toHalf(value);
  std::memcpy(at, &half, sizeof half);
}

float readScale(const BlockFormat &format, const std::byte *at) {
  if (format.scale == BlockFormat::Scale::Exponent)
    return std::ldexp(1.0f, int(*at) - 128);
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return fromHalf(half);
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
  writeScale(format, block.d, &data[place.d()]);
  if (format.minimums)
    writeScale(format, block.dmin, &data[place.dmin()]);
  if (format.hasSuperBlocks())
    for (int64_t sub = 0; sub < format.super / format.sub; ++sub) {
      data[place.scale(sub)] = std::byte(block.scales[sub]);
      if (format.minimums)
        data[place.minimum(sub)] = std::byte(block.minimums[sub]);
    }
  auto write = [&](Place::Bits bits, unsigned q) {
    data[bits.byte] |= std::byte((q >> bits.from & ((1u << bits.count) - 1)) << bits.shift);
  };
  for (int64_t i = 0; i < format.super; ++i) {
    write(place.low(i), block.q[i]);
    if (format.highBits)
      write(place.high(i), block.q[i]);
  }
}

UnpackedBlock readBlock(const BlockPanels &panels, std::span<const std::byte> data, int64_t column,
                        int64_t index) {
  const BlockFormat &format = *panels.format;
  Place place(panels, column, index);
  UnpackedBlock block;
  block.d = readScale(format, &data[place.d()]);
  if (format.minimums)
    block.dmin = readScale(format, &data[place.dmin()]);
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
