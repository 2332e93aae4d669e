// Token ids as batches: inputs [B, T] and the same shifted by one as targets [B, T].
#pragma once

#include "frontend/data/TokenFile.h"
#include "frontend/data/WindowOrder.h"

#include <memory>
#include <optional>
#include <vector>

namespace lmc {

struct Batch {
  std::vector<int32_t> tokens, targets; // [B, T], row-major
  int64_t position = 0;                 // its number, counted in micro-batches
};

enum class DataOrder { Sequential, Shuffled };

struct BatchOptions {
  int64_t sequences = 0; // B
  int64_t length = 0;    // T
  int64_t vocab = 0;     // ids must be below
  DataOrder order = DataOrder::Shuffled;
  uint64_t seed = 0; // of Shuffled
};

/// read(position) is a pure function of position; safe from several threads.
///   Sequential: batch i reads tokens [i*B*T, (i+1)*B*T], row b is its b-th run of T tokens. After
///   the last batch that is complete it starts again at token 0; the rest at the end is never read.
///   Shuffled: row b is sequence position*B + b of WindowOrder; a batch may reach into the next
///   epoch.
class BatchSource {
public:
  /// Error if the file has too few tokens for one batch (Sequential) or one sequence (Shuffled), or
  /// if B, T or vocab are not positive.
  BatchSource(std::shared_ptr<const TokenFile> tokens, const BatchOptions &options);

  /// Error naming the token's position if an id is outside the vocabulary.
  Batch read(int64_t position) const;

  /// Batches until every token has been read once; at least 1.
  int64_t batchesPerEpoch() const { return perEpoch; }

private:
  std::shared_ptr<const TokenFile> tokens;
  BatchOptions options;
  std::optional<WindowOrder> windows; // Shuffled
  int64_t perEpoch = 1;
};

} // namespace lmc
