// The scanners of the published patterns against PCRE2, which runs the pattern itself.
#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Utf8.h"

#include <gtest/gtest.h>

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

} // namespace lmc
