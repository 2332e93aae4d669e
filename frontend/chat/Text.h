// Python's string operations, by characters of UTF-8, and how values are written out.
#pragma once

#include "frontend/chat/Value.h"

#include <string>
#include <string_view>
#include <vector>

namespace lmc::chat {

/// One view a code point; ill-formed bytes count as one each.
std::vector<std::string_view> characters(std::string_view text);
size_t characterCount(std::string_view text);

/// `set`: the characters to take off; white space where it is null.
enum class Side { Left, Right, Both };
std::string_view strip(std::string_view text, Side side, const std::string *set = nullptr);
bool isSpace(char32_t point);

/// At each separator, or at runs of white space where it is null; `most` cuts, all where negative.
/// Error for an empty separator.
std::vector<Value> split(std::string_view text, const std::string *separator, int64_t most);
/// As split, but the cuts are the last ones.
std::vector<Value> splitRight(std::string_view text, const std::string *separator, int64_t most);
std::vector<Value> splitLines(std::string_view text, bool keepEnds);

/// `most` replacements, all where negative.
std::string replace(std::string_view text, const std::string &from, const std::string &to,
                    int64_t most, Budget &budget);

/// Simple case mappings of Unicode: one character becomes one.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title: a letter behind a letter is small. The filter `title` has rules of its own.
std::string title(std::string_view text);
std::string titleOfFilter(std::string_view text);

/// Whether there are characters and all of them are of a kind.
bool allSpace(std::string_view text);
bool allDigits(std::string_view text);
bool allLetters(std::string_view text, bool orDigits);
bool allUpper(std::string_view text);
bool allLower(std::string_view text);

/// What `{{ value }}` prints, and Python's str().
std::string str(const Value &value, Budget &budget);
/// Python's shortest form that reads back: "1.0", "1e-07".
std::string floatText(double value);

/// json.dumps; `indent` as its text ("" and no line ends where null). Error for what JSON lacks.
struct JsonStyle {
  const std::string *indent = nullptr;
  std::string itemSeparator = ", ", keySeparator = ": ";
  bool sortKeys = false, ascii = false;
};
std::string toJson(const Value &value, const JsonStyle &style, Budget &budget);

/// Keeps the order of keys. Error where the text is no JSON, nests deeper than maxNesting, or has an
/// integer beyond 64 bits.
Value parseJson(std::string_view text);

} // namespace lmc::chat
