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

static size_t offsetOf(uint32_t unit) { return size_t(unit >> 10) << ((unit & 1u << 9) >> 6); }

/// Whether the unit is the one that `byte` leads to.
static bool leadsTo(uint32_t unit, char byte) {
  return (unit & (1u << 31 | 0xFF)) == uint8_t(byte);
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
  for (size_t i = 0; i < isKept.size(); ++i) {
    char c = char(i);
    isKept[i] = c != '\r' && (!mayBegin(c) || !find({&c, 1}, false)); // CR LF is one cluster
  }
}

bool Charsmap::mayBegin(char first) const {
  size_t place = offsetOf(units[0]) ^ uint8_t(first);
  return first != '\0' && place < units.size() && leadsTo(units[place], first);
}

bool Charsmap::leavesSpaces() const { return match == Match::Graphemes && !mayBegin(' '); }

std::optional<Charsmap::Found> Charsmap::find(std::string_view text, bool longest) const {
  auto unitAt = [&](size_t place) {
    if (place >= units.size())
      fail("the charsmap points outside itself (unit {} of {})", place, units.size());
    return units[place];
  };
  std::optional<Found> found;
  size_t place = offsetOf(unitAt(0));
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    place ^= uint8_t(text[i]);
    uint32_t unit = unitAt(place);
    if (!leadsTo(unit, text[i]))
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

/// Where the grapheme cluster that begins with `last` at `begin` ends.
static size_t clusterEnd(std::string_view text, size_t begin, unicode::Character last) {
  size_t end = begin + last.length;
  int32_t state = 0;
  while (end < text.size()) {
    unicode::Character next = unicode::characterAt(text.substr(end));
    if (next.isByte || last.isByte || (last.classes & next.classes & unicode::Alone) ||
        unicode::endsGrapheme(last.point, next.point, state))
      break;
    end += next.length;
    last = next;
  }
  return end;
}

std::string Charsmap::normalizeGraphemes(std::string_view text) const {
  constexpr size_t mostBytes = 6;
  std::string result;
  result.reserve(text.size());
  size_t copied = 0; // of what stays
  auto replace = [&](size_t begin, size_t end) {
    auto found = find(text.substr(begin, end - begin), false);
    if (found) {
      result.append(text, copied, begin - copied).append(found->replacement);
      copied = end;
    }
    return found.has_value();
  };
  auto isAscii = [&](size_t at) { return at >= text.size() || uint8_t(text[at]) < 0x80; };
  for (size_t begin = 0; begin < text.size();) {
    // Of two ASCII characters only CR LF are one cluster.
    if (isAscii(begin) && isAscii(begin + 1) && isKept[uint8_t(text[begin])]) {
      ++begin;
      continue;
    }
    unicode::Character first = unicode::characterAt(text.substr(begin));
    size_t end = clusterEnd(text, begin, first);
    bool whole = end - begin < mostBytes && !first.isByte && replace(begin, end);
    for (size_t at = begin; !whole && at < end;) {
      unicode::Character c = unicode::characterAt(text.substr(at));
      if (!c.isByte && c.length < end - begin)
        replace(at, at + c.length);
      at += c.length;
    }
    begin = end;
  }
  return result.append(text, copied);
}

std::string Charsmap::normalize(std::string_view text) const {
  if (match == Match::Graphemes)
    return normalizeGraphemes(text);
  std::string result;
  result.reserve(text.size());
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
