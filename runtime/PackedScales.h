// The 6-bit scales and minimums of Q4_K and Q5_K.
#pragma once

#include "runtime/BlockLayouts.h"

namespace lmc {

struct ScaleAndMinimum {
  uint8_t scale, minimum; // below 64
};

inline ScaleAndMinimum scaleOf(const PackedScales &packed, int sub) {
  const uint8_t *b = packed.bytes;
  if (sub < 4)
    return {uint8_t(b[sub] & 63), uint8_t(b[sub + 4] & 63)};
  return {uint8_t((b[sub + 4] & 15) | (b[sub - 4] >> 6) << 4),
          uint8_t(b[sub + 4] >> 4 | (b[sub] >> 6) << 4)};
}

inline PackedScales packScales(const ScaleAndMinimum (&s)[8]) {
  PackedScales packed;
  for (int i = 0; i < 4; ++i) {
    packed.bytes[i] = uint8_t(s[i].scale | (s[i + 4].scale >> 4) << 6);
    packed.bytes[i + 4] = uint8_t(s[i].minimum | (s[i + 4].minimum >> 4) << 6);
    packed.bytes[i + 8] = uint8_t((s[i + 4].scale & 15) | (s[i + 4].minimum & 15) << 4);
  }
  return packed;
}

} // namespace lmc
