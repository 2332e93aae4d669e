// Counter-based random numbers: the n-th number of a stream is a function of (seed, stream, n), so
// that results depend neither on threads nor on how often a run was stopped and resumed.
//   Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Philox4x32-10.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>

namespace lmc {

using PhiloxBlock = std::array<uint32_t, 4>;

/// The bijection of the paper, ten rounds.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = 0xD2511F53ull * counter[0];
    uint64_t product1 = 0xCD9E8D57ull * counter[2];
    counter = {uint32_t(product1 >> 32) ^ counter[1] ^ key[0], uint32_t(product1),
               uint32_t(product0 >> 32) ^ counter[3] ^ key[1], uint32_t(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// A stream of random numbers with random access. Counter = (block, stream), key = seed, each as
/// low word, high word; number n of 32 bits is word n % 4 of block n / 4.
class Philox {
public:
  explicit constexpr Philox(uint64_t seed, uint64_t stream = 0) : seed(seed), stream(stream) {}

  constexpr PhiloxBlock block(uint64_t index) const {
    return philox4x32(
        {uint32_t(index), uint32_t(index >> 32), uint32_t(stream), uint32_t(stream >> 32)},
        {uint32_t(seed), uint32_t(seed >> 32)});
  }

  constexpr uint32_t bits32(uint64_t index) const { return block(index / 4)[index % 4]; }

  constexpr uint64_t bits64(uint64_t index) const {
    PhiloxBlock words = block(index / 2);
    size_t first = index % 2 * 2;
    return words[first] | uint64_t(words[first + 1]) << 32;
  }

  /// In [0, bound), bound > 0, by multiplication (bias below bound / 2^64).
  constexpr uint64_t below(uint64_t index, uint64_t bound) const {
    return uint64_t((static_cast<unsigned __int128>(bits64(index)) * bound) >> 64);
  }

  /// In [0, 1), multiples of 2^-24: every value is exact in f32.
  constexpr float uniform(uint64_t index) const { return toUniform(bits32(index)); }

  /// Mean 0, variance 1 (Box-Muller in double; at most 6.7 in magnitude).
  float normal(uint64_t index) const { return toNormals(block(index / 4))[index % 4]; }

  /// values[i] = uniform(first + i) or normal(first + i), a block at a time.
  void fillUniform(std::span<float> values, uint64_t first = 0) const {
    fill(values, first, [](const PhiloxBlock &words) {
      return std::array{toUniform(words[0]), toUniform(words[1]), toUniform(words[2]),
                        toUniform(words[3])};
    });
  }
  void fillNormal(std::span<float> values, uint64_t first = 0) const {
    fill(values, first, toNormals);
  }

private:
  static constexpr float toUniform(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

  /// Words 0 and 1 make normals 0 (cosine) and 1 (sine), words 2 and 3 the others.
  static std::array<float, 4> toNormals(const PhiloxBlock &words) {
    std::array<float, 4> result;
    for (size_t pair = 0; pair < 4; pair += 2) {
      double radius = std::sqrt(-2.0 * std::log((words[pair] + 1.0) * 0x1p-32));
      double angle = 2.0 * std::numbers::pi * (words[pair + 1] * 0x1p-32);
      result[pair] = float(radius * std::cos(angle));
      result[pair + 1] = float(radius * std::sin(angle));
    }
    return result;
  }

  template <typename F> void fill(std::span<float> values, uint64_t first, F &&convert) const {
    for (size_t i = 0; i < values.size();) {
      std::array<float, 4> four = convert(block((first + i) / 4));
      for (size_t lane = (first + i) % 4; lane < 4 && i < values.size(); ++lane)
        values[i++] = four[lane];
    }
  }

  uint64_t seed, stream;
};

} // namespace lmc
