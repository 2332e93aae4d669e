#include "frontend/tokenizer/BpeModel.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

#include <algorithm>
#include <queue>

namespace lmc {

BpeModel::BpeModel(StringMap<int32_t> vocabulary, const std::vector<Merge> &list,
                   std::vector<int32_t> fallback, Options given)
    : tokens(std::move(vocabulary)), fallbackIds(std::move(fallback)), options(std::move(given)),
      merges(list.size()) {
  if (options.symbols == BpeSymbols::Bytes) {
    byteIds.assign(256, -1);
    for (unsigned byte = 0; byte < 256; ++byte)
      if (auto found = tokens.find(std::string(1, char(byte))); found != tokens.end())
        byteIds[byte] = found->second;
  }
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
    merges.insert(left, right, {merge.rank, idOf(merge.left + std::string(continued))});
  }
  findNeighbours();
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
  if (!suffix && !prefix && options.symbols == BpeSymbols::Bytes) {
    int32_t id = byteIds[uint8_t(symbol[0])];
    return id >= 0 ? std::optional(id) : std::nullopt;
  }
  std::string whole;
  if (suffix || prefix)
    symbol = whole = (prefix ? options.continuationPrefix : "") + std::string(symbol) +
                     (suffix ? options.wordSuffix : "");
  auto found = tokens.find(symbol);
  return found == tokens.end() ? std::nullopt : std::optional(found->second);
}

void BpeModel::toSymbols(std::string_view piece, std::vector<int32_t> &symbols) const {
  symbols.reserve(piece.size());
  bool afterUnknown = false;
  for (size_t position = 0; position < piece.size();) {
    size_t length = 1;
    if (options.symbols == BpeSymbols::Characters)
      length = std::max<size_t>(1, utf8Length(piece.substr(position)));
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
  constexpr Result none{UINT32_MAX, -1};
  auto mergeAt = [&](size_t i) {
    const Result *merge =
        i + 1 < symbols.size() ? merges.find(symbols[i], symbols[i + 1]) : nullptr;
    return merge ? *merge : none;
  };
  std::vector<Result> candidates(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i)
    candidates[i] = mergeAt(i);
  while (symbols.size() > 1) {
    auto best = std::min_element(candidates.begin(), candidates.end(),
                                 [](Result a, Result b) { return a.rank < b.rank; });
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
    if (const Result *merge = merges.find(left, right))
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

} // namespace lmc
