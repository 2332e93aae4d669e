// Typed access to the members of a tokenizer.json; each failure is an Error that names the member.
// Private to this folder.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace lmc::tokenizer_json {

using Json = nlohmann::json;

/// Bounded nesting, as the readers recurse.
Json parseJson(std::string_view text);

/// A member or null, as both mean "not there".
const Json &member(const Json &node, const char *name);

std::string text(const Json &node, const char *name);
bool flag(const Json &node, const char *name, bool byDefault);
const Json &array(const Json &node, const char *name);

/// what: for the error.
int32_t tokenId(const Json &value, std::string_view what);

} // namespace lmc::tokenizer_json
