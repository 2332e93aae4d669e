#include "frontend/tokenizer/SplitPattern.h"

#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cctype>
#include <cstring>
#include <new>

namespace lmc {

bool patternBreaksBeforeSpaces(std::string_view pattern) { return scannerOf(pattern) != nullptr; }

size_t lastCutBeforeSpace(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;)
    if (text[at] == ' ' && text[at - 1] > ' ' && text[at - 1] < 0x7F)
      return at;
  return 0;
}

/// The patterns are written for Oniguruma. Where PCRE2 reads the same text differently it is
/// rewritten (\s: PCRE2 also takes U+180E, which is not white space in Unicode) or refused.
static std::string translate(std::string_view pattern) {
  constexpr std::string_view spaces =
      R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
  // Alphabetic, marks, decimal digits and connectors, where PCRE2 takes fewer.
  constexpr std::string_view words =
      R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
  std::string result;
  bool inClass = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char escaped = pattern[++i];
      if (escaped == 's')
        result += inClass ? std::string(spaces) : fmt::format("[{}]", spaces);
      else if (escaped == 'S' && !inClass)
        result += fmt::format("[^{}]", spaces);
      else if (escaped == 'w')
        result += inClass ? std::string(words) : fmt::format("[{}]", words);
      else if (std::isalnum(uint8_t(escaped)) &&
               !strchr(inClass ? "dDpPnrtx" : "dDpPnrtxAz", escaped))
        fail("pattern \"{}\": '\\{}' is not supported{}", pattern, escaped,
             inClass ? " in a character class" : "");
      else
        result.append({c, escaped});
      continue;
    }
    if (inClass && (c == '[' || pattern.substr(i, 2) == "&&"))
      fail("pattern \"{}\": nested character classes are not supported", pattern);
    if (c == '[')
      inClass = true;
    else if (c == ']')
      inClass = false;
    result += c;
  }
  return result;
}

void SplitPattern::Free::operator()(void *code) const {
  pcre2_code_free(static_cast<pcre2_code *>(code));
}

SplitPattern::SplitPattern(std::string_view source, Engine engine) : pattern(source) {
  if (engine == Engine::Fastest && (scanner = scannerOf(source)))
    return;
  std::string translated = translate(source);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code *compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
  if (!compiled) {
    std::array<PCRE2_UCHAR, 256> reason{};
    pcre2_get_error_message(error, reason.data(), reason.size());
    fail("pattern \"{}\": {}", pattern, reinterpret_cast<const char *>(reason.data()));
  }
  code.reset(compiled);
  // Without a JIT for this machine the interpreter gives the same matches.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
}

/// Appends PCRE2's matches in a valid subject that begins at `start` of the text.
size_t SplitPattern::search(std::string_view subject, size_t start,
                            std::vector<Range> &matches) const {
  auto *compiled = static_cast<const pcre2_code *>(code.get());
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(compiled, nullptr), pcre2_match_data_free);
  if (!match)
    throw std::bad_alloc();
  size_t offset = 0;
  while (offset < subject.size()) {
    auto run = [&](uint32_t options) {
      return pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(),
                         offset, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | options, match.get(),
                         nullptr);
    };
    int result = run(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
      result = run(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH)
      break;
    if (result < 0)
      fail("pattern \"{}\" fails on the text at byte {} (PCRE2 error {})", pattern, start + offset,
           result);
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match.get());
    if (bounds[1] <= offset || bounds[0] > bounds[1])
      fail("pattern \"{}\" does not advance at byte {}", pattern, start + offset);
    matches.emplace_back(start + bounds[0], start + bounds[1]);
    offset = bounds[1];
  }
  return start + subject.size();
}

void SplitPattern::findAll(std::string_view text, std::vector<Range> &matches) const {
  // Each valid stretch is a subject of its own: checking it once here instead of in every call
  // keeps the whole linear, and an ill-formed byte can neither match nor be looked at.
  for (size_t start = 0; start < text.size();) {
    std::string_view rest = text.substr(start);
    std::string_view subject = rest.substr(0, validUtf8Prefix(rest));
    if (scanner) {
      for (size_t at = 0; at < subject.size();) {
        size_t end = scanner(subject, at);
        matches.emplace_back(start + at, start + end);
        at = end;
      }
      start += subject.size();
    } else {
      start = search(subject, start, matches);
    }
    while (start < text.size() && utf8Length(text.substr(start)) == 0)
      ++start;
  }
}

} // namespace lmc
