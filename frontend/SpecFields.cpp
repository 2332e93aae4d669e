#include "frontend/SpecFields.h"

#include "runtime/NearestWord.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lmc {

void SpecFields::add(const std::string &key, Value value) {
  int line = value.line;
  if (!values.emplace(key, std::move(value)).second)
    fail("{}:{}: '{}' is given twice", file, line, key);
}

void SpecFields::checkKnown(std::span<const std::string_view> known) const {
  const std::pair<const std::string, Value> *first = nullptr;
  for (const auto &entry : values)
    if (std::find(known.begin(), known.end(), entry.first) == known.end() &&
        (!first || entry.second.line < first->second.line))
      first = &entry;
  if (first)
    bad(first->first, "unknown key '{}'{}", first->first, nearestWord(first->first, known));
}

const SpecFields::Value *SpecFields::find(std::string_view key) const {
  auto it = values.find(key);
  return it == values.end() ? nullptr : &it->second;
}

bool SpecFields::has(std::string_view key) const {
  const Value *value = find(key);
  return value && value->kind != Value::Kind::Null;
}

std::string SpecFields::where(std::string_view key) const {
  const Value *value = find(key);
  return value && value->line ? fmt::format("{}:{}", file, value->line) : file;
}

const SpecFields::Value *SpecFields::require(std::string_view key, bool optional) const {
  if (has(key))
    return find(key);
  if (!optional)
    fail("{}: '{}' is missing", where(key), key);
  return nullptr;
}

void SpecFields::wrong(std::string_view key, const Value &value, std::string_view expected) const {
  if (value.kind == Value::Kind::Nested)
    bad(key, "{}: expected {}, got a list or a mapping", key, expected);
  std::string shown = value.text.substr(0, 40);
  bad(key, "{}: expected {}, got '{}'", key, expected, shown);
}

int64_t SpecFields::count(std::string_view key, int64_t low, int64_t high,
                          std::optional<int64_t> fallback) const {
  const Value *value = require(key, fallback.has_value());
  if (!value)
    return *fallback;
  int64_t number = 0;
  const char *begin = value->text.data(), *end = begin + value->text.size();
  auto [stop, code] = std::from_chars(begin, end, number);
  if (value->kind != Value::Kind::Plain || code != std::errc() || stop != end || number < low ||
      number > high)
    wrong(key, *value, fmt::format("a whole number in [{}, {}]", low, high));
  return number;
}

double SpecFields::positive(std::string_view key, std::optional<double> fallback) const {
  const Value *value = require(key, fallback.has_value());
  if (!value)
    return *fallback;
  double number = 0;
  const char *begin = value->text.data(), *end = begin + value->text.size();
  auto [stop, code] = std::from_chars(begin, end, number);
  if (value->kind != Value::Kind::Plain || code != std::errc() || stop != end ||
      !std::isfinite(number) || number <= 0)
    wrong(key, *value, "a number > 0");
  return number;
}

bool SpecFields::boolean(std::string_view key, bool fallback) const {
  const Value *value = require(key, true);
  if (!value)
    return fallback;
  if (value->kind != Value::Kind::Plain || (value->text != "true" && value->text != "false"))
    wrong(key, *value, "true or false");
  return value->text == "true";
}

std::string SpecFields::text(std::string_view key, std::optional<std::string> fallback) const {
  const Value *value = require(key, fallback.has_value());
  if (!value)
    return *fallback;
  if (value->kind == Value::Kind::Nested)
    wrong(key, *value, "a word");
  return value->text;
}

} // namespace lmc
