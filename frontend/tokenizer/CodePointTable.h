// A value for each code point. Private to this folder.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace lmc {

/// Blocks of 256 code points; those without values of their own share one.
template <typename Value> class CodePointTable {
public:
  explicit CodePointTable(Value otherwise) { blocks.emplace_back().fill(otherwise); }

  /// point: below 0x110000.
  void set(char32_t point, Value value) {
    uint16_t &block = blockOf[point >> 8];
    if (block == 0) {
      block = uint16_t(blocks.size());
      blocks.push_back(Block(blocks[0]));
    }
    blocks[block][point & 255] = value;
  }
  Value operator[](char32_t point) const { return blocks[blockOf[point >> 8]][point & 255]; }

private:
  using Block = std::array<Value, 256>;
  std::array<uint16_t, 0x1100> blockOf{};
  std::vector<Block> blocks;
};

} // namespace lmc
