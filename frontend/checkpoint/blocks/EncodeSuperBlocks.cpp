// f32 to super-blocks of 256. Each sub-block's scale is searched alone; then the scales are rounded
// to multiples of d, and elements are rounded anew with what the scales became.
#include "frontend/checkpoint/blocks/Blocks.h"
#include "frontend/checkpoint/blocks/ScaleSearch.h"
#include "runtime/BitRuns.h"
#include "runtime/Half.h"
#include "runtime/PackedScales.h"

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

constexpr int size = 256;

uint8_t nearestLevel(float value, int top) {
  return uint8_t(std::clamp(std::nearbyint(value), 0.0f, float(top)));
}

/// x = d * scale * q - dmin * minimum.
template <int SubBlocks> struct Affine {
  half d, dmin;
  ScaleAndMinimum scales[SubBlocks]; // at most scaleTop
  uint8_t q[size];                   // at most top

  template <typename Weights>
  Affine(const float *values, int top, int scaleTop, const AffineSearch &search, Weights weigh) {
    constexpr int n = size / SubBlocks;
    AffineFit fits[SubBlocks], largest;
    for (int sub = 0; sub < SubBlocks; ++sub) {
      std::span<const float> x(values + n * sub, n);
      float weights[n];
      weigh(x, weights);
      fits[sub] = fitAffine(x, weights, top, search);
      largest.scale = std::max(largest.scale, fits[sub].scale);
      largest.minimum = std::max(largest.minimum, fits[sub].minimum);
    }
    d = floatToHalf(largest.scale / float(scaleTop));
    dmin = floatToHalf(largest.minimum / float(scaleTop));
    auto share = [&](float part, float whole) {
      return whole > 0 ? nearestLevel(float(scaleTop) * (part / whole), scaleTop) : uint8_t(0);
    };
    for (int sub = 0; sub < SubBlocks; ++sub) {
      scales[sub] = {share(fits[sub].scale, largest.scale),
                     share(fits[sub].minimum, largest.minimum)};
      float step = halfToFloat(d) * float(scales[sub].scale),
            offset = halfToFloat(dmin) * float(scales[sub].minimum);
      for (int i = n * sub; i < n * (sub + 1); ++i)
        q[i] = step > 0 ? nearestLevel((values[i] + offset) / step, top) : 0;
    }
  }
};

/// x = d * scales * (q - levels), scales in [-scaleLevels, scaleLevels), 16 sub-blocks of 16.
struct Symmetric {
  half d;
  int scales[16];
  uint8_t q[size]; // below 2 * levels

  Symmetric(const float *values, int levels, int scaleLevels) {
    float fits[16], extreme = 0;
    for (int sub = 0; sub < 16; ++sub) {
      std::span<const float> x(values + 16 * sub, 16);
      float weights[16]; // large elements matter most
      for (int i = 0; i < 16; ++i)
        weights[i] = x[i] * x[i];
      fits[sub] = fitSymmetric(x, weights, levels);
      if (std::fabs(fits[sub]) > std::fabs(extreme))
        extreme = fits[sub];
    }
    auto top = float(scaleLevels);
    d = floatToHalf(extreme / -top);
    for (int sub = 0; sub < 16; ++sub) {
      scales[sub] =
          extreme == 0
              ? 0
              : int(std::clamp(std::nearbyint(-top * (fits[sub] / extreme)), -top, top - 1));
      float step = halfToFloat(d) * float(scales[sub]);
      for (int i = 16 * sub; i < 16 * (sub + 1); ++i)
        q[i] = step == 0 ? uint8_t(levels)
                         : nearestLevel(values[i] / step + float(levels), 2 * levels - 1);
    }
  }
};

/// Every element counts, large ones up to about twice as much.
void weighByRms(std::span<const float> x, float *weights) {
  float squares = 0;
  for (float value : x)
    squares += value * value;
  float rms = std::sqrt(squares / float(x.size()));
  for (size_t i = 0; i < x.size(); ++i)
    weights[i] = rms + std::fabs(x[i]);
}

} // namespace

void encode(const float *values, BlockQ2_K &block) {
  Affine<16> affine(values, 3, 15, {-0.5f, 0.1f, 16, true},
                    [](std::span<const float> x, float *weights) {
                      std::ranges::transform(x, weights, [](float v) { return std::fabs(v); });
                    });
  block.d = affine.d;
  block.dmin = affine.dmin;
  for (int sub = 0; sub < 16; ++sub)
    block.scales[sub] = uint8_t(affine.scales[sub].scale | affine.scales[sub].minimum << 4);
  packBits<2, 32>(affine.q, block.qs);
}

void encode(const float *values, BlockQ3_K &block) {
  Symmetric symmetric(values, 4, 32);
  block.d = symmetric.d;
  uint8_t scales[16];
  for (int sub = 0; sub < 16; ++sub)
    scales[sub] = uint8_t(symmetric.scales[sub] + 32);
  packBits<4, 8>(scales, block.scalesLow);
  packBits<2, 4>(scales, block.scalesHigh, 4);
  packBits<2, 32>(symmetric.q, block.qs);
  packBits<1, 32>(symmetric.q, block.hmask, 2);
}

void encode(const float *values, BlockQ4_K &block) {
  Affine<8> affine(values, 15, 63, {-1, 0.1f, 21}, weighByRms);
  block.d = affine.d;
  block.dmin = affine.dmin;
  block.scales = packScales(affine.scales);
  packBits<4, 32>(affine.q, block.qs);
}

void encode(const float *values, BlockQ5_K &block) {
  Affine<8> affine(values, 31, 63, {-0.5f, 0.1f, 16}, weighByRms);
  block.d = affine.d;
  block.dmin = affine.dmin;
  block.scales = packScales(affine.scales);
  packBits<4, 32>(affine.q, block.qs);
  packBits<1, 32>(affine.q, block.qh, 4);
}

void encode(const float *values, BlockQ6_K &block) {
  Symmetric symmetric(values, 32, 128);
  block.d = symmetric.d;
  std::ranges::transform(symmetric.scales, block.scales, [](int scale) { return int8_t(scale); });
  packBits<4, 64>(symmetric.q, block.ql);
  packBits<2, 32>(symmetric.q, block.qh, 4);
}

} // namespace lmc
