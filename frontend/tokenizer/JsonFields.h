// Typed access to the members of a tokenizer.json; each failure is an Error that names the place in
// the file. Private to this folder.
#pragma once

#include "frontend/json/StrictJson.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace lmc::tokenizer_json {

using Json = nlohmann::json;

inline Json parseJson(std::string_view text) { return parseStrictJson(text, 32); }

/// A value and where it stands ("pre_tokenizer.pretokenizers[1].behavior").
class Field {
public:
  explicit Field(const Json &json, std::string path = "") : json(&json), path(std::move(path)) {}

  /// A member or null, as both mean "not there".
  Field operator[](const char *name) const;
  Field operator[](size_t index) const;

  const Json &value() const { return *json; }
  bool isNull() const { return json->is_null(); }
  bool isObject() const { return json->is_object(); }
  const std::string &where() const { return path; }

  std::string text() const;
  std::string nonEmptyText() const;
  bool flag() const;
  bool flag(bool byDefault) const { return isNull() ? byDefault : flag(); }
  size_t count() const; // an integer from 0 to 2^22 - 1
  int32_t id() const;   // of a token; far above any number of tokens, tables would be huge
  double number() const;
  /// The number of elements; fails if the value is no array.
  size_t arraySize() const;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args &&...args) const {
    std::string message = fmt::format(format, std::forward<Args>(args)...);
    lmc::fail("{}{}{}", path, path.empty() ? "" : ": ", message);
  }

private:
  [[noreturn]] void failKind(std::string_view expected) const;

  const Json *json;
  std::string path;
};

} // namespace lmc::tokenizer_json
