#include "frontend/tokenizer/JsonFields.h"

namespace lmc::tokenizer_json {

Field Field::operator[](const char *name) const {
  static const Json null;
  std::string inner = path.empty() ? name : path + "." + name;
  if (!json->is_object())
    return Field(null, std::move(inner));
  auto found = json->find(name);
  return Field(found == json->end() ? null : *found, std::move(inner));
}

Field Field::operator[](size_t index) const {
  return Field((*json)[index], fmt::format("{}[{}]", path, index));
}

void Field::failKind(std::string_view expected) const {
  if (isNull())
    fail("is missing (must be {})", expected);
  fail("must be {}, got {}", expected,
       json->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
}

std::string Field::text() const {
  if (!json->is_string())
    failKind("a string");
  return json->get<std::string>();
}

std::string Field::nonEmptyText() const {
  std::string result = text();
  if (result.empty())
    failKind("a string that is not empty");
  return result;
}

bool Field::flag() const {
  if (!json->is_boolean())
    failKind("true or false");
  return json->get<bool>();
}

size_t Field::count() const {
  if (!json->is_number_unsigned() || json->get<uint64_t>() >= 1 << 22)
    failKind("an integer from 0 to 2^22 - 1");
  return json->get<size_t>();
}

int32_t Field::id() const { return int32_t(count()); }

double Field::number() const {
  if (!json->is_number())
    failKind("a number");
  return json->get<double>();
}

size_t Field::arraySize() const {
  if (!json->is_array())
    failKind("an array");
  return json->size();
}

} // namespace lmc::tokenizer_json
