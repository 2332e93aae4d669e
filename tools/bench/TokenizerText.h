// Texts and vocabularies for timing tokenizers: made up, the same on every machine.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmc::bench {

/// Sentences of words as frequent as words are (Zipf's law).
std::string proseText(size_t numBytes);
/// Lines of indented statements: identifiers of several words, operators, numbers.
std::string codeText(size_t numBytes);
/// Both, and as much of words of the world's scripts, emoji, symbols, combining marks and bytes that
/// are not UTF-8.
std::string mixedText(size_t numBytes);

/// How a vocabulary spells the parts of a word.
struct PartSpelling {
  std::string first;      ///< before a part that begins a word: "▁"
  std::string continuing; ///< before others: "##"
  bool
      splitsSymbols; ///< a word ends at an ASCII symbol, and capitals of ASCII are small, as in BERT
};

/// The characters of the texts, then the most frequent parts of their words with how often they were
/// seen, most frequent first; the parts that one begins with come before it. At most numParts, of at
/// most 8 characters.
std::vector<std::pair<std::string, size_t>> frequentParts(std::string_view text, size_t numParts,
                                                          const PartSpelling &spelling);

} // namespace lmc::bench
