// SentencePiece's "precompiled charsmap": a trie of byte strings and what each is replaced by.
// Private to this folder.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

class Charsmap {
public:
  enum class Match {
    Graphemes, // Hugging Face: a cluster under 6 bytes, else a character, by its shortest prefix
    Longest,   // SentencePiece: the longest match at each place
  };

  /// blob: the trie's size in bytes (u32, little-endian), a double array of u32 units (darts-clone),
  /// replacements that end in a zero byte. Error if it is cut short or points outside itself.
  Charsmap(std::string_view blob, Match match);

  /// Ill-formed bytes stay as they are.
  std::string normalize(std::string_view text) const;

  /// Whether a text cut before a space behind a visible ASCII character is normalised in parts, and the
  /// space stays one.
  bool leavesSpaces() const;

private:
  struct Found {
    size_t length;
    std::string_view replacement;
  };
  bool mayBegin(char first) const; // a match
  std::optional<Found> find(std::string_view text, bool longest) const;
  std::string normalizeGraphemes(std::string_view text) const;

  std::vector<uint32_t> units;
  std::string replacements;
  std::array<bool, 128> isKept{}; // ASCII characters that are not replaced by themselves
  Match match;
};

} // namespace lmc
