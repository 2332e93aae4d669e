// Micro-batches as the training loop reads them.
#pragma once

#include <cstdint>
#include <span>

namespace lmc {

class BatchSource {
public:
  virtual ~BatchSource() = default;

  /// The next micro-batch: ids and targets, row-major [B, T]; valid until the next call.
  struct Batch {
    std::span<const int32_t> tokens, targets;
  };
  virtual Batch next() = 0;

  /// Micro-batches read so far; seek(position()) goes on with the same batch later.
  virtual uint64_t position() const = 0;
  virtual void seek(uint64_t position) = 0;

  /// Micro-batches until the data repeats.
  virtual uint64_t batchesPerEpoch() const = 0;
};

} // namespace lmc
