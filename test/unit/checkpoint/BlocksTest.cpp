// Block formats against test/data/gguf/blocks.gguf, which the `gguf` package wrote.
#include "frontend/checkpoint/GgufFile.h"
#include "runtime/Error.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace lmc {
namespace {

const GgufFile &golden() {
  static const GgufFile file = GgufFile::open("test/data/gguf/blocks.gguf");
  return file;
}

std::vector<uint32_t> bitsOf(const TensorView &view) {
  std::vector<float> values(view.numElements());
  readAsF32(view, values);
  std::vector<uint32_t> bits;
  for (float value : values)
    bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

std::vector<std::byte> quantise(TensorType type, std::span<const float> values) {
  const TensorFormat &format = formatOf(type);
  auto numBlocks = int64_t(values.size()) / format.blockElements;
  std::vector<std::byte> blocks(numBlocks * format.blockBytes);
  format.quantise(values.data(), numBlocks, blocks.data());
  return blocks;
}

std::vector<float> normal(size_t count) {
  std::vector<float> values(count);
  Philox(5, 11).fillNormal(values);
  return values;
}

/// Root mean square of what quantising changes.
double errorOf(TensorType type, std::span<const float> values) {
  std::vector<std::byte> blocks = quantise(type, values);
  std::vector<float> back(values.size());
  readAsF32({type, {int64_t(values.size())}, blocks}, back);
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum += (double(back[i]) - values[i]) * (double(back[i]) - values[i]);
  return std::sqrt(sum / double(values.size()));
}

} // namespace

TEST(Blocks, dequantisationIsTheReferences) {
  int formats = 0;
  for (const TensorFormat &format : tensorFormats()) {
    const TensorView *expected = golden().find(std::string(format.name) + ".f32");
    EXPECT_EQ(expected != nullptr, format.dequantise && format.type != TensorType::F32)
        << format.name;
    if (!expected)
      continue;
    const TensorView &blocks = *golden().find(std::string(format.name));
    ASSERT_EQ(blocks.type, format.type);
    ASSERT_EQ(blocks.shape, expected->shape);
    EXPECT_EQ(bitsOf(blocks), bitsOf(*expected)) << format.name;
    ++formats;
  }
  EXPECT_EQ(formats, 14);
}

TEST(Blocks, quantisationIsTheReferences) {
  const TensorView &input = *golden().find("input");
  std::vector<float> values(input.numElements());
  readAsF32(input, values);
  int formats = 0;
  for (const TensorFormat &format : tensorFormats())
    if (const TensorView *expected = golden().find(std::string(format.name) + ".quantised")) {
      std::vector<std::byte> blocks = quantise(format.type, values);
      ASSERT_EQ(blocks.size(), expected->bytes.size());
      for (size_t i = 0; i < blocks.size(); ++i)
        ASSERT_EQ(blocks[i], expected->bytes[i])
            << format.name << ", byte " << i % format.blockBytes << " of block "
            << i / format.blockBytes;
      ++formats;
    }
  EXPECT_EQ(formats, 8);
}

TEST(Blocks, halvesRoundToNearestEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (!std::isnan(halfToFloat(uint16_t(bits))))
      ASSERT_EQ(floatToHalf(halfToFloat(uint16_t(bits))), bits);
  EXPECT_EQ(floatToHalf(1 + 0x1p-11f), 0x3C00);           // a tie, down to even
  EXPECT_EQ(floatToHalf(1 + 3 * 0x1p-11f), 0x3C02);       // a tie, up to even
  EXPECT_EQ(floatToHalf(1 + 0x1.001p-11f), 0x3C01);       // above a tie
  EXPECT_EQ(floatToHalf(0x1p-25f), 0);                    // half of the least subnormal
  EXPECT_EQ(floatToHalf(-0x1.8p-25f), 0x8001);            // above it
  EXPECT_EQ(floatToHalf(65519.996f), 0x7BFF);             // the largest below infinity
  EXPECT_EQ(floatToHalf(65520), 0x7C00);                  // a tie with 65536
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(NAN)))); // and not infinity
}

