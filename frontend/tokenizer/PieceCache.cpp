#include "frontend/tokenizer/PieceCache.h"

#include <algorithm>
#include <cstring>

namespace lmc {

PieceCache::Use::Use(PieceCache &cache) : cache(cache), lock(cache.mutex, std::try_to_lock) {
  constexpr size_t numLines = 1 << 15; // 2 MiB
  if (lock.owns_lock() && cache.lines.empty())
    cache.lines.resize(numLines);
}

/// Eight bytes at a time; a collision costs a look at the model, nothing else.
static size_t hashOf(std::string_view piece) {
  uint64_t hash = piece.size();
  while (!piece.empty()) {
    uint64_t word = 0;
    size_t count = std::min(piece.size(), sizeof(word));
    std::memcpy(&word, piece.data(), count);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
    piece.remove_prefix(count);
  }
  return hash >> 7;
}

void PieceCache::Use::encode(const TokenModel &model, std::string_view piece,
                             std::vector<int32_t> &ids) {
  while (!piece.empty()) {
    size_t length = model.firstPart(piece);
    encodePart(model, piece.substr(0, length), ids);
    piece.remove_prefix(length);
  }
}

void PieceCache::Use::encodePart(const TokenModel &model, std::string_view part,
                                 std::vector<int32_t> &ids) {
  if (!lock.owns_lock() || part.size() > std::tuple_size_v<decltype(Line::piece)>)
    return model.encode(part, ids);
  Line &line = cache.lines[hashOf(part) & (cache.lines.size() - 1)];
  if (line.length != part.size() || std::memcmp(line.piece.data(), part.data(), part.size()) != 0) {
    size_t before = ids.size();
    model.encode(part, ids);
    size_t count = ids.size() - before;
    if (count > line.ids.size())
      return;
    line.length = uint8_t(part.size());
    line.count = uint8_t(count);
    std::copy(part.begin(), part.end(), line.piece.begin());
    std::copy(ids.begin() + before, ids.end(), line.ids.begin());
    return;
  }
  for (uint8_t i = 0; i < line.count; ++i)
    ids.push_back(line.ids[i]);
}

} // namespace lmc
