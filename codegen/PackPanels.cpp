#include "codegen/PackPanels.h"

#include "runtime/Walk.h"

#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace lmc {
namespace {

/// Eight rows of eight words, `from` apart, become eight columns, `to` apart.
void turnSquare(const uint16_t *plain, int64_t from, uint16_t *turned, int64_t to) {
  using Eight = uint16_t __attribute__((vector_size(16)));
  Eight rows[8], next[8];
  for (int i = 0; i < 8; ++i)
    std::memcpy(&rows[i], plain + i * from, sizeof rows[i]);
  for (int round = 0; round < 3;
       ++round) { // each makes one bit of a row's number one of the column's
    for (int i = 0; i < 4; ++i) {
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    std::copy(next, next + 8, rows);
  }
  for (int i = 0; i < 8; ++i)
    std::memcpy(turned + i * to, &rows[i], sizeof rows[i]);
}

/// Columns of `plain`, `depth` apart, become columns of a panel that is `width` wide.
template <typename Word>
void turnColumns(const Word *plain, int64_t depth, int64_t columns, Word *panel, int64_t width) {
  constexpr int64_t line = 64 / sizeof(Word); // of each column at a time
  for (int64_t k0 = 0; k0 < depth; k0 += line) {
    int64_t end = std::min(k0 + line, depth), j = 0;
    // Word by word, those of 16 bits take longer than memory does.
    if constexpr (sizeof(Word) == 2)
      for (; j + 8 <= columns && k0 + line <= depth; j += 8)
        for (int64_t k = k0; k < end; k += 8)
          turnSquare(plain + j * depth + k, depth, panel + k * width + j, width);
    for (; j < columns; ++j)
      for (int64_t k = k0; k < end; ++k)
        panel[k * width + j] = plain[j * depth + k];
  }
}

template <typename Word>
void packPanel(const Word *plain, bool transposed, const lm::Panels &p, int64_t number,
               Word *panel) {
  int64_t first = number * p.width, columns = std::min(p.width, p.columns - first);
  std::fill_n(panel, p.panelSize(),
              Word(0)); // padding; and it brings the panel into the cache, faster
  if (transposed)
    return turnColumns(plain + first * p.depth, p.depth, columns, panel, p.width);
  for (int64_t k = 0; k < p.depth; ++k)
    std::copy_n(plain + k * p.columns + first, columns, panel + k * p.width);
}

template <typename Word>
void packAll(const void *plain, bool transposed, const lm::Panels &panels, void *packed,
             Team &team) {
  WalkLaunch launch{panels.count(), 1, 0};
  Walk(team, 1).run({&launch, 1}, [&](int, size_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      packPanel(static_cast<const Word *>(plain), transposed, panels, i,
                static_cast<Word *>(packed) + i * panels.panelSize());
  });
}

} // namespace

void packPanels(std::span<const std::byte> plain, bool transposed, const lm::Panels &panels,
                size_t elementBytes, std::span<std::byte> packed, Team &team) {
  auto pack = [&]<typename Word>(Word) {
    packAll<Word>(plain.data(), transposed, panels, packed.data(), team);
  };
  switch (elementBytes) {
  case 1:
    return pack(uint8_t());
  case 2:
    return pack(uint16_t());
  case 4:
    return pack(uint32_t());
  case 8:
    return pack(uint64_t());
  }
  llvm_unreachable("an element of 1, 2, 4 or 8 bytes");
}

} // namespace lmc
