// The scanners of the published patterns against PCRE2, which runs the pattern itself, and the
// shortcuts to utf8proc against utf8proc.
#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <random>

namespace lmc {

/// Characters at the borders of the patterns' classes.
static std::string randomText(std::mt19937 &random) {
  const char *parts[] = {
      "a",      "Z",      "q",      " ",      "  ",     "\n",     "\r",         "\t",
      "'",      "s",      "LL",     "'re",    "'Ve",    "1",      "23",         "\u00BD",
      "\u0663", "\u2167", ".",      "!?",     "/",      "\u00E9", "\u0130",     "\u01C5",
      "\u02B0", "\u0301", "\u0903", "\u05D0", "\u65E5", "\u3042", "\u00A0",     "\u2003",
      "\u3000", "\u180E", "\u200B", "\u017F", "\u212A", "\u20AC", "\U0001F600", "\U0001D400",
      "\x01",   "\xFF",   "\u0378", "\u1F88", "\u2028"};
  std::string text;
  size_t length = 1 + random() % 24;
  for (size_t i = 0; i < length; ++i)
    text += parts[random() % std::size(parts)];
  return text;
}

TEST(PublishedPatterns, scannersMatchAsPcre2) {
  for (std::string_view pattern : {gpt2Pattern, llama3Pattern, qwen2Pattern, gpt4oPattern}) {
    SplitPattern fast(pattern), slow(pattern, SplitPattern::Engine::Pcre2);
    std::mt19937 random(4);
    for (int round = 0; round < 20000; ++round) {
      std::string text = randomText(random);
      std::vector<SplitPattern::Range> found, expected;
      fast.findAll(text, found);
      slow.findAll(text, expected);
      ASSERT_EQ(found, expected) << pattern << "\non: " << toValidUtf8(text);
    }
  }
}

/// Each code point that Unicode 14 assigns, alone and between letters.
TEST(PublishedPatterns, everyCharacterHasPcre2sClass) {
  for (std::string_view pattern : {gpt2Pattern, gpt4oPattern}) {
    SplitPattern fast(pattern), slow(pattern, SplitPattern::Engine::Pcre2);
    SplitPattern assigned(R"([^\p{Cn}])", SplitPattern::Engine::Pcre2);
    std::vector<SplitPattern::Range> found, expected;
    for (char32_t c = 1; c < 0x110000; ++c) {
      if (c >= 0xD800 && c < 0xE000)
        continue;
      std::string one;
      appendUtf8(one, c);
      found.clear();
      assigned.findAll(one, found);
      if (found.empty())
        continue;
      std::string text = "a" + one + "B" + one + one + "1";
      found.clear();
      expected.clear();
      fast.findAll(text, found);
      slow.findAll(text, expected);
      ASSERT_EQ(found, expected) << "U+" << std::hex << uint32_t(c);
    }
  }
}

TEST(Unicode, charactersAsUtf8SaysThem) {
  std::mt19937 random(6);
  for (int round = 0; round < 300000; ++round) {
    std::string text;
    for (int i = 0; i < 4; ++i)
      text += "a\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xED\xEF\xF0\xF4\xF5\xFF"[random() % 17];
    text.resize(1 + random() % 4);
    size_t length = utf8Length(text);
    unicode::Character c = unicode::characterAt(text);
    ASSERT_EQ(c.isByte, length == 0);
    ASSERT_EQ(c.length, length == 0 ? 1 : length);
    ASSERT_EQ(c.point, length == 0 ? 0xFFFD : utf8CodePoint(text, length));
  }
}

/// The runs that are normalised by themselves against utf8proc on the whole.
TEST(Unicode, normalFormsInRunsAreThoseOfTheWhole) {
  using unicode::Form;
  const char32_t parts[] = {
      'a',    'e',    ' ',   0xE9,    0xC5,    0x212B,  0x301, 0x323, 0x1100, 0x1161, 0x11A8,
      0xAC00, 0xAC01, 0x9BE, 0x9C7,   0xFB01,  0x1E9B,  0x345, 0x3B1, 0x65E5, 0xF900, 0x304B,
      0x3099, 0xFF21, 0xBD,  0x1D15E, 0x110BA, 0x11099, 0x340, 0x958, 0x2ADC, 0x1B05, 0x1B35};
  std::mt19937 random(7);
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    for (size_t i = 1 + random() % 8; i > 0; --i)
      appendUtf8(text, parts[random() % std::size(parts)]);
    for (auto [form, options] : {std::pair(Form::NFC, int(UTF8PROC_COMPOSE)),
                                 std::pair(Form::NFD, int(UTF8PROC_DECOMPOSE)),
                                 std::pair(Form::NFKC, UTF8PROC_COMPOSE | UTF8PROC_COMPAT),
                                 std::pair(Form::NFKD, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)}) {
      utf8proc_uint8_t *whole = nullptr;
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.c_str()), 0, &whole,
                   utf8proc_option_t(options | UTF8PROC_STABLE | UTF8PROC_NULLTERM));
      ASSERT_TRUE(whole);
      std::string expected(reinterpret_cast<const char *>(whole));
      std::free(whole);
      ASSERT_EQ(unicode::toForm(text, form), expected) << text;
    }
  }
}

} // namespace lmc
