// Block-quantised elements in memory, as GGUF files hold them and kernels read them: little-endian,
// without padding. `half` members are f16 bits (Half.h). q are small integers; where they are
// narrower than a byte, "n bits, runs of r" says how they are packed: r bytes hold 8 / n runs of r
// consecutive elements, the first run in the lowest bits.
//   Source: ggml's block formats (ggml-org/ggml, docs/gguf.md); OCP Microscaling Formats 1.0 (MXFP4).
#pragma once

#include <cstdint>

namespace lmc {

using half = uint16_t;

// Blocks of 32 with one scale.

/// x = d * (q - 8)
struct BlockQ4_0 {
  static constexpr int size = 32;
  half d;
  uint8_t qs[16]; ///< 4 bits, runs of 16
};

/// x = d * q + m
struct BlockQ4_1 {
  static constexpr int size = 32;
  half d, m;
  uint8_t qs[16]; ///< 4 bits, runs of 16
};

/// x = d * (q - 16)
struct BlockQ5_0 {
  static constexpr int size = 32;
  half d;
  uint8_t qh[4];  ///< bit 4: 1 bit, runs of 1
  uint8_t qs[16]; ///< bits 0 to 3: 4 bits, runs of 16
};

/// x = d * q + m
struct BlockQ5_1 {
  static constexpr int size = 32;
  half d, m;
  uint8_t qh[4];  ///< bit 4: 1 bit, runs of 1
  uint8_t qs[16]; ///< bits 0 to 3: 4 bits, runs of 16
};

/// x = d * q
struct BlockQ8_0 {
  static constexpr int size = 32;
  half d;
  int8_t qs[32];
};

/// x = d * kIQ4Values[q]
struct BlockIQ4_NL {
  static constexpr int size = 32;
  half d;
  uint8_t qs[16]; ///< 4 bits, runs of 16
};
inline constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

/// x = 2^(e - 128) * kMxfp4Values[q]
struct BlockMXFP4 {
  static constexpr int size = 32;
  uint8_t e;
  uint8_t qs[16]; ///< 4 bits, runs of 16
};
/// Twice the values of E2M1, so that they are integers.
inline constexpr int8_t kMxfp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

// Super-blocks of 256: sub-blocks with small integer scales (and minimums), which d (and dmin) scale.

/// 16 sub-blocks of 16: x = d * (scales & 15) * q - dmin * (scales >> 4)
struct BlockQ2_K {
  static constexpr int size = 256;
  uint8_t scales[16];
  uint8_t qs[64]; ///< 2 bits, runs of 32
  half d, dmin;
};

/// 16 sub-blocks of 16: x = d * (scale - 32) * (q - 4)
struct BlockQ3_K {
  static constexpr int size = 256;
  uint8_t hmask[32];     ///< bit 2 of q: 1 bit, runs of 32
  uint8_t qs[64];        ///< bits 0 and 1: 2 bits, runs of 32
  uint8_t scalesLow[8];  ///< bits 0 to 3 of scale: 4 bits, runs of 8
  uint8_t scalesHigh[4]; ///< bits 4 and 5: 2 bits, runs of 4
  half d;
};

/// Scale and minimum of 8 sub-blocks, 6 bits each. Bytes 0 to 3 hold scales 0 to 3, bytes 4 to 7
/// minimums 0 to 3. Bytes 8 to 11 hold the low 4 bits of scales 4 to 7 below those of minimums 4 to
/// 7; their high 2 bits are the high bits of bytes 0 to 3 (scales) and 4 to 7 (minimums).
struct PackedScales {
  uint8_t bytes[12];
};

/// 8 sub-blocks of 32: x = d * scale * q - dmin * minimum
struct BlockQ4_K {
  static constexpr int size = 256;
  half d, dmin;
  PackedScales scales;
  uint8_t qs[128]; ///< 4 bits, runs of 32
};

/// 8 sub-blocks of 32: x = d * scale * q - dmin * minimum
struct BlockQ5_K {
  static constexpr int size = 256;
  half d, dmin;
  PackedScales scales;
  uint8_t qh[32];  ///< bit 4: 1 bit, runs of 32
  uint8_t qs[128]; ///< bits 0 to 3: 4 bits, runs of 32
};

/// 16 sub-blocks of 16: x = d * scale * (q - 32)
struct BlockQ6_K {
  static constexpr int size = 256;
  uint8_t ql[128]; ///< bits 0 to 3: 4 bits, runs of 64
  uint8_t qh[64];  ///< bits 4 and 5: 2 bits, runs of 32
  int8_t scales[16];
  half d;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 &&
              sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIQ4_NL) == 18 &&
              sizeof(BlockMXFP4) == 17);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 &&
              sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

} // namespace lmc
