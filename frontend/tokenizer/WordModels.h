// Models that look up whole words: WordPiece and WordLevel. Private to this folder.
#pragma once

#include "frontend/tokenizer/TokenModel.h"
#include "frontend/tokenizer/TokenTrie.h"

#include <optional>

namespace lmc {

/// The longest token that begins a word, then the longest that continues it, and so on. A word that
/// cannot be spelled so, or is longer than maxCharacters, is one unknown token.
///   Source: Wu et al. 2016, arXiv:1609.08144; as BERT applies it.
class WordPieceModel : public TokenModel {
public:
  struct Options {
    int32_t unknownId = 0;
    std::string prefix = "##"; // of tokens that continue a word
    size_t maxCharacters = 100;
  };
  WordPieceModel(const StringMap<int32_t> &vocabulary, Options options);
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

private:
  TokenTrie first, continuing; // the latter without the prefix
  Options options;
};

/// A word is a token or unknown. Error where it is neither.
class WordLevelModel : public TokenModel {
public:
  WordLevelModel(StringMap<int32_t> vocabulary, std::optional<int32_t> unknownId)
      : vocabulary(std::move(vocabulary)), unknownId(unknownId) {}
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

private:
  StringMap<int32_t> vocabulary;
  std::optional<int32_t> unknownId;
};

} // namespace lmc
