// How a token is drawn from logits: the one definition, which the op lm.sample, its kernels and the
// server follow alike.
//
//   weight  of an id: exp((logit - largest) / temperature) rounded down to a multiple of 2^-40, computed
//           in f32 by the steps of samplingWeight, none of them fused. The steps are the definition:
//           whoever takes the same ones has the same bits. Sums are of integers, exact in any order.
//   top-k   keeps the k ids with the largest logits, of equal logits the lower ids.
//   top-p   keeps the shortest run of those, most likely first, whose weights add up to topP of their
//           sum; one at least.
//   draw    the first kept id at which their weights, added up in the order of ids, exceed
//           sum * bits / 2^64.
//
// Temperature 0 is the most likely id, the lowest of equals. A NaN, +inf or nothing but -inf are no
// logits to draw from.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lmc {

/// Bits of a weight behind the point; 2^22 weights add up to less than 2^63.
inline constexpr int kSamplingFraction = 40;
inline constexpr int64_t kSamplingMostIds = int64_t(1) << 22;

/// The steps of samplingWeight in numbers: below the floor weights are 0; exp(x) = 2^n exp(r) with
/// r = x - n ln 2, |r| <= ln 2 / 2, and exp(r) = 1 + r + r^2 p(r), p of rising degree from the last.
///   Source: Cephes, expf (S. Moshier).
struct SamplingExp {
  static constexpr float floor = -28;
  static constexpr float perLog2 = 0x1.715476p0f; ///< 1 / ln 2
  static constexpr float toInteger = 0x1.8p23f; ///< added, it leaves a rounded integer in low bits
  static constexpr float ln2High = 0x1.63p-1f, ln2Low = -0x1.bd0106p-13f;
  static constexpr float p[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
};

inline uint64_t samplingWeight(float logit, float largest, float temperature) {
  using E = SamplingExp;
  float x = (logit - largest) / temperature;
  if (!(x >= E::floor))
    return 0;
  float shifted = x * E::perLog2 + E::toInteger;
  float n = shifted - E::toInteger;
  float r = (x - n * E::ln2High) - n * E::ln2Low;
  float sum = E::p[0];
  for (size_t i = 1; i < 6; ++i)
    sum = sum * r + E::p[i];
  float y = (sum * (r * r) + r) + 1;
  uint32_t exponent = (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(E::toInteger)) +
                      (127 + kSamplingFraction);
  return static_cast<uint64_t>(static_cast<int64_t>(y * std::bit_cast<float>(exponent << 23)));
}

/// What decides a draw beside the logits. Finite numbers; temperature 0: the most likely id; topK 0 and
/// topP 1: all ids.
struct Draw {
  float temperature = 0;
  int32_t topK = 0;
  float topP = 1;
  uint64_t bits = 0; ///< random
};

/// Tensors of programs that draw behind their logits [1, V]: a Draw and the number of ids that may be
/// drawn (0: all), all of one element, `sample.bits` [1, 2] the low and the high word; and the id.
inline constexpr std::string_view kSampleTemperature = "sample.temperature",
                                  kSampleTopK = "sample.top_k", kSampleTopP = "sample.top_p",
                                  kSampleCount = "sample.count", kSampleBits = "sample.bits",
                                  kSampled = "sampled";

/// What temperature, top-k and top-p leave of a row.
struct KeptIds {
  std::vector<int32_t> ids;      ///< rising; of weight above 0
  std::vector<uint64_t> weights; ///< of each
  uint64_t total = 0;            ///< their sum; 0: the logits are malformed
};

/// `draw.bits` are not read. At most kSamplingMostIds logits.
KeptIds keptIds(std::span<const float> logits, const Draw &draw);

/// The id that the bits name; -1 of malformed logits.
int32_t drawnId(const KeptIds &kept, uint64_t bits);

} // namespace lmc
