// A regular expression of a tokenizer.json with the meaning it has in Hugging Face's library: run by
// PCRE2, the published pre-tokenizer patterns by scanners of their own.
#pragma once

#include "frontend/tokenizer/PublishedPatterns.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmc {

/// True if this pattern never matches across the border between a character that is not white space
/// and a following space, nor looks behind it: a text may then be cut there.
bool patternBreaksBeforeSpaces(std::string_view pattern);

/// The last such border whose left character is ASCII; 0 if there is none.
size_t lastCutBeforeSpace(std::string_view text);

class SplitPattern {
public:
  enum class Engine { Fastest, Pcre2 };

  /// Error naming the pattern and PCRE2's reason if it does not compile.
  explicit SplitPattern(std::string_view pattern, Engine engine = Engine::Fastest);

  std::string_view source() const { return pattern; }

  using Range = std::pair<size_t, size_t>; // begin, end

  /// The non-overlapping, non-empty matches from left to right, in linear time for sensible
  /// patterns; a pattern that backtracks beyond PCRE2's limit is an Error. Bytes that are not UTF-8
  /// never match.
  void findAll(std::string_view text, std::vector<Range> &matches) const;

private:
  struct Free {
    void operator()(void *code) const;
  };
  size_t search(std::string_view subject, size_t start, std::vector<Range> &matches) const;

  std::string pattern;
  MatchScanner scanner = nullptr;
  std::unique_ptr<void, Free> code; // without a scanner
};

} // namespace lmc
