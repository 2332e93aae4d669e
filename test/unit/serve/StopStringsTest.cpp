#include "serve/StopStrings.h"

#include <gtest/gtest.h>

namespace lmc {
namespace {

/// Feeds the text in pieces of n bytes; what is shown, with '|' at the end where a stop was found.
std::string shown(const std::vector<std::string> &stops, std::string_view text, size_t n) {
  StopStrings stop(stops);
  std::string all;
  for (size_t i = 0; i < text.size(); i += n)
    all += stop.push(text.substr(i, n));
  return stop.found() ? all + "|" : all + stop.flush();
}

/// The first end of a stop string in the whole text decides, and of several there the longest.
std::string expected(const std::vector<std::string> &stops, const std::string &text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (auto &stop : stops)
      if (text.substr(0, end).ends_with(stop))
        longest = std::max(longest, stop.size());
    if (longest)
      return text.substr(0, end - longest) + "|";
  }
  return text;
}

TEST(StopStrings, SameWhateverThePieces) {
  struct Case {
    std::vector<std::string> stops;
    std::string text;
  };
  std::vector<Case> cases = {
      {{}, "anything"},
      {{"END"}, "an E, an EN, no more"},
      {{"END"}, "the ENENEND of it"},
      {{"aab"}, "aaaaab and b"},
      {{"abc", "b"}, "xxabc"},
      {{"abcd", "bc"}, "abce"},
      {{"\n\n"}, "a\nb\n\nc"},
      {{"x"}, ""},
      {{"tail"}, "long tai"},
      {{"é"}, "caf\xC3\xA9!"},
  };
  for (auto &[stops, text] : cases)
    for (size_t n = 1; n <= text.size() + 1; ++n)
      EXPECT_EQ(shown(stops, text, n), expected(stops, text)) << text << " by " << n;
}

TEST(StopStrings, HoldsBackOnlyWhatMayStillMatch) {
  StopStrings stop({"END"});
  EXPECT_EQ(stop.push("the E"), "the ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("x"), "ENx");
  EXPECT_EQ(stop.push("END, and more"), "");
  EXPECT_TRUE(stop.found());
  EXPECT_EQ(stop.push("END"), "");
}

} // namespace
} // namespace lmc
