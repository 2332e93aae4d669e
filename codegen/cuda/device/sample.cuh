// Ids drawn from rows of logits, as runtime/Sampling.h says. Weights are integers, whose sums are the
// same in any order; what top-k and top-p keep is found by thresholds instead of sorting.

namespace lmc {

using Weight = unsigned long long; ///< in units of 2^-40

struct Sampling {
  float temperature;
  int topK;
  float topP;
  Weight bits;
};

/// Integers in the order of the numbers: NaN largest, -0 as 0. None is INT_MIN.
__device__ __forceinline__ int orderedKey(float x) {
  const int raw = static_cast<int>(__float_as_uint(x + 0.0f));
  return x != x ? 0x7fffffff : raw < 0 ? raw ^ 0x7fffffff : raw;
}
__device__ __forceinline__ float ofOrderedKey(int key) {
  return __uint_as_float(static_cast<unsigned>(key < 0 ? key ^ 0x7fffffff : key));
}

/// samplingWeight(): the same steps, so the same bits.
__device__ __forceinline__ Weight samplingWeight(float logit, float largest, float temperature) {
  const float x = (logit - largest) / temperature;
  if (!(x >= -28.0f))
    return 0;
  const float shifted = x * 0x1.715476p0f + 0x1.8p23f;
  const float n = shifted - 0x1.8p23f;
  const float r = (x - n * 0x1.63p-1f) - n * -0x1.bd0106p-13f;
  float sum = 1.9875691500e-4f;
  sum = sum * r + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  const float y = (sum * (r * r) + r) + 1.0f;
  const unsigned exponent = __float_as_uint(shifted) - __float_as_uint(0x1.8p23f) + (127 + 40);
  return static_cast<Weight>(y * __uint_as_float(exponent << 23));
}

/// Ids that a filter keeps: those with larger keys, and the first `equals` with the key itself.
struct KeptIds {
  int key;
  Weight equals, total; ///< `total`: their weights' sum
};

constexpr int kDigitBits = 4;
constexpr int kBins = 1 << kDigitBits;

/// One row of `count` logits and the block of Threads that draws from it. logit(i) is a logit; `shared`
/// has room for kBins numbers a thread, and nothing else uses it. All threads call every function with
/// the same arguments, and get the same results.
template <int Threads, typename Logit> struct SampledRow {
  static constexpr int kWarps = Threads / kWarp;
  static_assert(kWarps == kBins, "a warp adds up a bin, and takes a piece of the ids");

  Logit logit;
  int count;
  Sampling options;
  Weight *shared;

  __device__ __forceinline__ int keyAt(int id) const { return orderedKey(logit(id)); }
  __device__ __forceinline__ Weight weightOf(int key, float largest) const {
    return samplingWeight(ofOrderedKey(key), largest, options.temperature);
  }

  /// Of all threads; `shared` is free before and after it.
  template <typename Op, typename T> __device__ __forceinline__ T reduce(T mine) const {
    const T result = blockReduce<Op, kWarps>(mine, reinterpret_cast<T *>(shared));
    __syncthreads();
    return result;
  }

  /// The largest key with which the measures of keys that are no smaller reach `wanted`, and in
  /// `above` the sum of those that are larger. All measures together reach it. A pass over the row for
  /// each digit of the key, from the highest on: a histogram for each thread, no atomics.
  template <typename Measure>
  __device__ int threshold(Weight wanted, Measure measure, Weight &above) const {
    constexpr unsigned kSign = 0x80000000u; // without it digits are in order
    const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = thread % kWarp;
    unsigned prefix = 0;
    above = 0;
    for (int shift = 32 - kDigitBits; shift >= 0; shift -= kDigitBits) {
      for (int bin = 0; bin < kBins; ++bin)
        shared[bin * Threads + thread] = 0;
      const unsigned known = shift + kDigitBits < 32 ? ~0u << (shift + kDigitBits) : 0;
#pragma unroll 4
      for (int id = thread; id < count; id += Threads) {
        const int key = keyAt(id);
        const unsigned word = static_cast<unsigned>(key) ^ kSign;
        if ((word & known) == prefix)
          shared[(word >> shift & (kBins - 1)) * Threads + thread] += measure(key);
      }
      __syncthreads(); // all histograms
      // What is left for bin 0 needs no sum, so that those of the others lie there.
      if (warp > 0) {
        Weight sum = 0;
        for (int of = lane; of < Threads; of += kWarp)
          sum += shared[warp * Threads + of];
        sum = warpReduce<Sum>(sum);
        if (lane == 0)
          shared[warp] = sum;
      }
      __syncthreads(); // all bins' sums
      int bin = kBins - 1;
      while (bin > 0 && above + shared[bin] < wanted)
        above += shared[bin--];
      prefix |= static_cast<unsigned>(bin) << shift;
      __syncthreads(); // before the next histograms
    }
    return static_cast<int>(prefix ^ kSign);
  }

  __device__ KeptIds keepTopK(float largest) const {
    KeptIds kept = {static_cast<int>(0x80000000u), 0, 0};
    if (options.topK > 0 && options.topK < count) {
      Weight above;
      kept.key = threshold(static_cast<Weight>(options.topK), [](int) { return Weight(1); }, above);
      kept.equals = static_cast<Weight>(options.topK) - above;
    }
    Weight sum = 0;
#pragma unroll 4
    for (int id = static_cast<int>(threadIdx.x); id < count; id += Threads) {
      const int key = keyAt(id);
      sum += key > kept.key ? weightOf(key, largest) : 0;
    }
    kept.total = reduce<Sum>(sum);
    if (kept.equals > 0)
      kept.total += kept.equals * weightOf(kept.key, largest);
    return kept;
  }

  __device__ KeptIds keepTopP(const KeptIds &all, float largest) const {
    if (!(options.topP < 1.0f))
      return all;
    // The run ends among what is kept: its sum is not above theirs.
    const float share = options.topP > 0.0f ? options.topP * 0x1p32f : 0.0f;
    Weight wanted = __umul64hi(all.total, static_cast<Weight>(share) << 32), above;
    if (wanted == 0)
      wanted = 1;
    KeptIds kept;
    kept.key = threshold(wanted, [&](int key) { return weightOf(key, largest); }, above);
    // Above 0, since it takes some of it to reach a sum; 1 is for runs that a bug misleads.
    const Weight weight = maximum(weightOf(kept.key, largest), Weight(1));
    kept.equals = (wanted - above + weight - 1) / weight;
    kept.total = above + kept.equals * weight;
    return kept;
  }

  /// The first id at which the kept weights exceed `point`, which is below their sum. The ids are split
  /// among the warps, and the piece that it falls into again, until few are left.
  __device__ int pick(const KeptIds &kept, Weight point, float largest) const {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const Weight weight = kept.equals > 0 ? weightOf(kept.key, largest) : 0;
    Weight sum = 0, equals = 0; // before `begin`
    int begin = 0, end = count;
    while (end - begin > kWarp) {
      const int piece = ((end - begin + kWarps - 1) / kWarps + kWarp - 1) / kWarp * kWarp;
      const int first = begin + warp * piece;
      const int stop = first + piece < end ? first + piece : end;
      Weight larger = 0, same = 0;
#pragma unroll 4
      for (int id = first + lane; id < stop; id += kWarp) {
        const int key = keyAt(id);
        larger += key > kept.key ? weightOf(key, largest) : 0;
        same += key == kept.key;
      }
      larger = warpReduce<Sum>(larger);
      same = warpReduce<Sum>(same);
      if (lane == 0) {
        shared[2 * warp] = larger;
        shared[2 * warp + 1] = same;
      }
      __syncthreads(); // all pieces' sums
      for (int of = 0; of < kWarps; ++of) {
        const Weight left = equals < kept.equals ? kept.equals - equals : 0;
        const Weight counted = shared[2 * of + 1] < left ? shared[2 * of + 1] : left;
        const Weight next = sum + shared[2 * of] + counted * weight;
        if (next > point)
          break;
        sum = next;
        equals += shared[2 * of + 1];
        begin += piece;
      }
      end = begin + piece < end ? begin + piece : end;
      __syncthreads(); // before the next pieces
    }
    for (; begin + 1 < end; ++begin) {
      const int key = keyAt(begin);
      const bool same = key == kept.key;
      if (key > kept.key || (same && equals < kept.equals))
        sum += weightOf(key, largest);
      if (sum > point)
        break;
      equals += same;
    }
    return begin;
  }

  __device__ int draw() const {
    int best = static_cast<int>(0x80000000u);
#pragma unroll 8
    for (int id = static_cast<int>(threadIdx.x); id < count; id += Threads)
      best = maximum(best, keyAt(id));
    best = reduce<Max>(best);
    // +inf, NaN; -inf
    if (best >= 0x7f800000 || best <= static_cast<int>(0x807fffffu))
      return -1;
    if (!(options.temperature > 0.0f)) {
      int first = count;
#pragma unroll 8
      for (int id = static_cast<int>(threadIdx.x); id < count; id += Threads)
        if (id < first && keyAt(id) == best)
          first = id;
      return -reduce<Max>(-first);
    }
    const float largest = ofOrderedKey(best);
    const KeptIds kept = keepTopP(keepTopK(largest), largest);
    return pick(kept, __umul64hi(kept.total, options.bits), largest);
  }
};

template <int Threads, typename Logit>
__device__ int sampleRow(Logit logit, int count, const Sampling &options, void *shared) {
  return SampledRow<Threads, Logit>{logit, count, options, static_cast<Weight *>(shared)}.draw();
}

} // namespace lmc
