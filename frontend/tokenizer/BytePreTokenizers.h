// How published byte-level vocabularies cut a text into words, by the names that GGUF files have for
// it (tokenizer.ggml.pre).
//   Source: the models' tokenizer.json; the names are llama.cpp's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

struct BytePreTokenizer {
  std::vector<std::string_view> names; ///< that mean the same; the first is written
  /// Regular expressions, one after the other: their matches and what is between them are pieces.
  std::vector<std::string_view> patterns;
  bool ignoreMerges = false; ///< a word that is a token needs no merges
  bool composes = false;     ///< NFC first
  bool addsBos = false;      ///< where the file does not say it
};

/// Error with the known names.
const BytePreTokenizer &bytePreTokenizer(std::string_view name);

/// The one that does the same; null if there is none.
const BytePreTokenizer *findBytePreTokenizer(std::span<const std::string> patterns,
                                             bool ignoreMerges, bool composes);

/// What the components Digits and Punctuation (contiguous) of a tokenizer.json are as patterns.
extern const std::string_view singleDigitPattern, digitsPattern, punctuationPattern;

} // namespace lmc
