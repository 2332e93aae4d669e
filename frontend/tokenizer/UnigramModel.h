// The unigram language model: the segmentation with the highest sum of scores. Private to this
// folder.
//   Source: Kudo 2018, arXiv:1804.10959.
#pragma once

#include "frontend/tokenizer/TokenModel.h"
#include "frontend/tokenizer/TokenTrie.h"

#include <optional>

namespace lmc {

class UnigramModel : public TokenModel {
public:
  struct Piece {
    std::string text; // empty: never matches
    double score;     // log probability
  };

  /// pieces by id. fallbackIds: 256 ids of the "<0x00>".. tokens, -1 where missing; empty without
  /// byte fallback. A character without a piece costs ten more than the worst piece; neighbouring
  /// ones are one unknown, which is spelled in byte tokens where it can be.
  UnigramModel(const std::vector<Piece> &pieces, std::optional<int32_t> unknownId,
               std::vector<int32_t> fallbackIds);

  /// O(n * length of the longest piece). Error if a character has no piece, no bytes and there is
  /// no unknown token.
  void encode(std::string_view piece, std::vector<int32_t> &ids) const override;
  /// Ends before a "▁" that no piece has after another character.
  size_t firstPart(std::string_view piece) const override;

private:
  void appendUnknown(std::string_view text, std::vector<int32_t> &ids) const;

  TokenTrie trie;
  std::vector<double> scores;
  double unknownScore;
  bool cutsBeforeSpaces = false;
  std::optional<int32_t> unknownId;
  std::vector<int32_t> fallbackIds;
};

} // namespace lmc
