#include "serve/StopStrings.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace lmc {

std::string StopStrings::push(std::string_view text) {
  if (hit)
    return {};
  held += text;
  // The stop string that is complete first ends the text, whatever pieces it comes in; of two that
  // are complete together, the one that begins first.
  size_t begin = std::string::npos, end = std::string::npos;
  for (const std::string &stop : stops)
    if (size_t at = held.find(stop); at != std::string::npos)
      if (std::pair(at + stop.size(), at) < std::pair(end, begin))
        std::tie(end, begin) = std::pair(at + stop.size(), at);
  if (begin != std::string::npos) {
    hit = true;
    held.resize(begin);
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

std::string StopStrings::flush() { return std::exchange(held, {}); }

} // namespace lmc
