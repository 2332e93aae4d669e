#include "runtime/ByteSize.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lmc {
namespace {

struct Unit {
  std::string_view name;
  int64_t bytes;
};

constexpr Unit kUnits[] = {
    {"TiB", int64_t(1) << 40},
    {"GiB", int64_t(1) << 30},
    {"MiB", int64_t(1) << 20},
    {"KiB", int64_t(1) << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"B", 1},
};

} // namespace

std::optional<int64_t> parseByteSize(std::string_view text) {
  double number = 0;
  auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (code != std::errc() || !std::isfinite(number))
    return std::nullopt;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  int64_t scale = unit.empty() ? 1 : 0;
  for (const Unit &known : kUnits)
    if (known.name == unit)
      scale = known.bytes;
  double bytes = std::floor(number * static_cast<double>(scale));
  if (!(bytes >= 1 && bytes <= 0x1p62) || (scale == 1 && bytes != number))
    return std::nullopt;
  return static_cast<int64_t>(bytes);
}

std::string formatByteSize(int64_t bytes) {
  for (const Unit &unit : kUnits)
    if (unit.name.size() == 3 && bytes % unit.bytes == 0)
      return std::to_string(bytes / unit.bytes) + std::string(unit.name);
  return std::to_string(bytes);
}

} // namespace lmc
