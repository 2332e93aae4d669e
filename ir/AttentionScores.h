// What becomes of attention's scores between q k and the softmax, and which of them there are: the attributes
// of lm.attention and its adjoints as numbers, for whoever builds, evaluates, counts or emits them.
#pragma once

#include "mlir/IR/Builders.h"

#include <algorithm>
#include <cstdint>

namespace lmc::lm {

/// score = scale q k, or softCap tanh(scale q k / softCap).
struct AttentionScores {
  double scale = 1;
  bool causal = false;
  int64_t window = 0; ///< keys that a query sees at most, back from its own position; 0: all
  double softCap = 0; ///< 0: none

  /// Of an op or its adaptor.
  template <typename Op> static AttentionScores of(Op op) {
    return {op.getScale().convertToDouble(), op.getCausal(),
            static_cast<int64_t>(op.getWindow().value_or(0)),
            op.getSoftCap() ? op.getSoftCap()->convertToDouble() : 0};
  }
  llvm::SmallVector<mlir::NamedAttribute> attributes(mlir::Builder &b) const;

  /// The same for `keys` keys: a window that has room for all of them is none.
  AttentionScores over(int64_t keys) const {
    AttentionScores scores = *this;
    scores.window = window < keys ? window : 0;
    return scores;
  }
};

/// Which keys a query sees. Query t of `queries` stands at position past + t.
struct VisibleKeys {
  int64_t queries, keys, past;
  bool causal;
  int64_t window; ///< as in AttentionScores

  VisibleKeys(int64_t queries, int64_t keys, int64_t past, const AttentionScores &scores)
      : queries(queries), keys(keys), past(past), causal(scores.causal), window(scores.window) {}

  /// Query t sees keys [begin(t), end(t)).
  int64_t begin(int64_t t) const {
    return window ? std::max<int64_t>(past + t + 1 - window, 0) : 0;
  }
  int64_t end(int64_t t) const { return std::min(keys, past + (causal ? t + 1 : queries)); }

  /// Pairs of a query and a key that it sees, in closed form. Needs past + queries <= keys.
  double pairs() const {
    auto triangle = [](double n) { return n > 0 ? n * (n + 1) / 2 : 0; };
    double first = static_cast<double>(past), end = first + static_cast<double>(queries);
    if (!causal)
      return static_cast<double>(queries) * end;
    double width = static_cast<double>(window);
    double behind = window ? triangle(end - width) - triangle(first - width) : 0;
    return triangle(end) - triangle(first) - behind;
  }
};

} // namespace lmc::lm
