// The pre-tokenizer patterns that published models use, and scanners for them that do what PCRE2
// does with the pattern, several times faster. Private to this folder.
#pragma once

#include <cstddef>
#include <string_view>

namespace lmc {

/// GPT-2's pattern: contractions, words, numbers, punctuation, each with one space before it, and
/// runs of white space.
extern const std::string_view gpt2Pattern;
/// GPT-4's (cl100k) and Llama 3's: digits by threes, any one character before a word.
extern const std::string_view llama3Pattern;
/// Qwen 2's and 3's: the same with single digits.
extern const std::string_view qwen2Pattern;
/// GPT-4o's (o200k) and Llama 4's: words are cut where capitals begin.
extern const std::string_view gpt4oPattern;

/// The end of the match that begins at `at`; each of these patterns matches at every place of a
/// valid UTF-8 text.
using MatchScanner = size_t (*)(std::string_view text, size_t at);

/// nullptr if the pattern, as written in a file, is none of the published ones.
MatchScanner scannerOf(std::string_view pattern);

} // namespace lmc
