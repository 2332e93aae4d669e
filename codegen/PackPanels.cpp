#include "codegen/PackPanels.h"

#include "runtime/Walk.h"

#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace lmc {
namespace {

template <typename Word>
void packPanel(const Word *plain, bool transposed, const lm::Panels &p, int64_t number,
               Word *panel) {
  int64_t first = number * p.width, columns = std::min(p.width, p.columns - first);
  std::fill_n(panel, p.panelSize(), Word(0));
  if (!transposed) {
    for (int64_t k = 0; k < p.depth; ++k)
      std::copy_n(plain + k * p.columns + first, columns, panel + k * p.width);
    return;
  }
  constexpr int64_t kBlock = 16; // of each column at a time: a cache line of f32
  for (int64_t k0 = 0; k0 < p.depth; k0 += kBlock)
    for (int64_t j = 0; j < columns; ++j) {
      const Word *column = plain + (first + j) * p.depth;
      for (int64_t k = k0; k < std::min(k0 + kBlock, p.depth); ++k)
        panel[k * p.width + j] = column[k];
    }
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
