#include "runtime/NearestWord.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace lmc {
namespace {

/// Letters put in, left out, replaced, or swapped with their neighbour (optimal string alignment).
size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = std::min({above[j] + (a[i] != b[j]), row[j] + 1, above[j + 1] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
        row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
    before = std::exchange(above, row);
  }
  return above.back();
}

} // namespace

std::string nearestWord(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > 64) // nobody's typing slip; and the distance is quadratic
    return "";
  std::string_view best;
  size_t distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (std::string_view candidate : candidates)
    if (size_t d = editDistance(word, candidate); d < distance)
      distance = d, best = candidate;
  return best.empty() ? "" : fmt::format(", did you mean '{}'?", best);
}

} // namespace lmc
