// JSON of files from outside.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

namespace lmc {

/// The document, in time and memory that are linear in its length. Errors: an object that has a member
/// twice, more than `deepest` open arrays and objects (readers recurse); nlohmann::json::parse_error for
/// what is not JSON (RFC 8259), nlohmann::json::out_of_range for a number that no f64 holds.
nlohmann::json parseStrictJson(std::string_view text, size_t deepest);

} // namespace lmc
