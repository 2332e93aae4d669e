// KV caches as pools of pages [N, P, G, D], and the table [B, M] that says which page holds which tokens
// of a sequence. What ops promise of it stands in ir/ops/Attention.td.
#pragma once

#include "ir/Shape.h"
#include "ir/Tensor.h"

#include <algorithm>
#include <cstdint>

namespace lmc::lm {

/// Dimensions whose product is the number of tokens that a sequence has room for in a cache [B, S, G, D],
/// or in a pool with `pages`, which may be null.
inline Shape cachedTokens(mlir::Value cache, mlir::Value pages) {
  Shape tokens = {shapeOf(cache)[1]};
  if (pages)
    tokens.insert(tokens.begin(), shapeOf(pages)[1]);
  return tokens;
}

/// Where tokens of a cache lie, counted in rows of G heads; for the evaluator.
class CachedRows {
public:
  /// `pages` may be null.
  CachedRows(const Tensor &cache, const Tensor *pages)
      : pages(pages), numPages(cache.shape[0]), pageTokens(cache.shape[1]) {}

  /// Of each sequence.
  int64_t tokens() const { return pages ? pages->shape[1] * pageTokens : pageTokens; }
  /// The row of a token that is read.
  int64_t read(int64_t sequence, int64_t token) const {
    if (!pages)
      return sequence * pageTokens + token;
    int64_t page = std::clamp<int64_t>(pageOf(sequence, token), 0, numPages - 1);
    return page * pageTokens + token % pageTokens;
  }
  /// The row of a token that is written, or -1: it has none. Without pages drivers see to it that it has.
  int64_t write(int64_t sequence, int64_t token) const {
    if (!pages) {
      assert(token < pageTokens && "drivers keep past + T within the cache");
      return read(sequence, token);
    }
    if (token >= tokens())
      return -1;
    int64_t page = pageOf(sequence, token);
    return page >= 0 && page < numPages ? read(sequence, token) : -1;
  }

private:
  int64_t pageOf(int64_t sequence, int64_t token) const {
    return static_cast<int64_t>(pages->data[sequence * pages->shape[1] + token / pageTokens]);
  }

  const Tensor *pages;
  int64_t numPages, pageTokens;
};

} // namespace lmc::lm
