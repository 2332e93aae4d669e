#include "frontend/checkpoint/GgufMetadata.h"

#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>

namespace lmc {
namespace {

constexpr const char *typeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                     "bool", "string", "array", "u64", "i64", "f64"};
static_assert(std::size(typeNames) == std::variant_size_v<GgufValue>);

template <typename T> constexpr bool isNumber = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

template <typename T> double asDouble(T value) {
  if constexpr (std::is_same_v<T, float>)
    return meantNumber(value);
  else
    return double(value);
}

template <typename T> std::optional<int64_t> asInteger(T value) {
  if constexpr (std::is_integral_v<T>)
    return std::in_range<int64_t>(value) ? std::optional(int64_t(value)) : std::nullopt;
  else
    return std::nullopt;
}

std::string elementText(const GgufArray &array, size_t shown);

template <typename T> std::string scalarText(const T &value) {
  if constexpr (std::is_same_v<T, GgufArray>)
    return elementText(value, 0);
  else if constexpr (std::is_same_v<T, std::string>)
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  else
    return fmt::format("{}", value);
}

std::string elementText(const GgufArray &array, size_t shown) {
  return std::visit(
      [&](const auto &values) {
        std::string text = "[";
        size_t count = shown ? std::min(shown, values.size()) : values.size();
        for (size_t i = 0; i < count; ++i) {
          typename std::decay_t<decltype(values)>::value_type value = values[i];
          text += (i ? ", " : "") + scalarText(value);
        }
        if (count < values.size())
          text += fmt::format(", ... {} in all", values.size());
        return text + "]";
      },
      array.elements);
}

/// Elements of an array by `convert`, which gives nullopt for what is not wanted.
template <typename Result, typename Convert>
std::optional<std::vector<Result>> convertAll(const GgufValue &value, Convert convert) {
  const auto *array = std::get_if<GgufArray>(&value);
  if (!array)
    return std::nullopt;
  return std::visit(
      [&](const auto &values) -> std::optional<std::vector<Result>> {
        std::vector<Result> result;
        result.reserve(values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          typename std::decay_t<decltype(values)>::value_type element = values[i];
          std::optional<Result> converted = convert(element);
          if (!converted)
            return std::nullopt;
          result.push_back(std::move(*converted));
        }
        return result;
      },
      array->elements);
}

} // namespace

double meantNumber(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

size_t GgufArray::size() const {
  return std::visit([](const auto &values) { return values.size(); }, elements);
}

std::string typeText(const GgufValue &value) {
  if (const auto *array = std::get_if<GgufArray>(&value))
    return fmt::format("array of {}", typeNames[array->elements.index()]);
  return typeNames[value.index()];
}

std::string valueText(const GgufValue &value, size_t shown) {
  if (const auto *array = std::get_if<GgufArray>(&value))
    return elementText(*array, shown);
  return std::visit([](const auto &scalar) { return scalarText(scalar); }, value);
}

const GgufValue *GgufMetadata::find(std::string_view key) const {
  auto found = index.find(std::string(key));
  return found == index.end() ? nullptr : &all[found->second].value;
}

void GgufMetadata::set(std::string key, GgufValue value) {
  auto [at, isNew] = index.emplace(key, all.size());
  if (isNew)
    all.push_back({std::move(key), std::move(value)});
  else
    all[at->second].value = std::move(value);
}

void GgufMetadata::bad(std::string_view key, std::string_view text) const {
  fail("'{}': key '{}' {}", source, key, text);
}

const GgufValue *GgufMetadata::lookUp(std::string_view key, bool optional) const {
  const GgufValue *value = find(key);
  if (!value && !optional)
    bad(key, "is missing");
  return value;
}

void GgufMetadata::wrong(std::string_view key, const GgufValue &value,
                         std::string_view expected) const {
  bad(key, fmt::format("is {} ({}), expected {}", valueText(value, 3).substr(0, 80),
                       typeText(value), expected));
}

int64_t GgufMetadata::integer(std::string_view key, int64_t low, int64_t high,
                              std::optional<int64_t> fallback) const {
  const GgufValue *value = lookUp(key, fallback.has_value());
  if (!value)
    return *fallback;
  auto number = std::visit(
      [](const auto &scalar) -> std::optional<int64_t> {
        if constexpr (isNumber<std::decay_t<decltype(scalar)>>)
          return asInteger(scalar);
        return std::nullopt;
      },
      *value);
  if (!number || *number < low || *number > high)
    wrong(key, *value, fmt::format("a whole number in [{}, {}]", low, high));
  return *number;
}

double GgufMetadata::number(std::string_view key, std::optional<double> fallback) const {
  const GgufValue *value = lookUp(key, fallback.has_value());
  if (!value)
    return *fallback;
  double number = std::visit(
      [](const auto &scalar) -> double {
        if constexpr (isNumber<std::decay_t<decltype(scalar)>>)
          return asDouble(scalar);
        return NAN;
      },
      *value);
  if (!std::isfinite(number))
    wrong(key, *value, "a number");
  return number;
}

bool GgufMetadata::boolean(std::string_view key, std::optional<bool> fallback) const {
  const GgufValue *value = lookUp(key, fallback.has_value());
  if (!value)
    return *fallback;
  if (const bool *found = std::get_if<bool>(value))
    return *found;
  wrong(key, *value, "a bool");
}

std::string GgufMetadata::text(std::string_view key, std::optional<std::string> fallback) const {
  const GgufValue *value = lookUp(key, fallback.has_value());
  if (!value)
    return *fallback;
  if (const auto *found = std::get_if<std::string>(value))
    return *found;
  wrong(key, *value, "a string");
}

std::vector<std::string> GgufMetadata::texts(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return {};
  auto result = convertAll<std::string>(*value, [](const auto &x) -> std::optional<std::string> {
    if constexpr (std::is_same_v<std::decay_t<decltype(x)>, std::string>)
      return x;
    return std::nullopt;
  });
  if (!result)
    wrong(key, *value, "an array of strings");
  return std::move(*result);
}

std::vector<double> GgufMetadata::numbers(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return {};
  auto result = convertAll<double>(*value, [](const auto &x) -> std::optional<double> {
    if constexpr (isNumber<std::decay_t<decltype(x)>>)
      return asDouble(x);
    return std::nullopt;
  });
  if (!result)
    wrong(key, *value, "an array of numbers");
  return std::move(*result);
}

std::vector<int64_t> GgufMetadata::integers(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return {};
  auto result = convertAll<int64_t>(*value, [](const auto &x) -> std::optional<int64_t> {
    if constexpr (isNumber<std::decay_t<decltype(x)>>)
      return asInteger(x);
    return std::nullopt;
  });
  if (!result)
    wrong(key, *value, "an array of whole numbers");
  return std::move(*result);
}

} // namespace lmc
