// Pieces repeat (Zipf): remembers the ids of short ones. Private to this folder.
#pragma once

#include "frontend/tokenizer/TokenModel.h"

#include <array>
#include <mutex>
#include <span>

namespace lmc {

/// A table of one cache line a piece. A piece has two places, side by side; a new one moves what is
/// in the first to the second. One caller at a time uses it, others go without.
class PieceCache {
public:
  /// Holds the cache for one encoding, or nothing if another thread has it.
  class Use {
  public:
    explicit Use(PieceCache &cache);
    /// Appends the ids of all pieces.
    void encode(const TokenModel &model, std::span<const std::string_view> pieces,
                std::vector<int32_t> &ids);

  private:
    struct Part {
      std::string_view text;
      size_t place; // in lines
    };
    void encodePart(const TokenModel &model, Part part, std::vector<int32_t> &ids);

    PieceCache &cache;
    std::unique_lock<std::mutex> lock;
  };

private:
  struct alignas(64) Line {
    uint8_t length = 0, count = 0; // length 0: free
    std::array<char, 30> piece;
    std::array<int32_t, 8> ids;

    bool holds(std::string_view text) const;
  };
  std::mutex mutex;
  std::vector<Line> lines; // a power of two, from the first use on
};

} // namespace lmc
