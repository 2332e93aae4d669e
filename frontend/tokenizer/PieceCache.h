// Pieces repeat (Zipf): remembers the ids of short ones. Private to this folder.
#pragma once

#include "frontend/tokenizer/TokenModel.h"

#include <array>
#include <mutex>

namespace lmc {

/// A table of one cache line a piece; a new piece takes the line of an old one. One caller at a
/// time uses it, others go without.
class PieceCache {
public:
  /// Holds the cache for one encoding, or nothing if another thread has it.
  class Use {
  public:
    explicit Use(PieceCache &cache);
    void encode(const TokenModel &model, std::string_view piece, std::vector<int32_t> &ids);

  private:
    void encodePart(const TokenModel &model, std::string_view part, std::vector<int32_t> &ids);

    PieceCache &cache;
    std::unique_lock<std::mutex> lock;
  };

private:
  struct alignas(64) Line {
    uint8_t length = 0, count = 0; // length 0: free
    std::array<char, 30> piece;
    std::array<int32_t, 8> ids;
  };
  std::mutex mutex;
  std::vector<Line> lines; // a power of two, from the first use on
};

} // namespace lmc
