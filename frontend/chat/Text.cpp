#include "frontend/chat/Text.h"

#include "frontend/tokenizer/Utf8.h"

#include <algorithm>
#include <cmath>

#include <utf8proc.h>

namespace lmc::chat {
namespace {

size_t characterLength(std::string_view text) { return std::max<size_t>(utf8Length(text), 1); }

/// U+FFFD for a byte that belongs to no character.
char32_t pointOf(std::string_view character) {
  size_t length = utf8Length(character);
  return length ? utf8CodePoint(character, length) : 0xFFFD;
}

template <typename Map> std::string mapped(std::string_view text, Map map) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    std::string_view character = text.substr(at, characterLength(text.substr(at)));
    appendUtf8(result, map(pointOf(character)));
    at += character.size();
  }
  return result;
}

char32_t upperPoint(char32_t point) { return utf8proc_toupper(static_cast<int32_t>(point)); }
char32_t lowerPoint(char32_t point) { return utf8proc_tolower(static_cast<int32_t>(point)); }
char32_t titlePoint(char32_t point) { return utf8proc_totitle(static_cast<int32_t>(point)); }
auto categoryOf(char32_t point) { return utf8proc_category(static_cast<int32_t>(point)); }

bool isLetter(char32_t point) {
  auto category = categoryOf(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool isCased(char32_t point) {
  auto category = categoryOf(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}

/// Characters and all of them pass.
template <typename Test> bool all(std::string_view text, Test test) {
  auto list = characters(text);
  return !list.empty() &&
         std::ranges::all_of(list, [&](std::string_view c) { return test(pointOf(c)); });
}

std::vector<Value> splitAtSpace(std::string_view text, int64_t most) {
  std::vector<Value> parts;
  text = strip(text, Side::Left);
  while (!text.empty()) {
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !isSpace(pointOf(text.substr(end))))
      end += characterLength(text.substr(end));
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), Side::Left);
  }
  return parts;
}

} // namespace

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  for (size_t at = 0; at < text.size(); at += result.back().size())
    result.push_back(text.substr(at, characterLength(text.substr(at))));
  return result;
}

size_t characterCount(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += characterLength(text.substr(at)))
    ++count;
  return count;
}

bool isSpace(char32_t point) {
  return (point >= 0x09 && point <= 0x0D) || (point >= 0x1C && point <= 0x20) || point == 0x85 ||
         point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
         point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F ||
         point == 0x3000;
}

std::string_view strip(std::string_view text, Side side, const std::string *set) {
  auto goes = [&](std::string_view character) {
    return set ? set->find(character) != std::string::npos : isSpace(pointOf(character));
  };
  if (side != Side::Right)
    while (!text.empty()) {
      size_t length = characterLength(text);
      if (!goes(text.substr(0, length)))
        break;
      text.remove_prefix(length);
    }
  if (side != Side::Left)
    while (!text.empty()) {
      size_t start = text.size() - 1;
      while (start > 0 && (text[start] & 0xC0) == 0x80)
        --start;
      if (!goes(text.substr(start)))
        break;
      text.remove_suffix(text.size() - start);
    }
  return text;
}

