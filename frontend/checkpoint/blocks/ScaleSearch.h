// The scale of a few numbers that are to be small integers times it: the least weighted error among
// a range of candidates, each with its least-squares scale. Plain rounding to the extremes loses up
// to a bit against this at 2 to 4 bits.
//   Source: the search that llama.cpp's k-quants made known, in sums of our own.
#pragma once

#include <span>

namespace lmc {

/// x ~ scale * q with q in [-levels, levels): the scale. weights like x, >= 0. 0 where x is.
float fitSymmetric(std::span<const float> x, std::span<const float> weights, int levels);

/// x ~ scale * q - minimum with q in [0, top], scale and minimum >= 0.
struct AffineFit {
  float scale = 0, minimum = 0;
};

/// The candidates map the range of x to [0, top + first], [0, top + first + step], ... `count`
/// times.
struct AffineSearch {
  float first, step;
  int count;
  bool absoluteError = false; ///< instead of squares: less is given up for outliers
};
AffineFit fitAffine(std::span<const float> x, std::span<const float> weights, int top,
                    const AffineSearch &search);

} // namespace lmc
