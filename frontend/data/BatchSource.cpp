#include "frontend/data/BatchSource.h"

#include "runtime/Error.h"

#include <algorithm>

namespace lmc {

BatchSource::BatchSource(std::shared_ptr<const TokenFile> file, const BatchOptions &options)
    : tokens(std::move(file)), options(options) {
  int64_t perBatch = 0;
  if (options.sequences <= 0 || options.length <= 0 ||
      __builtin_mul_overflow(options.sequences, options.length, &perBatch) || perBatch > INT32_MAX)
    fail("a batch of {} sequences of {} tokens is not possible", options.sequences, options.length);
  if (options.vocab <= 0 || options.vocab > INT32_MAX)
    fail("a vocabulary of {} tokens is not possible", options.vocab);
  bool shuffled = options.order == DataOrder::Shuffled;
  int64_t needed = (shuffled ? options.length : perBatch) + 1;
  if (tokens->size() < needed)
    fail("'{}': has {} tokens, {} needs at least {}", tokens->name(), tokens->size(),
         shuffled ? fmt::format("a sequence of {}", options.length)
                  : fmt::format("a batch of {} sequences of {}", options.sequences, options.length),
         needed);
  if (shuffled) {
    windows.emplace(tokens->size(), options.length, options.seed);
    perEpoch = (windows->windowsPerEpoch() + options.sequences - 1) / options.sequences;
  } else {
    perEpoch = (tokens->size() - 1) / perBatch;
  }
}

Batch BatchSource::read(int64_t position) const {
  int64_t firstSequence = 0;
  if (position < 0 || __builtin_mul_overflow(position, options.sequences, &firstSequence) ||
      firstSequence > INT64_MAX - options.sequences)
    fail("data position {} is not possible", position);
  size_t length = size_t(options.length), count = size_t(options.sequences) * length;
  Batch batch{std::vector<int32_t>(count), std::vector<int32_t>(count), position};
  std::vector<int32_t> run(length + 1);
  for (int64_t row = 0; row < options.sequences; ++row) {
    int64_t first = windows ? windows->firstToken(firstSequence + row)
                            : (position % perEpoch * options.sequences + row) * options.length;
    tokens->read(first, run, options.vocab);
    std::copy(run.begin(), run.end() - 1, batch.tokens.begin() + row * options.length);
    std::copy(run.begin() + 1, run.end(), batch.targets.begin() + row * options.length);
  }
  return batch;
}

} // namespace lmc
