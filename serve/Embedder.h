// Vectors of texts by an encoder.
#pragma once

#include "runtime/Session.h"

#include <memory>
#include <span>
#include <vector>

namespace lmc {

struct EmbedderOptions {
  bool first = false;      ///< the first token's vector; else the mean of all
  bool normalized = false; ///< divided by its length
};

/// Runs one text at a time, at its own length: there is no padding that a mask would have to hide.
class Embedder {
public:
  /// The executable has a program @forward from tokens [1, T], ids below `vocab`, to hidden [1, T, C].
  /// Throws Error where it has none.
  Embedder(std::shared_ptr<const Executable> executable, int64_t vocab, EmbedderOptions options,
           int threads);

  int64_t width() const { return numFeatures; } ///< C
  int64_t longest() const { return numTokens; } ///< T at the most

  /// The vector [C] of a text's tokens. Throws Error for no tokens, too many, and ids outside the vocabulary.
  std::vector<float> embed(std::span<const int32_t> tokens);

private:
  std::shared_ptr<const Executable> executable;
  int64_t vocab;
  EmbedderOptions options;
  Session session;
  int64_t numFeatures, numTokens;
};

} // namespace lmc
