#include "frontend/checkpoint/StackedNames.h"

namespace lmc {

static constexpr std::string_view place = ".*.";

std::vector<std::string> storedNames(const std::string &name, std::span<const int64_t> shape) {
  size_t at = name.find(place);
  if (at == std::string::npos)
    return {name};
  std::vector<std::string> names;
  for (int64_t i = 0; i < shape[0]; ++i)
    names.push_back(name.substr(0, at + 1) + std::to_string(i) + name.substr(at + 2));
  return names;
}

std::span<const int64_t> storedShape(const std::string &name, std::span<const int64_t> shape) {
  return name.find(place) == std::string::npos ? shape : shape.subspan(1);
}

} // namespace lmc
