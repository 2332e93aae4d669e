// Blocks of files in the layout of products: every value stays what dequantisation makes of it, to the
// bit.
#include "codegen/PackBlocks.h"
#include "frontend/checkpoint/TensorType.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmc {
namespace {

class PackBlocks : public testing::TestWithParam<const lm::BlockFormat *> {};

const TensorFormat &fileFormat(const lm::BlockFormat &format) {
  for (const TensorFormat &file : tensorFormats())
    if (std::ranges::equal(file.name, format.name,
                           [](char a, char b) { return std::tolower(a) == b; }))
      return file;
  throw std::logic_error("a block format that no file has");
}

TEST_P(PackBlocks, KeepsEveryValue) {
  const lm::BlockFormat &format = *GetParam();
  const TensorFormat &file = fileFormat(format);
  ASSERT_EQ(file.blockElements, format.super);
  ASSERT_EQ(file.blockBytes, fileBytes(format));
  for (int64_t width : {4, 16}) {
    lm::BlockPanels panels{&format, 768, 21, width};
    int64_t count = panels.depth * panels.columns, blocks = count / format.super;
    // Any bytes are blocks; scales that are not numbers are none that a file should have.
    std::vector<float> drawn(static_cast<size_t>(count)), expected(drawn.size());
    Philox(7, 2).fillNormal(drawn);
    std::vector<std::byte> raw(static_cast<size_t>(blocks * file.blockBytes));
    file.quantise(drawn.data(), blocks, raw.data());
    file.dequantise(raw.data(), blocks, expected.data());

    std::vector<std::byte> packed(static_cast<size_t>(panels.size()), std::byte(0xa5));
    Team team(3);
    packBlocks(raw, panels, packed, team);
    for (int64_t column = 0; column < panels.columns; ++column)
      for (int64_t k = 0; k < panels.depth; ++k) {
        int64_t i = k % format.super;
        lm::UnpackedBlock block = lm::readBlock(panels, packed, column, k / format.super);
        auto [step, minimum] = lm::stepOf(format, block, i / format.sub);
        float value = step * static_cast<float>(lm::integerOf(format, block, i)) - minimum;
        ASSERT_EQ(value, expected[static_cast<size_t>(column * panels.depth + k)])
            << "column " << column << ", k " << k;
      }
    // Columns beyond the last are zeros.
    lm::UnpackedBlock none = lm::readBlock(panels, packed, panels.columns, 0);
    EXPECT_EQ(none.d, 0);
    EXPECT_EQ(none.q[5], 0);
  }
}

std::vector<const lm::BlockFormat *> formats() {
  std::vector<const lm::BlockFormat *> all;
  for (const lm::BlockFormat &format : lm::blockFormats())
    all.push_back(&format);
  return all;
}

INSTANTIATE_TEST_SUITE_P(, PackBlocks, testing::ValuesIn(formats()),
                         [](const auto &info) { return std::string(info.param->name); });

} // namespace
} // namespace lmc
