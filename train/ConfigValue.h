// One value of a config and the strict readings of it: number, whole number, word, existing path.
#pragma once

#include "runtime/Error.h"
#include "train/ConfigSource.h"

#include <charconv>
#include <limits>

namespace lmc {

/// A value of the file (or a default), and how to complain about it.
struct ConfigValue {
  const ConfigSource &source;
  std::string_view key;
  YAML::Node node;

  /// "train.yaml:14: optimizer.lr: <text>"
  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> text, Args &&...args) const {
    fail("{}: {}: {}", source.locate(key, node), key,
         fmt::format(text, std::forward<Args>(args)...));
  }

  /// What the file says, shortened, for "expected ..., got ...".
  std::string shown() const;

  /// The text of a plain value; bad() where it is a list, a mapping or empty.
  const std::string &scalar(std::string_view expected) const;
};

/// An interval with open or closed ends, shown as "number > 0" or "number in [0, 1)".
struct Range {
  double low, high;
  bool lowOpen, highOpen;

  static Range positive() { return {0, std::numeric_limits<double>::infinity(), true, true}; }
  static Range atLeastZero() { return {0, std::numeric_limits<double>::infinity(), false, true}; }
  static Range unit() { return {0, 1, false, true}; } // [0, 1)
  bool contains(double x) const;
  std::string text() const;
};

/// A finite decimal number within the range.
double readNumber(const ConfigValue &value, const Range &range);

/// A decimal whole number in [low, high].
template <typename Int> Int readInteger(const ConfigValue &value, Int low, Int high) {
  bool bounded = high != std::numeric_limits<Int>::max();
  std::string expected = bounded ? fmt::format("a whole number in [{}, {}]", low, high)
                                 : fmt::format("a whole number >= {}", low);
  const std::string &text = value.scalar(expected);
  Int number = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < low || number > high)
    value.bad("expected {}, got {}", expected, value.shown());
  return number;
}

/// An absolute path that exists; a regular file must not be empty.
std::filesystem::path readExistingPath(const ConfigValue &value, std::string_view expected,
                                       bool folderAllowed);

} // namespace lmc
