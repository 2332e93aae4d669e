// Byte pair encoding proper: one pre-tokenised piece of text to ids. Private to this folder.
//   Source: Sennrich et al. 2016, arXiv:1508.07909.
#pragma once

#include "frontend/tokenizer/CodePointTable.h"
#include "frontend/tokenizer/MergeTable.h"
#include "frontend/tokenizer/TokenModel.h"

#include <optional>

namespace lmc {

/// What a piece is made of before merging.
enum class BpeSymbols { Bytes, Characters };

class BpeModel : public TokenModel {
public:
  struct Options {
    BpeSymbols symbols = BpeSymbols::Bytes;
    bool byteFallback = false; // a character that is not in the vocabulary becomes "<0xE2>" tokens
    bool ignoreMerges = false; // a piece that is a token as a whole is that token
    bool fuseUnknown = false;  // neighbouring unknown characters are one unknown token
    std::optional<int32_t> unknownId;
    std::string wordSuffix;         // the last symbol of a piece is looked up with this after it
    std::string continuationPrefix; // all symbols but the first with this before them
  };
  struct Merge {
    std::string left, right;
    uint32_t rank; // lower ones first
  };

  /// vocabulary: the bytes of each token of the model. fallbackIds: 256 ids of the "<0x00>"..
  /// tokens, -1 where missing; empty without byteFallback. A pair that is listed twice keeps its
  /// last rank, as in Hugging Face's reader. Error if a merge's parts or result have no token.
  BpeModel(StringMap<int32_t> vocabulary, const std::vector<Merge> &merges,
           std::vector<int32_t> fallbackIds, Options options);

  /// The merge of the lowest rank first, the leftmost among equals. O(n log n). Error if a byte or
  /// character has no token.
  void encode(std::string_view piece, std::vector<int32_t> &ids) const override;
  size_t firstPart(std::string_view piece) const override;

private:
  /// A set without false negatives, of neighbouring characters.
  class Neighbours {
  public:
    void add(char32_t left, char32_t right) { bits[index(left, right)] = true; }
    bool mayHold(char32_t left, char32_t right) const { return bits[index(left, right)]; }
    void reserve() { bits.resize(size_t(1) << numBits); }
    bool empty() const { return bits.empty(); }

  private:
    static constexpr int numBits = 20;
    /// Right neighbours of one character lie close together, as characters of a script do.
    static size_t index(char32_t left, char32_t right) {
      return (left * 0x9E3779B9u + right) & ((1u << numBits) - 1);
    }
    std::vector<bool> bits;
  };

  std::optional<int32_t> symbolId(std::string_view symbol, bool first, bool last) const;
  void findNeighbours();
  void toSymbols(std::string_view piece, std::vector<int32_t> &symbols) const;
  size_t plainSymbols(std::string_view piece, std::vector<int32_t> &symbols) const;
  void appendUnknown(std::vector<int32_t> &symbols, bool &afterUnknown,
                     std::string_view what) const;
  void findUnmerged();
  /// In place; how many symbols are left.
  size_t merge(std::span<int32_t> symbols) const;
  size_t mergeShort(std::span<int32_t> symbols) const;
  size_t mergeLong(std::span<int32_t> symbols) const;

  StringMap<int32_t> tokens;
  StringMap<int32_t> unmerged; // ignoreMerges: the tokens that merging does not give
  std::vector<int32_t> fallbackIds;
  Options options;
  std::vector<int32_t> byteIds;         // symbols == Bytes: the id of each byte, -1 if it has none
  CodePointTable<int32_t> characterIds; // symbols == Characters: likewise
  MergeTable merges;
  Neighbours neighbours; // characters that stand beside each other in some token
};

} // namespace lmc
