// Byte pair encoding proper: one pre-tokenised piece of text to ids.
//   Source: Sennrich et al. 2016, arXiv:1508.07909.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lmc {

/// What a piece is made of before merging.
enum class BpeSymbols { Bytes, Characters };

/// Lets unordered_map<string, ...> be asked with a string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

class BpeModel {
public:
  struct Options {
    BpeSymbols symbols = BpeSymbols::Bytes;
    bool byteFallback = false; // a character that is not in the vocabulary becomes "<0xE2>" tokens
    bool ignoreMerges = false; // a piece that is a token as a whole is that token
    bool fuseUnknown = false;  // neighbouring unknown characters are one unknown token
    std::optional<int32_t> unknownId;
  };

  /// vocabulary: the bytes of each token of the model. fallbackIds: 256 ids of the "<0x00>"..
  /// tokens, -1 where missing; empty without byteFallback.
  BpeModel(StringMap<int32_t> vocabulary, std::vector<int32_t> fallbackIds, Options options);

  /// The merge of rank number-of-calls. Error if left + right is not in the vocabulary; a pair that
  /// is listed twice keeps its last rank, as Hugging Face's reader does.
  void addMerge(std::string_view left, std::string_view right);

  /// Appends the ids of a piece: the merge of the lowest rank first, the leftmost among equals.
  /// O(n log n). Error if a byte or character has no token.
  void encode(std::string_view piece, std::vector<int32_t> &ids) const;

  const StringMap<int32_t> &vocabulary() const { return tokens; }

private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  void toSymbols(std::string_view piece, std::vector<int32_t> &symbols) const;
  void appendUnknown(std::vector<int32_t> &symbols, bool &afterUnknown,
                     std::string_view what) const;
  const Merge *findMerge(int32_t left, int32_t right) const;
  void mergeShort(std::vector<int32_t> &symbols) const;
  void mergeLong(std::vector<int32_t> &symbols) const;

  StringMap<int32_t> tokens;
  std::vector<int32_t> fallbackIds;
  Options options;
  std::vector<int32_t> byteIds; // symbols == Bytes: the id of each byte, -1 if it has none
  std::unordered_map<uint64_t, Merge> merges;
  uint32_t nextRank = 0;
};

/// Pieces repeat (Zipf): remembers ids of short ones. One caller at a time uses it, others go
/// without.
class PieceCache {
public:
  /// Holds the cache for one encoding, or nothing if another thread has it.
  class Use {
  public:
    explicit Use(PieceCache &cache) : cache(cache), lock(cache.mutex, std::try_to_lock) {}
    void encode(const BpeModel &model, std::string_view piece, std::vector<int32_t> &ids);

  private:
    PieceCache &cache;
    std::unique_lock<std::mutex> lock;
  };

private:
  std::mutex mutex;
  StringMap<std::vector<int32_t>> idsOfPiece;
};

} // namespace lmc
