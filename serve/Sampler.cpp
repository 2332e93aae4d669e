#include "serve/Sampler.h"

#include "runtime/Philox.h"
#include "serve/Failure.h"
#include "serve/Speculation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lmc {
namespace {

void checkSize(std::span<const float> logits, int64_t vocab) {
  if (static_cast<int64_t>(logits.size()) != vocab)
    refuse(Reason::MalformedLogits, "the engine returned {} logits, the vocabulary has {}",
           logits.size(), vocab);
}

/// Says what is wrong with logits that nothing can be drawn from.
[[noreturn]] void refuseMalformed(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i)
    if (!(logits[i] < INFINITY))
      refuse(Reason::MalformedLogits, "the logit of token {} is {}", i, logits[i]);
  refuse(Reason::MalformedLogits, "every logit is -inf");
}

KeptIds kept(std::span<const float> logits, int64_t vocab, const Draw &draw) {
  checkSize(logits, vocab);
  KeptIds ids = keptIds(logits, draw);
  if (ids.total == 0)
    refuseMalformed(logits);
  return ids;
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
    return result(drawnId(kept(logits, vocab, drawOf(options, 0)), bits()), logits);
  }

  std::optional<Draw> draw() override {
    if (options.logprobs)
      return std::nullopt;
    Draw next = drawOf(options, bits());
    ++drawn;
    return next;
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
    double best = *std::ranges::max_element(logits), sum = 0;
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

Draw drawOf(const SamplingOptions &options, uint64_t bits) {
  Draw draw;
  draw.temperature =
      static_cast<float>(std::min<double>(options.temperature, std::numeric_limits<float>::max()));
  draw.topK =
      static_cast<int32_t>(std::min<int64_t>(options.topK, std::numeric_limits<int32_t>::max()));
  draw.topP = static_cast<float>(options.topP);
  draw.bits = bits;
  return draw;
}

std::vector<Scored> distribution(std::span<const float> logits, int64_t vocab,
                                 const SamplingOptions &options) {
  KeptIds ids = kept(logits, vocab, drawOf(options, 0));
  std::vector<Scored> result;
  for (size_t i = 0; i < ids.ids.size(); ++i)
    result.push_back(
        {ids.ids[i], static_cast<double>(ids.weights[i]) / static_cast<double>(ids.total)});
  return result;
}

std::unique_ptr<Sampler> makeSampler(int64_t vocab, const SamplingOptions &options) {
  return std::make_unique<StandardSampler>(vocab, options);
}

} // namespace lmc
