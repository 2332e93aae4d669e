#include "frontend/tokenizer/Charsmap.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

namespace lmc {

static uint32_t readU32(std::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i)
    value = value << 8 | uint8_t(bytes[i]);
  return value;
}

Charsmap::Charsmap(std::string_view blob, Match match) : match(match) {
  if (blob.size() < 4 || readU32(blob) > blob.size() - 4 || readU32(blob) % 4 != 0 ||
      readU32(blob) == 0)
    fail("a charsmap of {} bytes is cut short", blob.size());
  size_t end = 4 + readU32(blob);
  for (size_t at = 4; at < end; at += 4)
    units.push_back(readU32(blob.substr(at)));
  replacements = blob.substr(end);
  replacements += '\0';
  size_t root = units[0] >> 10 << ((units[0] & 1u << 9) >> 6);
  for (uint8_t c = 0; c < isKept.size(); ++c) {
    size_t place = root ^ c;
    isKept[c] = c == 0 || place >= units.size() || (units[place] & (1u << 31 | 0xFF)) != c;
  }
}

std::optional<Charsmap::Found> Charsmap::find(std::string_view text, bool longest) const {
  auto unitAt = [&](size_t place) {
    if (place >= units.size())
      fail("the charsmap points outside itself (unit {} of {})", place, units.size());
    return units[place];
  };
  auto offsetOf = [](uint32_t unit) { return size_t(unit >> 10) << ((unit & 1u << 9) >> 6); };
  std::optional<Found> found;
  size_t place = offsetOf(unitAt(0));
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    place ^= uint8_t(text[i]);
    uint32_t unit = unitAt(place);
    if ((unit & (1u << 31 | 0xFF)) != uint8_t(text[i]))
      break;
    place ^= offsetOf(unit);
    if (!(unit >> 8 & 1))
      continue;
    size_t begin = unitAt(place) & ~(1u << 31);
    if (begin >= replacements.size())
      fail("the charsmap points outside itself (byte {} of {})", begin, replacements.size());
    std::string_view rest = std::string_view(replacements).substr(begin);
    found = {i + 1, rest.substr(0, rest.find('\0'))};
    if (!longest)
      break;
  }
  return found;
}

void Charsmap::normalizeGraphemes(std::string_view text, std::string &result) const {
  constexpr size_t mostBytes = 6;
  auto append = [&](std::string_view part) {
    auto found = find(part, false);
    if (found)
      result += found->replacement;
    return found.has_value();
  };
  auto isAscii = [&](size_t at) { return at >= text.size() || uint8_t(text[at]) < 0x80; };
  for (size_t begin = 0; begin < text.size();) {
    // Of two ASCII characters only CR LF are one cluster, and no match begins with the first.
    if (isAscii(begin) && isAscii(begin + 1) && isKept[uint8_t(text[begin])]) {
      result += text[begin++];
      continue;
    }
    unicode::Character last = unicode::characterAt(text.substr(begin));
    size_t end = begin + last.length;
    int32_t state = 0;
    while (end < text.size()) {
      unicode::Character next = unicode::characterAt(text.substr(end));
      if (next.isByte || last.isByte || unicode::endsGrapheme(last.point, next.point, state))
        break;
      end += next.length;
      last = next;
    }
    std::string_view grapheme = text.substr(begin, end - begin);
    begin = end;
    if (grapheme.size() < mostBytes && append(grapheme))
      continue;
    unicode::forEach(grapheme, [&](unicode::Character c, std::string_view bytes) {
      if (c.isByte || !append(bytes))
        result += bytes;
    });
  }
}

std::string Charsmap::normalize(std::string_view text) const {
  std::string result;
  result.reserve(text.size());
  if (match == Match::Graphemes) {
    normalizeGraphemes(text, result);
    return result;
  }
  for (size_t at = 0; at < text.size();) {
    if (auto found = find(text.substr(at), true)) {
      result += found->replacement;
      at += found->length;
    } else {
      size_t length = unicode::characterAt(text.substr(at)).length;
      result.append(text, at, length);
      at += length;
    }
  }
  return result;
}

} // namespace lmc
