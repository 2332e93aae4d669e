// UTF-8 as the Unicode Standard defines it (table 3-7: no surrogates, no overlong forms).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lmc {

/// Bytes of the well-formed character at the start of text; 0 if there is none.
size_t utf8Length(std::string_view text);

/// The character's code point; length from utf8Length, > 0.
char32_t utf8CodePoint(std::string_view text, size_t length);

void appendUtf8(std::string &text, char32_t codePoint);

/// Length of the longest valid prefix.
size_t validUtf8Prefix(std::string_view text);

/// How many bytes at the end start a character that more bytes could complete (0 to 3).
size_t unfinishedUtf8Suffix(std::string_view text);

/// Each maximal ill-formed part becomes U+FFFD (Unicode Standard 3.9, as WHATWG and Rust do).
std::string toValidUtf8(std::string_view text);

} // namespace lmc
