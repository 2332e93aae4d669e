#include "serve/StopStrings.h"

#include <algorithm>
#include <utility>

namespace lmc {

std::string StopStrings::push(std::string_view text) {
  if (hit)
    return {};
  held += text;
  size_t first = std::string::npos;
  for (const std::string &stop : stops)
    first = std::min(first, held.find(stop));
  if (first != std::string::npos) {
    hit = true;
    held.resize(first);
    return flush();
  }
  // The longest end of the text that begins some stop string stays back.
  size_t keep = 0;
  for (const std::string &stop : stops)
    for (size_t n = std::min(stop.size() - 1, held.size()); n > keep; --n)
      if (held.ends_with(std::string_view(stop).substr(0, n)))
        keep = n;
  std::string shown = held.substr(0, held.size() - keep);
  held.erase(0, shown.size());
  return shown;
}

std::string StopStrings::flush() {
  return std::exchange(held, {});
}

} // namespace lmc
