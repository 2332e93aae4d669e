#include "frontend/tokenizer/BpeModel.h"

#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <algorithm>
#include <queue>

namespace lmc {

static uint64_t pairKey(int32_t left, int32_t right) {
  return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
}

BpeModel::BpeModel(StringMap<int32_t> vocabulary, std::vector<int32_t> fallback, Options options)
    : tokens(std::move(vocabulary)), fallbackIds(std::move(fallback)), options(options) {
  if (options.symbols == BpeSymbols::Bytes) {
    byteIds.assign(256, -1);
    for (unsigned byte = 0; byte < 256; ++byte)
      if (auto found = tokens.find(std::string(1, char(byte))); found != tokens.end())
        byteIds[byte] = found->second;
  }
}

void BpeModel::addMerge(std::string_view left, std::string_view right) {
  auto idOf = [&](std::string_view token) {
    auto found = tokens.find(token);
    if (found == tokens.end())
      fail("merge {} ('{}' '{}') needs '{}', which is not in the vocabulary", nextRank,
           toValidUtf8(left), toValidUtf8(right), toValidUtf8(token));
    return found->second;
  };
  int32_t leftId = idOf(left), rightId = idOf(right);
  int32_t merged = idOf(std::string(left) + std::string(right));
  merges[pairKey(leftId, rightId)] = {nextRank++, merged};
}

const BpeModel::Merge *BpeModel::findMerge(int32_t left, int32_t right) const {
  auto found = merges.find(pairKey(left, right));
  return found == merges.end() ? nullptr : &found->second;
}

void BpeModel::appendUnknown(std::vector<int32_t> &symbols, bool &afterUnknown,
                             std::string_view what) const {
  if (!options.unknownId)
    fail("the tokenizer has no token for '{}' (byte 0x{:02x}) and no unknown token",
         toValidUtf8(what), uint8_t(what[0]));
  if (!afterUnknown || !options.fuseUnknown)
    symbols.push_back(*options.unknownId);
  afterUnknown = true;
}

void BpeModel::toSymbols(std::string_view piece, std::vector<int32_t> &symbols) const {
  symbols.reserve(piece.size());
  bool afterUnknown = false;
  for (size_t position = 0; position < piece.size();) {
    size_t length = 1;
    int32_t id = -1;
    if (options.symbols == BpeSymbols::Bytes) {
      id = byteIds[uint8_t(piece[position])];
    } else {
      length = std::max<size_t>(1, utf8Length(piece.substr(position)));
      if (auto found = tokens.find(piece.substr(position, length)); found != tokens.end())
        id = found->second;
    }
    std::string_view what = piece.substr(position, length);
    position += length;
    if (id >= 0) {
      symbols.push_back(id);
      afterUnknown = false;
      continue;
    }
    auto fallbackOf = [&](char byte) { return fallbackIds[uint8_t(byte)]; };
    if (options.byteFallback &&
        std::all_of(what.begin(), what.end(), [&](char byte) { return fallbackOf(byte) >= 0; })) {
      std::transform(what.begin(), what.end(), std::back_inserter(symbols), fallbackOf);
      afterUnknown = false;
      continue;
    }
    appendUnknown(symbols, afterUnknown, what);
  }
}

void BpeModel::encode(std::string_view piece, std::vector<int32_t> &ids) const {
  if (options.ignoreMerges)
    if (auto found = tokens.find(piece); found != tokens.end()) {
      ids.push_back(found->second);
      return;
    }
  std::vector<int32_t> symbols;
  toSymbols(piece, symbols);
  if (symbols.size() <= 48)
    mergeShort(symbols);
  else
    mergeLong(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

/// Quadratic, but without an allocation per pair: best for words.
void BpeModel::mergeShort(std::vector<int32_t> &symbols) const {
  constexpr Merge none{UINT32_MAX, -1};
  auto mergeAt = [&](size_t i) {
    const Merge *merge = i + 1 < symbols.size() ? findMerge(symbols[i], symbols[i + 1]) : nullptr;
    return merge ? *merge : none;
  };
  std::vector<Merge> candidates(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i)
    candidates[i] = mergeAt(i);
  while (symbols.size() > 1) {
    auto best = std::min_element(candidates.begin(), candidates.end(),
                                 [](Merge a, Merge b) { return a.rank < b.rank; });
    if (best->rank == UINT32_MAX)
      return;
    size_t at = best - candidates.begin();
    symbols[at] = best->id;
    symbols.erase(symbols.begin() + at + 1);
    candidates.erase(candidates.begin() + at + 1);
    candidates[at] = mergeAt(at);
    if (at > 0)
      candidates[at - 1] = mergeAt(at - 1);
  }
}

/// A linked list of symbols and a queue of possible merges; an entry whose pair has changed since
/// is skipped when it comes up.
void BpeModel::mergeLong(std::vector<int32_t> &symbols) const {
  struct Link {
    int64_t previous, next; // -1: none
  };
  struct Candidate {
    uint32_t rank;
    int64_t at;
    int32_t left, right, id;
    bool operator<(const Candidate &other) const { // a max-heap: the best is the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  int64_t count = int64_t(symbols.size());
  std::vector<Link> links(symbols.size());
  for (int64_t i = 0; i < count; ++i)
    links[i] = {i - 1, i + 1 < count ? i + 1 : -1};
  std::priority_queue<Candidate> queue;
  auto offer = [&](int64_t at) {
    if (at < 0 || links[at].next < 0)
      return;
    int32_t left = symbols[at], right = symbols[links[at].next];
    if (const Merge *merge = findMerge(left, right))
      queue.push({merge->rank, at, left, right, merge->id});
  };
  for (int64_t i = 0; i < count; ++i)
    offer(i);
  while (!queue.empty()) {
    Candidate top = queue.top();
    queue.pop();
    int64_t next = links[top.at].next;
    if (symbols[top.at] != top.left || next < 0 || symbols[next] != top.right)
      continue;
    symbols[top.at] = top.id;
    symbols[next] = -1; // gone
    links[top.at].next = links[next].next;
    if (links[next].next >= 0)
      links[links[next].next].previous = top.at;
    offer(links[top.at].previous);
    offer(top.at);
  }
  std::erase(symbols, -1);
}

void PieceCache::Use::encode(const BpeModel &model, std::string_view piece,
                             std::vector<int32_t> &ids) {
  constexpr size_t longestPiece = 48, mostPieces = 1 << 16;
  if (!lock.owns_lock() || piece.size() > longestPiece)
    return model.encode(piece, ids);
  auto found = cache.idsOfPiece.find(piece);
  if (found == cache.idsOfPiece.end()) {
    if (cache.idsOfPiece.size() >= mostPieces)
      cache.idsOfPiece.clear();
    std::vector<int32_t> own;
    model.encode(piece, own);
    found = cache.idsOfPiece.emplace(std::string(piece), std::move(own)).first;
  }
  ids.insert(ids.end(), found->second.begin(), found->second.end());
}

} // namespace lmc