// Against the same sub-blocks rounded plainly, with a scale of their own in f32: from the least to
// the largest element, or for symmetric formats with the largest magnitude at -levels / 2.
TEST(Blocks, searchedScalesBeatPlainRounding) {
  std::vector<float> values = normal(256 * 64);
  auto plain = [&](int subBlock, int levels, bool symmetric) {
    double sum = 0;
    for (size_t begin = 0; begin < values.size(); begin += subBlock) {
      std::span<const float> x = std::span(values).subspan(begin, subBlock);
      float low = *std::ranges::min_element(x), high = *std::ranges::max_element(x);
      float extreme = -low > high ? low : high, zero = symmetric ? 0 : low;
      float step = symmetric ? -extreme / float(levels / 2) : (high - low) / float(levels - 1);
      for (float value : x) {
        float q = std::nearbyint((value - zero) / step);
        float back = (symmetric ? std::min(q, float(levels / 2 - 1)) : q) * step + zero;
        sum += double(back - value) * (back - value);
      }
    }
    return std::sqrt(sum / double(values.size()));
  };
  EXPECT_LT(errorOf(TensorType::Q2_K, values), 0.93 * plain(16, 4, false));
  // Elements count by their squares here, and the scales have 6 bits.
  EXPECT_LT(errorOf(TensorType::Q3_K, values), 1.02 * plain(16, 8, true));
  EXPECT_LT(errorOf(TensorType::Q4_K, values), 0.93 * plain(32, 16, false));
  EXPECT_LT(errorOf(TensorType::Q5_K, values), 0.97 * plain(32, 32, false));
  EXPECT_LT(errorOf(TensorType::Q6_K, values), 1.0 * plain(16, 64, true));
  EXPECT_LT(errorOf(TensorType::IQ4_NL, values), 0.9 * errorOf(TensorType::Q4_0, values));
}

// What a format can represent comes back: its own values, quantised again, hardly move; zeros,
// constants and tiny numbers are no special cases to whoever reads them.
TEST(Blocks, hardBlocks) {
  for (const TensorFormat &format : tensorFormats()) {
    if (!format.quantise)
      continue;
    std::vector<float> zeros(256), constant(256, 3.0f), tiny(256, 1e-30f), one(256);
    one[77] = -1;
    EXPECT_EQ(errorOf(format.type, zeros), 0) << format.name;
    EXPECT_LT(errorOf(format.type, constant), 0.02) << format.name;
    EXPECT_LT(errorOf(format.type, tiny), 1.01e-30) << format.name;
    EXPECT_LT(errorOf(format.type, one), 3e-3) << format.name;
    std::vector<float> large = normal(256);
    for (float &value : large)
      value *= 15000;
    EXPECT_LT(errorOf(format.type, large), 15000 * 0.4) << format.name;
  }
}

TEST(Blocks, someTypesAreKnownBySizeOnly) {
  std::vector<std::byte> block(66);
  std::vector<float> values(256);
  try {
    readAsF32({TensorType::IQ2_XXS, {256}, block}, values);
    FAIL();
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "a tensor of type IQ2_XXS cannot be read as F32");
  }
}

// A matrix [6, 32] of Q8_0 whose rows are one head; and the transpose of [32, 6] F32.
TEST(Blocks, storedOrders) {
  std::vector<float> values = normal(6 * 32), read(6 * 32), expected(6 * 32);
  std::vector<std::byte> blocks = quantise(TensorType::Q8_0, values);
  TensorView view{TensorType::Q8_0, {6, 32}, blocks};
  readAsF32(view, expected);
  view.heads = 1;
  const std::pair<StoredOrder, std::vector<int>> orders[] = {
      {StoredOrder::RotaryPairs, {0, 2, 4, 1, 3, 5}},
      {StoredOrder::RotaryHalves, {0, 3, 1, 4, 2, 5}}};
  for (const auto &[order, stored] : orders) {
    view.order = order;
    readAsF32(view, read);
    for (int row = 0; row < 6; ++row) {
      EXPECT_EQ(view.storedRow(row), stored[row]);
      for (int i = 0; i < 32; ++i)
        EXPECT_EQ(read[32 * row + i], expected[32 * stored[row] + i]);
    }
  }
  readAsF32({TensorType::F32, {32, 6}, std::as_bytes(std::span(values)), StoredOrder::Transposed},
            read);
  for (int row = 0; row < 32; ++row)
    for (int i = 0; i < 6; ++i)
      EXPECT_EQ(read[6 * row + i], values[32 * i + row]);
}

} // namespace lmc
