#include "runtime/NearestWord.h"

#include <gtest/gtest.h>

#include <array>

namespace lmc {
namespace {

constexpr std::array<std::string_view, 4> words = {"gpt2", "llama", "weight_decay", "lr"};

TEST(NearestWord, FindsTypingSlips) {
  EXPECT_EQ(nearestWord("gtp2", words), ", did you mean 'gpt2'?");  // swapped
  EXPECT_EQ(nearestWord("lama", words), ", did you mean 'llama'?"); // left out
  EXPECT_EQ(nearestWord("rr", words), ", did you mean 'lr'?");      // replaced
  EXPECT_EQ(nearestWord("weight-decy", words), ", did you mean 'weight_decay'?");
}

TEST(NearestWord, IsSilentWhereNothingIsNear) {
  EXPECT_EQ(nearestWord("seed", words), "");
  EXPECT_EQ(nearestWord("xy", words), "");
  EXPECT_EQ(nearestWord("", words), "");
  EXPECT_EQ(nearestWord(std::string(100, 'l'), words), "");
  EXPECT_EQ(nearestWord("gpt2", {}), "");
}

} // namespace
} // namespace lmc
