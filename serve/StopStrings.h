// Finds stop strings in a stream of text without ever showing a part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lmc {

class StopStrings {
public:
  explicit StopStrings(std::vector<std::string> stops) : stops(std::move(stops)) {}

  /// Takes new text and returns what can be shown: everything that can no longer become a stop
  /// string.
  std::string push(std::string_view text);
  /// The text has ended: what was held back is shown after all.
  std::string flush();
  /// A stop string was found; its text and all after it is dropped.
  bool found() const { return hit; }

private:
  std::vector<std::string> stops;
  std::string held;
  bool hit = false;
};

} // namespace lmc
