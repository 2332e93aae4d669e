#include "frontend/tokenizer/BpeModel.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

#include <algorithm>
#include <array>
#include <queue>

namespace lmc {

constexpr size_t mostShort = 48; // symbols

BpeModel::BpeModel(StringMap<int32_t> vocabulary, const std::vector<Merge> &list,
                   std::vector<int32_t> fallback, Options given)
    : tokens(std::move(vocabulary)), fallbackIds(std::move(fallback)), options(std::move(given)),
      characterIds(-1) {
  if (options.symbols == BpeSymbols::Bytes) {
    byteIds.assign(256, -1);
    for (unsigned byte = 0; byte < 256; ++byte)
      if (auto found = tokens.find(std::string(1, char(byte))); found != tokens.end())
        byteIds[byte] = found->second;
  } else {
    for (const auto &[token, id] : tokens)
      if (!token.empty())
        if (unicode::Character c = unicode::characterAt(token); c.length == token.size())
          characterIds.set(c.point, id);
  }
  std::vector<MergeTable::Merge> table;
  table.reserve(list.size());
  for (const Merge &merge : list) {
    auto idOf = [&](std::string_view token) {
      auto found = tokens.find(token);
      if (found == tokens.end())
        fail("merge '{}' '{}' needs '{}', which is not in the vocabulary", toValidUtf8(merge.left),
             toValidUtf8(merge.right), toValidUtf8(token));
      return found->second;
    };
    std::string_view continued = merge.right;
    if (continued.starts_with(options.continuationPrefix))
      continued.remove_prefix(options.continuationPrefix.size());
    int32_t left = idOf(merge.left), right = idOf(merge.right);
    table.push_back({left, right, {merge.rank, idOf(merge.left + std::string(continued))}});
  }
  merges = MergeTable(table);
  if (options.ignoreMerges)
    findUnmerged();
  findNeighbours();
}

/// Of a trained vocabulary there are few or none.
void BpeModel::findUnmerged() {
  std::vector<int32_t> symbols;
  for (const auto &[token, id] : tokens) {
    symbols.clear();
    bool spelled = plainSymbols(token, symbols) == token.size();
    if (!spelled || merge(symbols) != 1)
      unmerged.emplace(token, id);
  }
}

/// No merge reaches across two characters that no token holds side by side, so a piece can be cut
/// there. A text without a pre-tokenizer becomes words this way.
void BpeModel::findNeighbours() {
  bool everyByte =
      options.byteFallback && std::ranges::all_of(fallbackIds, [](int32_t id) { return id >= 0; });
  bool oneByOne = options.symbols == BpeSymbols::Characters && !options.ignoreMerges &&
                  (!options.fuseUnknown || everyByte) && options.wordSuffix.empty() &&
                  options.continuationPrefix.empty();
  if (!oneByOne)
    return;
  neighbours.reserve();
  for (const auto &[token, id] : tokens) {
    char32_t left = 0;
    bool first = true;
    unicode::forEach(token, [&](unicode::Character c, std::string_view) {
      if (!std::exchange(first, false))
        neighbours.add(left, c.point);
      left = c.point;
    });
  }
}

size_t BpeModel::firstPart(std::string_view piece) const {
  if (neighbours.empty())
    return piece.size();
  char32_t left = 0;
  for (size_t at = 0; at < piece.size();) {
    unicode::Character c = unicode::characterAt(piece.substr(at));
    if (at > 0 && !neighbours.mayHold(left, c.point))
      return at;
    left = c.point;
    at += c.length;
  }
  return piece.size();
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

std::optional<int32_t> BpeModel::symbolId(std::string_view symbol, bool first, bool last) const {
  bool suffix = last && !options.wordSuffix.empty();
  bool prefix = !first && !options.continuationPrefix.empty();
  std::string whole;
  if (suffix || prefix)
    symbol = whole = (prefix ? options.continuationPrefix : "") + std::string(symbol) +
                     (suffix ? options.wordSuffix : "");
  auto found = tokens.find(symbol);
  return found == tokens.end() ? std::nullopt : std::optional(found->second);
}

/// Symbols that are found by the byte or character alone, up to the first that is not; returns where
/// that is.
size_t BpeModel::plainSymbols(std::string_view piece, std::vector<int32_t> &symbols) const {
  size_t position = 0;
  auto append = [&](int32_t id, size_t length) {
    if (id < 0)
      return false;
    symbols.push_back(id);
    position += length;
    return true;
  };
  if (!options.wordSuffix.empty() || !options.continuationPrefix.empty())
    return 0;
  if (options.symbols == BpeSymbols::Bytes) {
    while (position < piece.size() && append(byteIds[uint8_t(piece[position])], 1)) {
    }
    return position;
  }
  while (position < piece.size()) {
    unicode::Character c = unicode::characterAt(piece.substr(position));
    if (c.isByte || !append(characterIds[c.point], c.length))
      break;
  }
  return position;
}

void BpeModel::toSymbols(std::string_view piece, std::vector<int32_t> &symbols) const {
  bool afterUnknown = false;
  for (size_t position = 0;;) {
    if (size_t plain = plainSymbols(piece.substr(position), symbols); plain > 0) {
      position += plain;
      afterUnknown = false;
    }
    if (position == piece.size())
      return;
    size_t length = 1;
    if (options.symbols == BpeSymbols::Characters)
      length = unicode::characterAt(piece.substr(position)).length;
    std::string_view what = piece.substr(position, length);
    auto id = symbolId(what, position == 0, position + length == piece.size());
    position += length;
    if (id) {
      symbols.push_back(*id);
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
  if (!unmerged.empty())
    if (auto found = unmerged.find(piece); found != unmerged.end()) {
      ids.push_back(found->second);
      return;
    }
  size_t before = ids.size();
  toSymbols(piece, ids);
  ids.resize(before + merge(std::span(ids).subspan(before)));
}

size_t BpeModel::merge(std::span<int32_t> symbols) const {
  return symbols.size() <= mostShort ? mergeShort(symbols) : mergeLong(symbols);
}

/// Quadratic, but without an allocation: best for words.
size_t BpeModel::mergeShort(std::span<int32_t> symbols) const {
  constexpr MergeTable::Result none{UINT32_MAX, -1};
  std::array<MergeTable::Result, mostShort> candidates; // by the left symbol
  size_t count = symbols.size();
  auto mergeAt = [&](size_t i) {
    const MergeTable::Result *merge =
        i + 1 < count ? merges.find(symbols[i], symbols[i + 1]) : nullptr;
    return merge ? *merge : none;
  };
  for (size_t i = 0; i < count; ++i)
    candidates[i] = mergeAt(i);
  while (count > 1) {
    size_t at = 0;
    for (size_t i = 1; i < count; ++i)
      at = candidates[i].rank < candidates[at].rank ? i : at;
    if (candidates[at].rank == none.rank)
      break;
    symbols[at] = candidates[at].id;
    --count;
    for (size_t i = at + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      candidates[i] = candidates[i + 1];
    }
    candidates[at] = mergeAt(at);
    if (at > 0)
      candidates[at - 1] = mergeAt(at - 1);
  }
  return count;
}

/// A linked list of symbols and a queue of possible merges; an entry whose pair has changed since
/// is skipped when it comes up.
size_t BpeModel::mergeLong(std::span<int32_t> symbols) const {
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
    if (const MergeTable::Result *merge = merges.find(left, right))
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
  return std::remove(symbols.begin(), symbols.end(), -1) - symbols.begin();
}

} // namespace lmc
