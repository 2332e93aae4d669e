// Properties and normal forms of characters, from utf8proc (Unicode 15). Private to this folder.
#pragma once

#include "frontend/tokenizer/Utf8.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lmc::unicode {

/// What patterns and normalizers ask of a character, one bit each.
enum Class : uint16_t {
  Letter = 1 << 0,      // L
  Mark = 1 << 1,        // M
  Nonspacing = 1 << 2,  // Mn
  Number = 1 << 3,      // N
  Space = 1 << 4,       // White_Space
  Punctuation = 1 << 5, // P, and ASCII's symbols
  Word = 1 << 6,        // \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control
  Other = 1 << 7,       // C
  Upper = 1 << 8,       // Lu Lt Lm Lo M: what may begin a word of GPT-4o's pattern
  Lower = 1 << 9,       // Ll Lm Lo M: what may end one
  Stable = 1 << 10,     // the same in every normal form, whatever stands beside it on the right
  StableNfc = 1 << 11,  // the same in NFC, as é is
  Capital = 1 << 12,    // appendLower changes it
  Alone = 1 << 13,      // a grapheme cluster ends between any two of these
};

/// Those of ASCII, by code.
extern const std::array<uint16_t, 128> asciiClasses;

/// The classes of a code point, which must be below 0x110000.
uint16_t classesOf(char32_t point);

/// The character at the start of a text that is not empty. A byte that belongs to no well-formed
/// character is one of its own, without classes.
struct Character {
  char32_t point = 0xFFFD;
  uint16_t classes = 0;
  uint8_t length = 1;  // in bytes
  bool isByte = false; // ill-formed
};
Character otherCharacterAt(std::string_view text);
inline Character characterAt(std::string_view text) {
  uint8_t first = uint8_t(text[0]);
  return first < 0x80 ? Character{first, asciiClasses[first], 1, false} : otherCharacterAt(text);
}

/// Calls visit(Character, its bytes) for each character.
template <typename Visit> void forEach(std::string_view text, Visit visit) {
  for (size_t at = 0; at < text.size();) {
    Character c = characterAt(text.substr(at));
    visit(c, text.substr(at, c.length));
    at += c.length;
  }
}

/// The text with each character that is not `kept` replaced by what `edit` appends for it; bytes that
/// are no characters stay. Runs are copied as a whole: in most texts nearly all is kept.
template <typename Kept, typename Edit>
std::string edited(std::string_view text, Kept kept, Edit edit) {
  std::string result;
  result.reserve(text.size());
  size_t copied = 0;
  for (size_t at = 0; at < text.size();) {
    Character c = characterAt(text.substr(at));
    if (!c.isByte && !kept(c)) {
      result.append(text, copied, at - copied);
      edit(c, text.substr(at, c.length), result);
      copied = at + c.length;
    }
    at += c.length;
  }
  return result.append(text, copied);
}

enum class Form { NFC, NFD, NFKC, NFKD };

/// Ill-formed bytes stay as they are and part what is normalised.
std::string toForm(std::string_view text, Form form);

/// The full lower case of a character by itself: no rule for a final sigma, no language.
void appendLower(std::string &text, char32_t point);

/// Whether a grapheme cluster ends between two characters; state is 0 at the start of a text.
bool endsGrapheme(char32_t left, char32_t right, int32_t &state);

} // namespace lmc::unicode
