// The merges of byte pair encoding by their two ids. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lmc {

/// Open addressing within one row for each left id: encoding looks up little else, and the rows of the
/// few ids that texts are full of stay in the nearest caches, where one table of all pairs does not.
class MergeTable {
public:
  struct Result {
    uint32_t rank; // lower ones first
    int32_t id;
  };
  struct Merge {
    int32_t left, right; // not negative
    Result result;
  };

  /// A pair that is listed twice keeps its last result.
  explicit MergeTable(std::span<const Merge> merges = {}) {
    for (const Merge &merge : merges)
      if (size_t(merge.left) + 2 > rows.size())
        rows.resize(size_t(merge.left) + 2);
    for (const Merge &merge : merges)
      ++rows[merge.left + 1].begin;
    for (size_t left = 1; left < rows.size(); ++left) {
      uint32_t count = rows[left].begin;
      rows[left].begin = rows[left - 1].begin + (count ? count + count / 3 + 1 : 0); // one is free
    }
    entries.resize(rows.empty() ? 0 : rows.back().begin);
    for (const Merge &merge : merges) {
      uint32_t hash = hashOf(merge.right);
      entries[placeOf(merge.left, hash, merge.right)] = {merge.right, merge.result};
      rows[merge.left].filter |= bitOf(hash);
    }
  }

  /// nullptr if the two do not merge.
  const Result *find(int32_t left, int32_t right) const {
    uint32_t hash = hashOf(right);
    if (size_t(left) >= rows.size() || !(rows[left].filter & bitOf(hash)))
      return nullptr;
    const Entry &entry = entries[placeOf(left, hash, right)];
    return entry.right < 0 ? nullptr : &entry.result;
  }

private:
  /// Its entries end where the next row begins. Most pairs do not merge, which the filter, one bit for
  /// each right id, mostly tells without a look at them.
  struct Row {
    uint32_t begin = 0, filter = 0;
  };
  struct Entry {
    int32_t right = -1; // free
    Result result{};
  };
  static uint32_t hashOf(int32_t right) { return uint32_t(right) * 0x9E3779B9u; }
  static uint32_t bitOf(uint32_t hash) { return 1u << (hash >> 13 & 31); }
  size_t placeOf(int32_t left, uint32_t hash, int32_t right) const {
    size_t begin = rows[left].begin, end = rows[left + 1].begin;
    size_t place = begin + (uint64_t(hash) * (end - begin) >> 32);
    while (entries[place].right >= 0 && entries[place].right != right)
      place = place + 1 < end ? place + 1 : begin;
    return place;
  }

  std::vector<Row> rows; // by left id, and one more
  std::vector<Entry> entries;
};

} // namespace lmc
