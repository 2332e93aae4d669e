// What a misspelt key was meant to be, for the end of an error message.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lmc {

/// ", did you mean 'x'?" for the candidate nearest to `word` by edit distance, or "" where none is
/// near: more than a third of its letters differ.
std::string nearestWord(std::string_view word, std::span<const std::string_view> candidates);

} // namespace lmc
