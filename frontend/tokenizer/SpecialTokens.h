// Tokens that are found in a text before anything else is done with it ("<|endoftext|>"). Private
// to this folder.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;    // left out when a text is decoded for people
  bool normalized = false; // matched in the normalised text, not in the given one
  bool stripLeft = false;  // takes the white space before it along
  bool stripRight = false; // and after it
  bool singleWord = false; // only where no word goes on at either side
};

class SpecialTokens {
public:
  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<AddedToken> tokens);

  struct Segment {
    std::string_view text;
    int32_t id; // -1: ordinary text
  };
  /// Cuts text at the leftmost longest matches; no segment is empty.
  std::vector<Segment> split(std::string_view text) const;

  bool empty() const { return tokens.empty(); }
  bool anyContainsSpace() const;
  bool mayEndWith(char last) const;

private:
  const AddedToken *matchAt(std::string_view text) const;

  std::vector<AddedToken> tokens;                     // longest first
  std::array<bool, 256> begins{};                     // a token, by byte
  std::array<std::vector<uint32_t>, 256> byFirstByte; // indices into tokens, in its order
};

} // namespace lmc
