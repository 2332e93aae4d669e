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
        head(panel + index * p.headStride()),
        codes(panel + p.codesAt() + index * (p.format->super / 32) * p.blockStride()) {}

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
        codes + i / 32 * p.blockStride() + 4 * p.width * (before + plane) + 4 * lane + i % 4;
    return {byte, int(bits * (quad / bits)), bits, before};
  }

  const BlockPanels &p;
  int64_t lane, panel, head, codes;
};

uint16_t readHalf(const std::byte *at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return half;
}

/// Four steps of k of a column as one number, little-endian; of four columns.
using Quads = uint32_t __attribute__((vector_size(16)));
constexpr int64_t kQuads = 8; ///< of 32 steps

Quads loadQuads(const uint8_t *steps) {
  Quads result;
  std::memcpy(&result, steps, sizeof result);
  return result;
}

/// Steps first .. first + 31 of four columns: result[i] has the columns' quad i.
void turn(const UnpackedBlock *const (&columns)[4], int64_t first, Quads (&result)[kQuads]) {
  for (int64_t quad = 0; quad < kQuads; quad += 4) {
    Quads r[4];
    for (int64_t i = 0; i < 4; ++i)
      r[i] = loadQuads(columns[i]->q + first + 4 * quad);
    Quads low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    Quads high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    Quads low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    Quads high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    result[quad] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    result[quad + 1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    result[quad + 2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    result[quad + 3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
  }
}

/// The planes of the quads' field of `Bits` bits from bit `from`, `bytes` of each.
template <int Bits>
void writeField(const Quads (&quads)[kQuads], int from, std::byte *plane, int64_t planeBytes,
                size_t bytes) {
  constexpr uint32_t mask = ((1u << Bits) - 1) * 0x01010101u;
  for (int p = 0; p < Bits; ++p, plane += planeBytes) {
    Quads words = {};
    for (int j = 0; j < 8 / Bits; ++j)
      words |= (quads[Bits * j + p] >> from & mask) << (Bits * j);
    if (bytes == sizeof words)
      std::memcpy(plane, &words, sizeof words);
    else
      std::memcpy(plane, &words, bytes);
  }
}

/// All planes of `steps` steps of up to four columns.
template <int Low, int High>
void writePlanes(std::span<const UnpackedBlock> columns, int64_t steps, std::byte *plane,
                 int64_t planeBytes) {
  const UnpackedBlock *four[4];
  for (size_t i = 0; i < 4; ++i)
    four[i] = &columns[std::min(i, columns.size() - 1)];
  for (int64_t first = 0; first < steps; first += 32, plane += (Low + High) * planeBytes) {
    Quads quads[kQuads];
    turn(four, first, quads);
    writeField<Low>(quads, 0, plane, planeBytes, 4 * columns.size());
    if constexpr (High > 0)
      writeField<High>(quads, Low, plane + Low * planeBytes, planeBytes, 4 * columns.size());
  }
}

decltype(&writePlanes<8, 0>) planesOf(const BlockFormat &format) {
  switch (10 * format.lowBits + format.highBits) {
  case 80:
    return writePlanes<8, 0>;
  case 40:
    return writePlanes<4, 0>;
  case 41:
    return writePlanes<4, 1>;
  case 42:
    return writePlanes<4, 2>;
  case 20:
    return writePlanes<2, 0>;
  case 21:
    return writePlanes<2, 1>;
  }
  return nullptr; // no such format
}

} // namespace

std::span<const BlockFormat> blockFormats() { return formats; }

const BlockFormat *findBlockFormat(std::string_view name) {
  const auto *it = std::ranges::find(formats, name, &BlockFormat::name);
  return it == formats.end() ? nullptr : it;
}

// A format's sizes are quotients, and a division takes as long as a block.
PanelWriter::PanelWriter(const BlockPanels &panels, std::span<std::byte> data, int64_t panel)
    : format(*panels.format), width(panels.width), headBytes(panels.headBytes()),
      minimumAt(panels.minimumAt()), subScalesAt(panels.subScalesAt()),
      subMinimumsAt(panels.subMinimumsAt()),
      subs(format.hasSuperBlocks() ? format.super / format.sub : 0),
      blockBytes(panels.blockBytes()), writePlanes(planesOf(format)),
      heads(data.data() + panel * panels.panelBytes()), codes(heads + panels.codesAt()) {}

void PanelWriter::writeHead(std::byte *head, int64_t lane, const UnpackedBlock &block) const {
  if (format.scale == BlockFormat::Scale::Exponent)
    head[lane] = std::byte(block.exponent);
  else
    std::memcpy(head + 2 * lane, &block.d, sizeof block.d);
  if (format.minimums)
    std::memcpy(head + minimumAt + 2 * lane, &block.dmin, sizeof block.dmin);
  for (int64_t sub = 0; sub < subs; ++sub) {
    head[subScalesAt + sub * width + lane] = std::byte(block.scales[sub]);
    if (format.minimums)
      head[subMinimumsAt + sub * width + lane] = std::byte(block.minimums[sub]);
  }
}

void PanelWriter::write(int64_t index, int64_t lane, std::span<const UnpackedBlock> columns) const {
  for (size_t i = 0; i < columns.size(); ++i)
    writeHead(heads + index * headBytes, lane + int64_t(i), columns[i]);
  std::byte *plane = codes + index * (format.super / 32) * blockBytes + 4 * lane;
  for (size_t i = 0; i < columns.size(); i += 4, plane += 16)
    writePlanes(columns.subspan(i, std::min<size_t>(4, columns.size() - i)), format.super, plane,
                4 * width);
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
  float d = halfToFloat(block.d), dmin = halfToFloat(block.dmin);
  if (!format.hasSuperBlocks()) // m of q4_1 and q5_1 is added
    return {d, format.minimums ? -dmin : 0};
  if (format.minimums)
    return {d * float(block.scales[sub]), dmin * float(block.minimums[sub])};
  return {d * float(int8_t(block.scales[sub])), 0};
}

int integerOf(const BlockFormat &format, const UnpackedBlock &block, int64_t i) {
  if (format.values)
    return format.values[block.q[i]];
  return format.isSigned() ? int8_t(block.q[i]) : int(block.q[i]) + format.offset;
}

} // namespace lmc::lm
