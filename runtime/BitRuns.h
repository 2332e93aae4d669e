// Integers narrower than a byte, packed as BlockLayouts.h says: "n bits, runs of r".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lmc {

/// Ors the packed field of each element, shifted left by `shift`, to values [Bytes * 8 / Bits].
template <int Bits, int Run, size_t Bytes>
void unpackBits(const uint8_t (&packed)[Bytes], uint8_t *values, int shift = 0) {
  static_assert(Bytes % Run == 0);
  constexpr unsigned mask = (1u << Bits) - 1;
  uint8_t own[Bytes]; // which writes to values cannot change: the loops become vector instructions
  std::memcpy(own, packed, Bytes);
  for (size_t begin = 0; begin < Bytes; begin += Run)
    for (int low = 0; low < 8; low += Bits)
      for (int i = 0; i < Run; ++i)
        *values++ |= uint8_t((own[begin + i] >> low & mask) << shift);
}

/// The other way: packs bits [shift, shift + Bits) of each value.
template <int Bits, int Run, size_t Bytes>
void packBits(const uint8_t *values, uint8_t (&packed)[Bytes], int shift = 0) {
  static_assert(Bytes % Run == 0);
  constexpr unsigned mask = (1u << Bits) - 1;
  for (size_t begin = 0; begin < Bytes; begin += Run) {
    for (int i = 0; i < Run; ++i)
      packed[begin + i] = 0;
    for (int low = 0; low < 8; low += Bits)
      for (int i = 0; i < Run; ++i)
        packed[begin + i] |= uint8_t((*values++ >> shift & mask) << low);
  }
}

} // namespace lmc
