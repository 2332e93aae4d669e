#include "serve/Sampler.h"

#include "runtime/Philox.h"
#include "serve/Failure.h"
#include "serve/Speculation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lmc {
namespace {

/// The largest logit, once all of them are known to be usable.
double checkedMax(std::span<const float> logits, int64_t vocab) {
  if (static_cast<int64_t>(logits.size()) != vocab)
    refuse(Reason::MalformedLogits, "the engine returned {} logits, the vocabulary has {}",
           logits.size(), vocab);
  float best = -INFINITY;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY)
      refuse(Reason::MalformedLogits, "the logit of token {} is {}", i, logits[i]);
    best = std::max(best, logits[i]);
  }
  if (best == -INFINITY)
    refuse(Reason::MalformedLogits, "every logit is -inf");
  return best;
}

struct MoreLikely {
  std::span<const float> logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

/// Sorts only the first n of `ids`: a vocabulary is long and a filter keeps little of it.
void sortBest(std::vector<int32_t> &ids, size_t n, std::span<const float> logits) {
  MoreLikely order{logits};
  if (n < ids.size())
    std::nth_element(ids.begin(), ids.begin() + n, ids.end(), order);
  std::sort(ids.begin(), ids.begin() + std::min(n, ids.size()), order);
}

/// How many of `ids` top-p keeps; leaves that many sorted in front.
size_t keepTopP(std::vector<int32_t> &ids, std::span<const float> logits, double topP, double total,
                const auto &weight) {
  for (size_t sorted = std::min<size_t>(256, ids.size());;
       sorted = std::min(sorted * 8, ids.size())) {
    sortBest(ids, sorted, logits);
    double sum = 0;
    for (size_t i = 0; i < sorted; ++i)
      if ((sum += weight(ids[i])) >= topP * total)
        return i + 1;
    if (sorted == ids.size())
      return sorted; // rounding kept the sum below topP
  }
}

std::vector<int32_t> allIds(size_t vocab) {
  std::vector<int32_t> ids(vocab);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

/// In [0, 1), 53 bits.
double unitInterval(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

class StandardSampler : public Sampler {
public:
  StandardSampler(int64_t vocab, const SamplingOptions &options) : vocab(vocab), options(options) {}

  Sampled sample(std::span<const float> logits) override {
    return result(pick(distribution(logits, vocab, options), bits()), logits);
  }

  Sampled sampleWithDraft(std::span<const float> logits, int32_t draft,
                          const std::vector<Scored> &q) override {
    if (q.empty())
      return sample(logits);
    auto p = distribution(logits, vocab, options);
    bool keep =
        unitInterval(Philox(options.seed, acceptStream).bits64(drawn)) < acceptance(p, q, draft);
    return result(keep ? draft : pick(remainder(p, q), bits()), logits);
  }

private:
  static constexpr uint64_t acceptStream = 2; // draws are of stream 0, a draft model's of stream 1

  uint64_t bits() const { return Philox(options.seed).bits64(drawn); }

  Sampled result(int32_t token, std::span<const float> logits) {
    Sampled result;
    result.token = token;
    ++drawn;
    if (options.logprobs)
      addLogprobs(result, logits);
    return result;
  }

  void addLogprobs(Sampled &result, std::span<const float> logits) const {
    double best = checkedMax(logits, vocab), sum = 0;
    for (float logit : logits)
      sum += std::exp(logit - best);
    double logSum = best + std::log(sum);
    result.logprob = logits[result.token] - logSum;
    auto ids = allIds(logits.size());
    size_t count = std::min<size_t>(*options.logprobs, ids.size());
    sortBest(ids, count, logits);
    for (size_t i = 0; i < count; ++i)
      result.top.push_back({ids[i], logits[ids[i]] - logSum});
  }

  int64_t vocab;
  SamplingOptions options;
  uint64_t drawn = 0;
};

} // namespace

int32_t pick(const std::vector<Scored> &candidates, uint64_t bits) {
  if (candidates.size() == 1)
    return candidates.front().token;
  double point = unitInterval(bits), sum = 0;
  for (const Scored &candidate : candidates)
    if ((sum += candidate.value) > point)
      return candidate.token;
  return candidates.back().token; // rounding kept the sum below 1
}

std::vector<Scored> distribution(std::span<const float> logits, int64_t vocab,
                                 const SamplingOptions &options) {
  double best = checkedMax(logits, vocab);
  if (options.temperature == 0) {
    auto first = std::find(logits.begin(), logits.end(), static_cast<float>(best));
    return {{static_cast<int32_t>(first - logits.begin()), 1.0}};
  }
  auto weight = [&](int32_t id) { return std::exp((logits[id] - best) / options.temperature); };
  auto ids = allIds(logits.size());
  if (options.topK > 0 && options.topK < static_cast<int64_t>(ids.size())) {
    sortBest(ids, options.topK, logits);
    ids.resize(options.topK);
  }
  auto totalWeight = [&] {
    double total = 0;
    for (int32_t id : ids)
      total += weight(id);
    return total;
  };
  double total = totalWeight();
  if (options.topP < 1) {
    ids.resize(keepTopP(ids, logits, options.topP, total, weight));
    total = totalWeight();
  }
  std::vector<Scored> kept;
  for (int32_t id : ids)
    if (double value = weight(id) / total; value > 0)
      kept.push_back({id, value});
  return kept;
}

std::unique_ptr<Sampler> makeSampler(int64_t vocab, const SamplingOptions &options) {
  return std::make_unique<StandardSampler>(vocab, options);
}

} // namespace lmc
