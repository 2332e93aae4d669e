// The merges of byte pair encoding by their two ids. Private to this folder.
#pragma once

#include <algorithm>
#include <bit>
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
    size_t numRows = 0;
    for (const Merge &merge : merges)
      numRows = std::max(numRows, size_t(merge.left) + 1);
    std::vector<uint32_t> counts(numRows);
    for (const Merge &merge : merges)
      ++counts[merge.left];
    entries.resize(1); // of all ids without merges
    for (uint32_t count : counts) {
      size_t size = count == 0 ? 1 : std::bit_ceil(count + count / 2 + 1); // one is always free
      rows.push_back({count == 0 ? 0 : uint32_t(entries.size()), uint32_t(size - 1)});
      entries.resize(entries.size() + (count == 0 ? 0 : size));
    }
    for (const Merge &merge : merges)
      entries[placeOf(rows[merge.left], merge.right)] = {merge.right, merge.result};
  }

  /// nullptr if the two do not merge.
  const Result *find(int32_t left, int32_t right) const {
    if (size_t(left) >= rows.size())
      return nullptr;
    const Entry &entry = entries[placeOf(rows[left], right)];
    return entry.right < 0 ? nullptr : &entry.result;
  }

private:
  struct Row {
    uint32_t begin, mask; // entries[begin .. begin + mask]
  };
  struct Entry {
    int32_t right = -1; // free
    Result result{};
  };
  size_t placeOf(Row row, int32_t right) const {
    uint32_t hash = uint32_t(right) * 0x9E3779B9u;
    for (uint32_t place = hash >> 15;; ++place) {
      const Entry &entry = entries[row.begin + (place & row.mask)];
      if (entry.right < 0 || entry.right == right)
        return row.begin + (place & row.mask);
    }
  }

  std::vector<Row> rows; // by left id
  std::vector<Entry> entries;
};

} // namespace lmc
