// Rotary positions: how fast each pair of features turns. No MLIR.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lmc {

/// The rotation of queries and keys (Su et al. 2021, arXiv:2104.09864), with the published ways to
/// stretch it over more positions than a model was trained on; the arithmetic is that of Hugging
/// Face's modeling_rope_utils.
struct RopeConfig {
  enum class Scaling {
    None,
    Linear, ///< all frequencies divided by `factor`; Chen et al. 2023, arXiv:2306.15595
    Llama3, ///< low frequencies divided, high ones kept; Llama 3.1
    Yarn, ///< the same by a ramp over dimensions, and scaled scores; Peng et al. 2023, arXiv:2309.00071
    /// Each frequency divided by a factor of its own; Ding et al. 2024, arXiv:2402.13753. A program
    /// whose sequences may have more than originalContext positions has the long factors for all of
    /// them, so that cached keys stay right (transformers looks at each sequence's length).
    LongRope,
  };

  double theta = 10000;
  int64_t dims = 0; ///< the leading features of a head that turn, even; 0: all of them
  Scaling scaling = Scaling::None;
  double factor = 1;           ///< Linear, Llama3, Yarn
  int64_t originalContext = 0; ///< positions that the model was trained on; Llama3, Yarn, LongRope
  double lowFreqFactor = 1, highFreqFactor = 4; ///< Llama3: wavelengths originalContext / these
  double betaFast = 32, betaSlow = 1; ///< Yarn: turns in originalContext at the ramp's ends
  bool truncate = true;               ///< Yarn: the ramp's ends are whole dimensions
  double attentionFactor = 1;         ///< cos and sin are multiplied by it; Yarn, LongRope
  /// LongRope, [dims / 2] each: up to originalContext positions, and beyond.
  std::vector<double> shortFactors, longFactors;

  bool operator==(const RopeConfig &) const = default;
};

/// Radians a position for each pair of features, [dims / 2] with dims > 0; `beyond` for sequences of
/// more than originalContext positions, which only LongRope tells apart.
std::vector<float> inverseFrequencies(const RopeConfig &rope, bool beyond);

/// What scaling divides each pair's frequency by, [dims / 2] with dims > 0.
std::vector<double> frequencyFactors(const RopeConfig &rope, bool beyond);

/// The attention factor that Yarn and LongRope have where none is given.
double defaultAttentionFactor(RopeConfig::Scaling scaling, double factor, int64_t originalContext);

/// "none", "linear", "llama3", "yarn", "longrope", in the order of Scaling.
inline constexpr std::string_view ropeScalingNames[] = {"none", "linear", "llama3", "yarn",
                                                        "longrope"};

} // namespace lmc
