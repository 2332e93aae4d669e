// The top level of a model spec, YAML or JSON: values by key with their lines, read strictly.
#pragma once

#include "runtime/Error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lmc {

class SpecFields {
public:
  struct Value {
    enum class Kind { Null, Plain, Quoted, Nested };
    Kind kind;
    std::string text; ///< of Plain (numbers, booleans, YAML words) and Quoted
    int line;         ///< counting from 1; 0: unknown
  };

  /// `file` is how errors call it.
  explicit SpecFields(std::string file) : file(std::move(file)) {}

  /// Throws Error where the key was given before.
  void add(const std::string &key, Value value);
  /// Throws Error for the first key in the file that is not in `known`, with the nearest known one.
  void checkKnown(std::span<const std::string_view> known) const;

  /// Given and not null.
  bool has(std::string_view key) const;
  const Value *find(std::string_view key) const;

  /// A whole number in [low, high]; without a fallback the key is required. All readers throw
  /// Error.
  int64_t count(std::string_view key, int64_t low, int64_t high,
                std::optional<int64_t> fallback = {}) const;
  /// A finite number > 0.
  double positive(std::string_view key, std::optional<double> fallback = {}) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::optional<std::string> fallback = {}) const;

  /// "gpt2.yaml:14", of a value; the file where the key is left out.
  std::string where(std::string_view key) const;
  /// Throws "gpt2.yaml:14: <text>".
  template <typename... Args>
  [[noreturn]] void bad(std::string_view key, fmt::format_string<Args...> message,
                        Args &&...args) const {
    fail("{}: {}", where(key), fmt::format(message, std::forward<Args>(args)...));
  }

private:
  /// The value, or null where the key is left out and `optional`.
  const Value *require(std::string_view key, bool optional) const;
  [[noreturn]] void wrong(std::string_view key, const Value &value,
                          std::string_view expected) const;

  std::string file;
  std::map<std::string, Value, std::less<>> values;
};

} // namespace lmc