std::vector<Value> split(std::string_view text, const std::string *separator, int64_t most) {
  if (!separator)
    return splitAtSpace(text, most);
  if (separator->empty())
    fail("split needs a separator that is not empty");
  std::vector<Value> parts;
  size_t at;
  while ((most < 0 || static_cast<int64_t>(parts.size()) < most) &&
         (at = text.find(*separator)) != std::string_view::npos) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<Value> splitRight(std::string_view text, const std::string *separator, int64_t most) {
  if (most < 0)
    return split(text, separator, most);
  if (!separator)
    fail("rsplit with a limit needs a separator");
  if (separator->empty())
    fail("rsplit needs a separator that is not empty");
  std::vector<Value> parts;
  size_t at;
  while (static_cast<int64_t>(parts.size()) < most &&
         (at = text.rfind(*separator)) != std::string_view::npos) {
    parts.push_back(text.substr(at + separator->size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::ranges::reverse(parts);
  return parts;
}

std::vector<Value> splitLines(std::string_view text, bool keepEnds) {
  std::vector<Value> lines;
  auto endsLine = [](char32_t p) {
    return (p >= 0x0A && p <= 0x0D) || (p >= 0x1C && p <= 0x1E) || p == 0x85 || p == 0x2028 ||
           p == 0x2029;
  };
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = characterLength(text.substr(at));
    if (!endsLine(pointOf(text.substr(at)))) {
      at += length;
      continue;
    }
    if (text.substr(at).starts_with("\r\n"))
      length = 2;
    lines.push_back(text.substr(begin, at - begin + (keepEnds ? length : 0)));
    begin = at += length;
  }
  if (begin < text.size())
    lines.push_back(text.substr(begin));
  return lines;
}

std::string replace(std::string_view text, const std::string &from, const std::string &to,
                    int64_t most, Budget &budget) {
  std::string result;
  auto append = [&](std::string_view piece) {
    budget.bytes(static_cast<int64_t>(piece.size()));
    result += piece;
  };
  if (from.empty()) { // in front of each character and at the end
    auto list = characters(text);
    for (size_t i = 0; i <= list.size(); ++i) {
      if (most < 0 || static_cast<int64_t>(i) < most)
        append(to);
      if (i < list.size())
        append(list[i]);
    }
    return result;
  }
  size_t at;
  for (int64_t count = 0;
       (most < 0 || count < most) && (at = text.find(from)) != std::string_view::npos; ++count) {
    budget.step();
    append(text.substr(0, at));
    append(to);
    text.remove_prefix(at + from.size());
  }
  append(text);
  return result;
}

std::string upper(std::string_view text) { return mapped(text, upperPoint); }
std::string lower(std::string_view text) { return mapped(text, lowerPoint); }

std::string capitalize(std::string_view text) {
  bool first = true;
  return mapped(text, [&](char32_t point) {
    return std::exchange(first, false) ? titlePoint(point) : lowerPoint(point);
  });
}

std::string title(std::string_view text) {
  bool inWord = false;
  return mapped(text, [&](char32_t point) {
    char32_t result = inWord ? lowerPoint(point) : titlePoint(point);
    inWord = isCased(point);
    return result;
  });
}

std::string titleOfFilter(std::string_view text) {
  bool atStart = true; // words begin behind white space, hyphens and opening brackets
  return mapped(text, [&](char32_t point) {
    char32_t result = atStart ? upperPoint(point) : lowerPoint(point);
    atStart = isSpace(point) || point == '-' || point == '(' || point == '{' || point == '[' ||
              point == '<';
    return result;
  });
}

bool allSpace(std::string_view text) { return all(text, isSpace); }
bool allDigits(std::string_view text) {
  return all(text, [](char32_t p) { return categoryOf(p) == UTF8PROC_CATEGORY_ND; });
}
bool allLetters(std::string_view text, bool orDigits) {
  return all(text, [&](char32_t p) {
    return isLetter(p) || (orDigits && categoryOf(p) == UTF8PROC_CATEGORY_ND);
  });
}
bool allUpper(std::string_view text) {
  return std::ranges::any_of(characters(text), [](auto c) { return isCased(pointOf(c)); }) &&
         all(text, [](char32_t p) { return !isCased(p) || categoryOf(p) == UTF8PROC_CATEGORY_LU; });
}
bool allLower(std::string_view text) {
  return std::ranges::any_of(characters(text), [](auto c) { return isCased(pointOf(c)); }) &&
         all(text, [](char32_t p) { return !isCased(p) || categoryOf(p) == UTF8PROC_CATEGORY_LL; });
}

std::string floatText(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  bool whole = text.find_first_of(".e") == std::string::npos;
  return whole ? text + ".0" : text;
}

} // namespace lmc::chat
