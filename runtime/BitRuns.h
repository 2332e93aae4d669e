// Integers narrower than a byte, packed as BlockLayouts.h says: "n bits, runs of r".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lmc {

/// The packed field of each element becomes values [Bytes * 8 / Bits].
template <int Bits, int Run, size_t Bytes>
void unpackBits(const uint8_t (&packed)[Bytes], uint8_t *values) {
  static_assert(Bytes % Run == 0);
  constexpr unsigned mask = (1u << Bits) - 1;
  uint8_t own[Bytes]; // which writes to values cannot change: the loops become vector instructions
  std::memcpy(own, packed, Bytes);
  for (size_t begin = 0; begin < Bytes; begin += Run)
    for (int low = 0; low < 8; low += Bits)
      for (int i = 0; i < Run; ++i)
        *values++ = uint8_t(own[begin + i] >> low & mask);
}

/// The same, shifted left by `shift` and added to the bits that are there.
template <int Bits, int Run, size_t Bytes>
void unpackBits(const uint8_t (&packed)[Bytes], uint8_t *values, int shift) {
  uint8_t high[Bytes * 8 / Bits];
  unpackBits<Bits, Run>(packed, high);
  for (size_t i = 0; i < sizeof high; ++i)
    values[i] |= uint8_t(high[i] << shift);
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
