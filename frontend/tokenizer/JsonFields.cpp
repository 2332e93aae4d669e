#include "frontend/tokenizer/JsonFields.h"

#include "runtime/Error.h"

namespace lmc::tokenizer_json {

Json parseJson(std::string_view text) {
  return Json::parse(text, [](int depth, Json::parse_event_t, Json &) {
    if (depth > 32)
      fail("JSON is nested deeper than 32 levels");
    return true;
  });
}

const Json &member(const Json &node, const char *name) {
  static const Json null;
  if (!node.is_object())
    return null;
  auto found = node.find(name);
  return found == node.end() ? null : *found;
}

std::string text(const Json &node, const char *name) {
  const Json &value = member(node, name);
  if (!value.is_string())
    fail("'{}' must be a string, got {}", name, value.dump().substr(0, 80));
  return value.get<std::string>();
}

bool flag(const Json &node, const char *name, bool byDefault) {
  const Json &value = member(node, name);
  if (value.is_null())
    return byDefault;
  if (!value.is_boolean())
    fail("'{}' must be true or false, got {}", name, value.dump().substr(0, 80));
  return value.get<bool>();
}

const Json &array(const Json &node, const char *name) {
  const Json &value = member(node, name);
  if (!value.is_array())
    fail("'{}' must be an array, got {}", name, value.dump().substr(0, 80));
  return value;
}

int32_t tokenId(const Json &value, std::string_view what) {
  // An id far above the number of tokens would make the tables huge.
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() >= 1 << 22)
    fail("id of {} must be an integer in [0, {}), got {}", what, 1 << 22,
         value.dump().substr(0, 80));
  return value.get<int32_t>();
}

} // namespace lmc::tokenizer_json
