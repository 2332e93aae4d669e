#include "train/ConfigValue.h"

#include <cmath>

namespace lmc {

std::string ConfigValue::shown() const {
  if (!node.IsScalar())
    return node.IsMap() ? "a mapping" : "a list";
  const std::string &text = node.Scalar();
  return text.size() <= 60 ? fmt::format("'{}'", text) : fmt::format("'{}...'", text.substr(0, 60));
}

const std::string &ConfigValue::scalar(std::string_view expected) const {
  if (!node.IsScalar() || node.Scalar().empty())
    bad("expected {}, got {}", expected, shown());
  return node.Scalar();
}

bool Range::contains(double x) const {
  return (lowOpen ? x > low : x >= low) && (highOpen ? x < high : x <= high);
}

std::string Range::text() const {
  if (std::isinf(high))
    return fmt::format("number {} {}", lowOpen ? ">" : ">=", low);
  return fmt::format("number in {}{}, {}{}", lowOpen ? '(' : '[', low, high, highOpen ? ')' : ']');
}

double readNumber(const ConfigValue &value, const Range &range) {
  const std::string &text = value.scalar("a " + range.text());
  double number = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(number) ||
      !range.contains(number))
    value.bad("expected a {}, got {}", range.text(), value.shown());
  return number;
}

std::filesystem::path readExistingPath(const ConfigValue &value, std::string_view expected,
                                       bool folderAllowed) {
  namespace fs = std::filesystem;
  fs::path path = value.source.resolve(value.scalar(expected));
  std::error_code code;
  fs::file_status status = fs::status(path, code);
  if (!fs::exists(status))
    value.bad("'{}' does not exist", path.string());
  if (fs::is_directory(status)) {
    if (!folderAllowed)
      value.bad("'{}' is a folder, expected {}", path.string(), expected);
  } else if (fs::is_regular_file(status) && fs::file_size(path, code) == 0) {
    value.bad("'{}' is empty", path.string());
  }
  return path;
}

} // namespace lmc
