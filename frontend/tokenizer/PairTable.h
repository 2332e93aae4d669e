// Pairs of ids to values: open addressing, as the inner loop of byte pair encoding looks up little
// else. Private to this folder.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lmc {

template <typename Value> class PairTable {
public:
  /// numPairs: the most that will be inserted.
  explicit PairTable(std::size_t numPairs = 0)
      : entries(std::bit_ceil(2 * numPairs + 2)), shift(64 - std::countr_zero(entries.size())) {}

  /// Replaces what the pair had.
  void insert(int32_t left, int32_t right, Value value) {
    entries[placeOf(key(left, right))] = {key(left, right), value};
  }
  /// nullptr if the pair was not inserted.
  const Value *find(int32_t left, int32_t right) const {
    const Entry &entry = entries[placeOf(key(left, right))];
    return entry.key == none ? nullptr : &entry.value;
  }

private:
  static constexpr uint64_t none = UINT64_MAX; // ids are not negative
  struct Entry {
    uint64_t key = none;
    Value value{};
  };
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }
  std::size_t placeOf(uint64_t key) const {
    std::size_t place = std::size_t((key ^ key >> 29) * 0x9E3779B97F4A7C15u >> shift);
    while (entries[place].key != none && entries[place].key != key)
      place = (place + 1) & (entries.size() - 1);
    return place;
  }

  std::vector<Entry> entries;
  int shift;
};

} // namespace lmc
