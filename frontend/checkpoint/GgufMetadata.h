// The key-value part of a GGUF file.
//   Source: ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace lmc {

struct GgufArray;

/// A value of any type; index() is the type's number in the file.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, GgufArray, uint64_t, int64_t, double>;

/// Elements of one type; index() of `elements` is its number.
struct GgufArray {
  std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
               std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
               std::vector<float>, std::vector<bool>, std::vector<std::string>,
               std::vector<GgufArray>, std::vector<uint64_t>, std::vector<int64_t>,
               std::vector<double>>
      elements;

  size_t size() const;
  bool operator==(const GgufArray &) const = default;
};

/// "u32", "string", "array of f32".
std::string typeText(const GgufValue &value);
/// As JSON text. Of an array at most `shown` elements, then how many there are in all:
/// "[1, 2, ... 512 in all]". 0: all of them.
std::string valueText(const GgufValue &value, size_t shown);

/// The shortest decimal that `value` is the nearest f32 of: what a writer of f32 meant.
double meantNumber(float value);

/// Keys in the order of the file. The readers convert between number types where nothing is lost,
/// and throw Error with source, key and what was expected.
class GgufMetadata {
public:
  /// How errors call the file.
  explicit GgufMetadata(std::string source) : source(std::move(source)) {}

  struct Entry {
    std::string key;
    GgufValue value;
  };
  const std::vector<Entry> &entries() const { return all; }
  /// Null if there is none.
  const GgufValue *find(std::string_view key) const;
  /// Adds a key, or replaces its value.
  void set(std::string key, GgufValue value);

  /// A whole number of any type in [low, high]. Without a fallback the key is required, here and
  /// below.
  int64_t integer(std::string_view key, int64_t low, int64_t high,
                  std::optional<int64_t> fallback = {}) const;
  /// A finite number. An f32 counts as its meantNumber: 1e-5, not 9.99999975e-06.
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  bool boolean(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string text(std::string_view key, std::optional<std::string> fallback = {}) const;
  /// Empty where the key is left out.
  std::vector<std::string> texts(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;

  /// Throws "'model.gguf': key 'llama.block_count' <text>".
  [[noreturn]] void bad(std::string_view key, std::string_view text) const;

private:
  const GgufValue *lookUp(std::string_view key, bool optional) const;
  [[noreturn]] void wrong(std::string_view key, const GgufValue &value,
                          std::string_view expected) const;

  std::string source;
  std::vector<Entry> all;
  std::unordered_map<std::string, size_t> index;
};

} // namespace lmc
