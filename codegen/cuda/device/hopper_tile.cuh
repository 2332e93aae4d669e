// Tiles of bf16 in shared memory as copyTile() writes them and startProduct() reads them.

#ifdef LMC_HOPPER
namespace lmc {

constexpr int kWarpgroup = 128;  ///< threads
constexpr int kTileLine = 64;    ///< elements of a swizzled row of 128 bytes
constexpr int kTileStep = 16;    ///< of the depth, in one product
constexpr int kTileAlign = 1024; ///< bytes: eight rows, after which the swizzle repeats

/// Shared memory of one box [Lines, kTileLine].
template <int Lines> constexpr int kTileBytes = Lines * kTileLine * 2;

/// The matrix descriptor of an operand whose first element lies at `at`. Groups of eight lines are
/// 1024 bytes apart; `next` bytes lie between boxes across, which only operands whose lines run across
/// (transposed) have.
__device__ __forceinline__ unsigned long long sharedMatrix(const unsigned char *at, int next) {
  constexpr unsigned long long kSwizzle128 = 1ull << 62;
  return kSwizzle128 | static_cast<unsigned long long>(kTileAlign >> 4) << 32 |
         static_cast<unsigned long long>(next >> 4) << 16 | (sharedAddress(at) & 0x3ffff) >> 4;
}

/// An operand [across, depth] with Lines across and boxes of 64 along the depth: element (0, d).
template <int Lines>
__device__ __forceinline__ unsigned long long matrixAlongDepth(const unsigned char *tile, int d) {
  return sharedMatrix(tile + d / kTileLine * kTileBytes<Lines> + d % kTileLine * 2, 16);
}

/// An operand with Lines along the depth and boxes of 64 across: element (0, d).
template <int Lines>
__device__ __forceinline__ unsigned long long matrixAcross(const unsigned char *tile, int d) {
  return sharedMatrix(tile + d * kTileLine * 2, kTileBytes<Lines>);
}

/// A stage of a ring and the parity of its barriers' phase.
template <int Stages> struct Ring {
  int stage = 0;
  unsigned parity = 0;

  __device__ __forceinline__ void advance() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

} // namespace lmc
#endif
