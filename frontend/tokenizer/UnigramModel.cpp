#include "frontend/tokenizer/UnigramModel.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory_resource>

namespace lmc {

constexpr std::string_view space = "\u2581"; // "▁"

/// Where the first space after another character is.
static size_t nextSpace(std::string_view text) {
  size_t at = text.find(space, 1);
  while (at != std::string_view::npos && text.substr(0, at).ends_with(space))
    at = text.find(space, at + 1);
  return at;
}

static std::vector<TokenTrie::Token> textsOf(const std::vector<UnigramModel::Piece> &pieces) {
  std::vector<TokenTrie::Token> texts;
  for (const UnigramModel::Piece &piece : pieces)
    texts.emplace_back(piece.text, int32_t(texts.size()));
  return texts;
}

UnigramModel::UnigramModel(const std::vector<Piece> &pieces, std::optional<int32_t> unknown,
                           std::vector<int32_t> fallback)
    : trie(textsOf(pieces)), unknownId(unknown), fallbackIds(std::move(fallback)) {
  constexpr double penalty = 10.0;
  double least = std::numeric_limits<double>::infinity();
  for (const Piece &piece : pieces) {
    if (!piece.text.empty())
      least = std::min(least, piece.score);
    scores.push_back(piece.score);
  }
  unknownScore = least - penalty;
  cutsBeforeSpaces = std::ranges::any_of(pieces, [](const Piece &p) { return p.text == space; }) &&
                     std::ranges::all_of(pieces, [](const Piece &p) {
                       return nextSpace(p.text) == std::string::npos;
                     });
}

size_t UnigramModel::firstPart(std::string_view piece) const {
  return cutsBeforeSpaces ? std::min(nextSpace(piece), piece.size()) : piece.size();
}

void UnigramModel::appendUnknown(std::string_view text, std::vector<int32_t> &ids) const {
  auto fallbackOf = [&](char byte) { return fallbackIds[uint8_t(byte)]; };
  if (!fallbackIds.empty() &&
      std::ranges::all_of(text, [&](char byte) { return fallbackOf(byte) >= 0; })) {
    std::ranges::transform(text, std::back_inserter(ids), fallbackOf);
    return;
  }
  if (!unknownId)
    fail("the tokenizer has no token for '{}' (byte 0x{:02x}) and no unknown token",
         toValidUtf8(text), uint8_t(text[0]));
  ids.push_back(*unknownId);
}

void UnigramModel::encode(std::string_view piece, std::vector<int32_t> &ids) const {
  constexpr int32_t unknown = -2;
  struct Best { // of the paths that end at a byte
    double score = 0;
    uint32_t length = 0; // of the last piece
    int32_t id = -1;     // -1: no path
  };
  std::array<std::byte, 4096> nearby; // enough for words
  std::pmr::monotonic_buffer_resource memory(nearby.data(), nearby.size());
  std::pmr::vector<Best> best(piece.size() + 1, &memory);
  for (size_t at = 0, length = 0; at < piece.size(); at += length) {
    std::string_view rest = piece.substr(at);
    unicode::Character first = unicode::characterAt(rest);
    length = first.length;
    double before = best[at].score;
    auto offer = [&](size_t size, double score, int32_t id) {
      Best &end = best[at + size];
      if (end.id == -1 || before + score > end.score)
        end = {before + score, uint32_t(size), id};
    };
    bool known = false;
    trie.forEachPrefix(rest, first, [&](size_t size, int32_t id) {
      offer(size, scores[id], id);
      known |= size == length;
    });
    if (!known)
      offer(length, unknownScore, unknown);
  }

  // Backwards along the best path, so that each piece of it comes to lie where it begins.
  Best step = best.back();
  for (size_t end = piece.size(); end > 0;) {
    end -= step.length;
    std::swap(step, best[end]);
    if (best[end].id == unknownId)
      best[end].id = unknown;
  }
  for (size_t at = 0; at < piece.size();) {
    if (best[at].id != unknown) {
      ids.push_back(best[at].id);
      at += best[at].length;
      continue;
    }
    size_t begin = at; // unknowns that touch are one
    while (at < piece.size() && best[at].id == unknown)
      at += best[at].length;
    appendUnknown(piece.substr(begin, at - begin), ids);
  }
}

} // namespace lmc
