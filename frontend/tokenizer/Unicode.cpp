#include "frontend/tokenizer/Unicode.h"

#include "runtime/Error.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

namespace lmc::unicode {

static bool isWhiteSpace(char32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

static bool isAsciiPunctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

/// Alphabetic without being a letter, a mark or a letter number: circled and squared letters.
static bool isOtherAlphabetic(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

static void appendForm(std::string_view text, Form form, std::string &result) {
  int options = UTF8PROC_STABLE;
  options |= form == Form::NFC || form == Form::NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == Form::NFKC || form == Form::NFKD)
    options |= UTF8PROC_COMPAT;
  auto option = utf8proc_option_t(options);
  auto *bytes = reinterpret_cast<const utf8proc_uint8_t *>(text.data());
  auto size = utf8proc_ssize_t(text.size());
  std::array<utf8proc_int32_t, 256> nearby; // enough for most runs
  std::vector<utf8proc_int32_t> far;
  utf8proc_int32_t *points = nearby.data();
  utf8proc_ssize_t count =
      utf8proc_decompose(bytes, size, points, utf8proc_ssize_t(nearby.size()), option);
  if (count > utf8proc_ssize_t(nearby.size())) {
    far.resize(size_t(count));
    points = far.data();
    count = utf8proc_decompose(bytes, size, points, count, option);
  }
  if (count >= 0)
    count = utf8proc_normalize_utf32(points, count, option);
  if (count < 0)
    fail("a text cannot be normalised: {}", utf8proc_errmsg(count));
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    appendUtf8(result, char32_t(points[i]));
}

/// Of a character that is no mark: it composes with none before it, unless it is a vowel or final
/// consonant of Hangul.
static uint16_t stability(char32_t point) {
  if (point >= 0x1160 && point <= 0x11FF)
    return 0;
  if (point >= 0xAC00 && point <= 0xD7A3) // syllables of Hangul
    return StableNfc;
  if (utf8proc_get_property(utf8proc_int32_t(point))->decomp_seqindex == UINT16_MAX)
    return Stable | StableNfc;
  std::string text, composed;
  appendUtf8(text, point);
  appendForm(text, Form::NFC, composed);
  return composed == text ? StableNfc : 0;
}

static uint16_t computeClasses(char32_t point) {
  uint16_t result = 0;
  switch (utf8proc_category(utf8proc_int32_t(point))) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LT:
    result = Letter | Word | Upper;
    break;
  case UTF8PROC_CATEGORY_LL:
    result = Letter | Word | Lower;
    break;
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
    result = Letter | Word | Upper | Lower;
    break;
  case UTF8PROC_CATEGORY_MN:
    result = Nonspacing | Mark | Word | Upper | Lower;
    break;
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
    result = Mark | Word | Upper | Lower;
    break;
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
    result = Number | Word;
    break;
  case UTF8PROC_CATEGORY_NO:
    result = Number;
    break;
  case UTF8PROC_CATEGORY_PC:
    result = Punctuation | Word;
    break;
  case UTF8PROC_CATEGORY_PD:
  case UTF8PROC_CATEGORY_PS:
  case UTF8PROC_CATEGORY_PE:
  case UTF8PROC_CATEGORY_PI:
  case UTF8PROC_CATEGORY_PF:
  case UTF8PROC_CATEGORY_PO:
    result = Punctuation;
    break;
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
    result = Other;
    break;
  default: // symbols, separators, and what is not assigned
    break;
  }
  if (!(result & Mark))
    result |= stability(point);
  if (utf8proc_tolower(utf8proc_int32_t(point)) != utf8proc_int32_t(point))
    result |= Capital;
  switch (utf8proc_get_property(utf8proc_int32_t(point))->boundclass) {
  case UTF8PROC_BOUNDCLASS_OTHER:
  case UTF8PROC_BOUNDCLASS_CONTROL:
  case UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC:
    result |= Alone;
    break;
  default:
    break;
  }
  if (isWhiteSpace(point))
    result |= Space;
  if (isAsciiPunctuation(point))
    result |= Punctuation;
  if (isOtherAlphabetic(point) || point == 0x200C || point == 0x200D)
    result |= Word;
  return result;
}

namespace {
/// Equal blocks of 256 characters are stored once: 4352 blocks become some 200.
struct ClassTable {
  std::array<uint16_t, 0x1100> block{};
  std::vector<std::array<uint16_t, 256>> blocks;
};
} // namespace

static const ClassTable &classTable() {
  static const ClassTable result = [] {
    ClassTable table;
    std::map<std::array<uint16_t, 256>, uint16_t> seen;
    for (char32_t high = 0; high < table.block.size(); ++high) {
      std::array<uint16_t, 256> block;
      for (char32_t low = 0; low < 256; ++low)
        block[low] = computeClasses(high << 8 | low);
      auto [entry, isNew] = seen.emplace(block, uint16_t(table.blocks.size()));
      if (isNew)
        table.blocks.push_back(block);
      table.block[high] = entry->second;
    }
    return table;
  }();
  return result;
}

uint16_t classesOf(char32_t point) {
  static const ClassTable &table = classTable();
  return table.blocks[table.block[point >> 8]][point & 255];
}

const std::array<uint16_t, 128> asciiClasses = [] {
  std::array<uint16_t, 128> result{};
  for (char32_t c = 0; c < result.size(); ++c)
    result[c] = computeClasses(c);
  return result;
}();

/// Not ASCII. What utf8Length and utf8CodePoint say, in one step: most of the time of a text that is
/// not Latin would go there.
Character otherCharacterAt(std::string_view text) {
  std::array<char, 4> padded{};
  const char *bytes = text.data();
  if (text.size() < padded.size())
    bytes = std::copy(text.begin(), text.end(), padded.begin()) - text.size();
  auto continuation = [&](size_t i) {
    uint8_t byte = uint8_t(bytes[i]);
    return (byte & 0xC0) == 0x80 ? char32_t(byte & 0x3F) : char32_t(1 << 22); // spoils the sum
  };
  auto character = [](char32_t point, uint8_t length) {
    return Character{point, classesOf(point), length, false};
  };
  char32_t lead = uint8_t(text[0]);
  if (lead >= 0xC2 && lead <= 0xDF) {
    char32_t point = (lead & 0x1F) << 6 | continuation(1);
    if (point < 0x800)
      return character(point, 2);
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    char32_t second = continuation(1), third = continuation(2);
    char32_t point = (lead & 0x0F) << 12 | second << 6 | third;
    if (point >= 0x800 && (point < 0xD800 || point > 0xDFFF) && (second | third) < 0x40)
      return character(point, 3);
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    char32_t second = continuation(1), third = continuation(2), fourth = continuation(3);
    char32_t point = (lead & 0x07) << 18 | second << 12 | third << 6 | fourth;
    if (point >= 0x10000 && point < 0x110000 && (second | third | fourth) < 0x40)
      return character(point, 4);
  }
  return {0xFFFD, 0, 1, true};
}

std::string toForm(std::string_view text, Form form) {
  const uint16_t stable = form == Form::NFC ? StableNfc : Stable;
  std::string result;
  result.reserve(text.size());
  size_t copied = 0, previous = 0, at = 0;
  while (at < text.size()) {
    Character c = characterAt(text.substr(at));
    if (c.isByte || c.classes & stable) {
      previous = c.isByte ? at + 1 : at;
      at += c.length;
      continue;
    }
    // A run of others, with the character before them, which the first may compose with.
    size_t end = at;
    while (end < text.size()) {
      Character next = characterAt(text.substr(end));
      if (next.isByte || next.classes & stable)
        break;
      end += next.length;
    }
    result.append(text, copied, previous - copied);
    appendForm(text.substr(previous, end - previous), form, result);
    copied = previous = at = end;
  }
  return result.append(text, copied);
}

void appendLower(std::string &text, char32_t point) {
  if (point == 0x130) // the only one whose lower case is two characters
    text += "i\u0307";
  else
    appendUtf8(text, char32_t(utf8proc_tolower(utf8proc_int32_t(point))));
}

bool endsGrapheme(char32_t left, char32_t right, int32_t &state) {
  return utf8proc_grapheme_break_stateful(utf8proc_int32_t(left), utf8proc_int32_t(right), &state);
}

} // namespace lmc::unicode
