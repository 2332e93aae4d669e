#include "frontend/tokenizer/PieceCache.h"

#include <algorithm>
#include <cstring>

namespace lmc {

PieceCache::Use::Use(PieceCache &cache) : cache(cache), lock(cache.mutex, std::try_to_lock) {
  constexpr size_t numLines = 1 << 15; // 2 MiB
  if (lock.owns_lock() && cache.lines.empty())
    cache.lines.resize(numLines);
}

template <typename Word> static uint64_t wordAt(const char *bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

/// Of words of fixed sizes, the last of which overlaps the one before: bytes that are gathered one by
/// one would have to wait for each other. A collision costs a look at the model, nothing else.
static size_t hashOf(std::string_view piece) {
  const char *bytes = piece.data(), *end = bytes + piece.size();
  uint64_t hash = piece.size();
  auto add = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  };
  if (piece.size() >= 8) {
    for (; end - bytes > 8; bytes += 8)
      add(wordAt<uint64_t>(bytes));
    add(wordAt<uint64_t>(end - 8));
  } else if (piece.size() >= 4) {
    add(wordAt<uint32_t>(bytes) << 32 | wordAt<uint32_t>(end - 4));
  } else {
    add(uint64_t(uint8_t(bytes[0])) << 16 | uint64_t(uint8_t(bytes[piece.size() / 2])) << 8 |
        uint8_t(end[-1]));
  }
  return hash >> 7;
}

bool PieceCache::Line::holds(std::string_view text) const {
  return length == text.size() && std::memcmp(piece.data(), text.data(), text.size()) == 0;
}

void PieceCache::Use::encode(const TokenModel &model, std::span<const std::string_view> pieces,
                             std::vector<int32_t> &ids) {
  // Lines are fetched some parts ahead: most are not in the nearest caches.
  std::array<Part, 16> ahead;
  size_t numAhead = 0;
  auto encodeAhead = [&] {
    for (size_t i = 0; i < numAhead; ++i)
      encodePart(model, ahead[i], ids);
    numAhead = 0;
  };
  const bool owned = lock.owns_lock();
  for (std::string_view piece : pieces)
    while (!piece.empty()) {
      std::string_view part = piece.substr(0, model.firstPart(piece));
      piece.remove_prefix(part.size());
      size_t place = 0;
      if (owned && part.size() <= std::tuple_size_v<decltype(Line::piece)>) {
        place = hashOf(part) & (cache.lines.size() - 1);
        __builtin_prefetch(&cache.lines[place]);
      }
      ahead[numAhead++] = {part, place};
      if (numAhead == ahead.size())
        encodeAhead();
    }
  encodeAhead();
}

void PieceCache::Use::encodePart(const TokenModel &model, Part part, std::vector<int32_t> &ids) {
  if (!lock.owns_lock() || part.text.size() > std::tuple_size_v<decltype(Line::piece)>)
    return model.encode(part.text, ids);
  Line &first = cache.lines[part.place], &second = cache.lines[part.place ^ 1];
  if (const Line *line = first.holds(part.text)    ? &first
                         : second.holds(part.text) ? &second
                                                   : nullptr) {
    for (uint8_t i = 0; i < line->count; ++i)
      ids.push_back(line->ids[i]);
    return;
  }
  size_t before = ids.size();
  model.encode(part.text, ids);
  size_t count = ids.size() - before;
  if (count > first.ids.size())
    return;
  second = first;
  first.length = uint8_t(part.text.size());
  first.count = uint8_t(count);
  std::copy(part.text.begin(), part.text.end(), first.piece.begin());
  std::copy(ids.begin() + before, ids.end(), first.ids.begin());
}

} // namespace lmc
