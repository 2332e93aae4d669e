#include "runtime/Sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lmc {
namespace {

uint64_t upperHalf(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
}

/// The largest logit; +inf of malformed ones.
float largestOf(std::span<const float> logits) {
  float largest = -INFINITY;
  bool isMalformed = logits.empty();
  for (float logit : logits) {
    isMalformed |= !(logit < INFINITY);
    largest = std::max(largest, logit);
  }
  return isMalformed || largest == -INFINITY ? INFINITY : largest;
}

struct MoreLikely {
  std::span<const float> logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

/// Sorts only the first n of `ids`: a vocabulary is long and a filter keeps little of it.
void sortBest(std::vector<int32_t> &ids, size_t n, MoreLikely order) {
  if (n < ids.size())
    std::nth_element(ids.begin(), ids.begin() + n, ids.end(), order);
  std::sort(ids.begin(), ids.begin() + std::min(n, ids.size()), order);
}

/// How many of `ids` have `wanted` in sum; leaves that many sorted in front.
size_t shortestRun(std::vector<int32_t> &ids, MoreLikely order, uint64_t wanted,
                   const auto &weightOf) {
  for (size_t sorted = std::min<size_t>(256, ids.size());;
       sorted = std::min(sorted * 8, ids.size())) {
    sortBest(ids, sorted, order);
    uint64_t sum = 0;
    for (size_t i = 0; i < sorted; ++i)
      if ((sum += weightOf(ids[i])) >= wanted)
        return i + 1;
    if (sorted == ids.size())
      return sorted;
  }
}

} // namespace

KeptIds keptIds(std::span<const float> logits, const Draw &draw) {
  KeptIds kept;
  float largest = largestOf(logits);
  if (largest == INFINITY)
    return kept;
  if (!(draw.temperature > 0)) {
    kept.ids = {static_cast<int32_t>(std::ranges::find(logits, largest) - logits.begin())};
    kept.total = uint64_t(1) << kSamplingFraction;
    kept.weights = {kept.total};
    return kept;
  }
  auto weightOf = [&](int32_t id) { return samplingWeight(logits[id], largest, draw.temperature); };
  MoreLikely order{logits};
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  bool isFiltered = draw.topP < 1;
  if (draw.topK > 0 && draw.topK < std::ssize(ids)) {
    std::nth_element(ids.begin(), ids.begin() + draw.topK, ids.end(), order);
    ids.resize(draw.topK);
    isFiltered = true;
  }
  if (draw.topP < 1) {
    uint64_t sum = 0;
    for (int32_t id : ids)
      sum += weightOf(id);
    auto share = static_cast<uint64_t>(std::max(draw.topP, 0.f) * 0x1p32f);
    ids.resize(shortestRun(ids, order, upperHalf(sum, share << 32), weightOf));
  }
  if (isFiltered)
    std::ranges::sort(ids);
  for (int32_t id : ids)
    if (uint64_t weight = weightOf(id); weight > 0) {
      kept.ids.push_back(id);
      kept.weights.push_back(weight);
      kept.total += weight;
    }
  return kept;
}

int32_t drawnId(const KeptIds &kept, uint64_t bits) {
  uint64_t point = upperHalf(kept.total, bits), sum = 0;
  for (size_t i = 0; i < kept.ids.size(); ++i)
    if ((sum += kept.weights[i]) > point)
      return kept.ids[i];
  return -1;
}

} // namespace lmc
