#include "frontend/tokenizer/PublishedPatterns.h"

#include "frontend/tokenizer/Unicode.h"

namespace lmc {

using namespace unicode;

const std::string_view gpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view llama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view qwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view gpt4oPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

static Character at(std::string_view text, size_t position) {
  return position < text.size() ? characterAt(text.substr(position)) : Character{0, 0, 0, false};
}

/// The end of the run of at most `most` characters that have one of the classes.
static size_t runOf(std::string_view text, size_t position, uint16_t classes,
                    size_t most = SIZE_MAX) {
  for (; most > 0; --most) {
    Character c = at(text, position);
    if (!(c.classes & classes))
      break;
    position += c.length;
  }
  return position;
}

/// [^\s\p{L}\p{N}]+
static size_t symbolRun(std::string_view text, size_t position) {
  while (position < text.size()) {
    Character c = characterAt(text.substr(position));
    if (c.classes & (Space | Letter | Number))
      break;
    position += c.length;
  }
  return position;
}

/// 's|'t|'re|'ve|'m|'ll|'d, without the apostrophe: its end, or `position`. Ignoring case, the long
/// s (U+017F) is an s too.
static size_t contraction(std::string_view text, size_t position, bool ignoreCase) {
  auto letter = [&](size_t i) {
    char c = i < text.size() ? text[i] : '\0';
    return ignoreCase && c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
  };
  char first = letter(position), second = letter(position + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return position + 1;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l'))
    return position + 2;
  if (ignoreCase && text.substr(position).starts_with("\u017F"))
    return position + 2;
  return position;
}

/// The last three alternatives, at a white space: \s*[\r\n]+ (if lines), \s+(?!\S), \s+
static size_t spaces(std::string_view text, size_t position, bool lines) {
  size_t end = position, last = position, afterLine = position;
  while (end < text.size()) {
    Character c = characterAt(text.substr(end));
    if (!(c.classes & Space))
      break;
    last = end;
    end += c.length;
    if (c.point == '\r' || c.point == '\n')
      afterLine = end;
  }
  if (lines && afterLine > position)
    return afterLine;
  return end == text.size() || last == position ? end : last;
}

static size_t scanGpt2(std::string_view text, size_t position) {
  Character c = at(text, position);
  if (c.point == '\'')
    if (size_t end = contraction(text, position + 1, false); end > position + 1)
      return end;
  size_t begin = c.point == ' ' ? position + 1 : position;
  Character next = c.point == ' ' ? at(text, begin) : c;
  if (next.classes & Letter)
    return runOf(text, begin + next.length, Letter);
  if (next.classes & Number)
    return runOf(text, begin + next.length, Number);
  if (next.length > 0 && !(next.classes & Space))
    return symbolRun(text, begin + next.length);
  return spaces(text, position, false);
}

/// What cl100k and its descendants share after words: numbers, symbols, white space.
static size_t afterWords(std::string_view text, size_t position, Character c, size_t digits,
                         bool slashes) {
  if (c.classes & Number)
    return runOf(text, position + c.length, Number, digits - 1);
  size_t begin = c.point == ' ' ? position + 1 : position, end = symbolRun(text, begin);
  if (end > begin) {
    while (end < text.size() &&
           (text[end] == '\r' || text[end] == '\n' || (slashes && text[end] == '/')))
      ++end;
    return end;
  }
  return spaces(text, position, true);
}

/// [^\r\n\p{L}\p{N}]
static bool mayPrecedeWord(Character c) {
  return c.point != '\r' && c.point != '\n' && !(c.classes & (Letter | Number));
}

template <size_t digits> static size_t scanCl100k(std::string_view text, size_t position) {
  Character c = at(text, position);
  if (c.classes & Letter)
    return runOf(text, position + c.length, Letter);
  if (c.point == '\'')
    if (size_t end = contraction(text, position + 1, true); end > position + 1)
      return end;
  if (mayPrecedeWord(c))
    if (size_t end = runOf(text, position + c.length, Letter); end > position + c.length)
      return end;
  return afterWords(text, position, c, digits, false);
}

/// [Upper]*[Lower]+ at position; its end, or `position`. The first star gives back as few
/// characters as the second run needs to begin.
static size_t capitalizedWord(std::string_view text, size_t position) {
  size_t end = position, lastBoth = position;
  for (;;) {
    Character c = at(text, end);
    if (!(c.classes & Upper))
      break;
    end += c.length;
    if (c.classes & Lower)
      lastBoth = end;
  }
  size_t whole = runOf(text, end, Lower);
  return whole > end ? whole : lastBoth;
}

/// [Upper]+[Lower]* at position; its end, or `position`.
static size_t upperWord(std::string_view text, size_t position) {
  size_t end = runOf(text, position, Upper);
  return end > position ? runOf(text, end, Lower) : position;
}

static size_t scanGpt4o(std::string_view text, size_t position) {
  Character c = at(text, position);
  for (auto word : {capitalizedWord, upperWord})
    for (bool withPrefix : {true, false}) {
      if (withPrefix && !mayPrecedeWord(c))
        continue;
      size_t begin = withPrefix ? position + c.length : position, end = word(text, begin);
      if (end == begin)
        continue;
      if (end == text.size() || text[end] != '\'')
        return end;
      size_t suffix = contraction(text, end + 1, true);
      return suffix > end + 1 ? suffix : end;
    }
  return afterWords(text, position, c, 3, true);
}

MatchScanner scannerOf(std::string_view pattern) {
  if (pattern == gpt2Pattern)
    return scanGpt2;
  if (pattern == llama3Pattern)
    return scanCl100k<3>;
  if (pattern == qwen2Pattern)
    return scanCl100k<1>;
  if (pattern == gpt4oPattern)
    return scanGpt4o;
  return nullptr;
}

} // namespace lmc
