// Runs wrappers.cu by the emulation and prints inputs and outputs as JSON: what a GPU is held against.
//   wrappers_host > wrappers.json
// clang-format off: the emulation defines what the device library needs
#include "codegen/cuda/device/emulation.h"
#include "codegen/cuda/device/ptx.cuh"
#include "tools/gpu-kit/wrappers.cu"
// clang-format on

#include <cmath>
#include <cstdio>
#include <functional>
#include <random>

LMC_EMULATE(copyAsync4)
LMC_EMULATE(copyAsync8)
LMC_EMULATE(copyAsync16)
LMC_EMULATE(waitCopies)
LMC_EMULATE(loadMatrices)
LMC_EMULATE(loadMatricesTransposed)
LMC_EMULATE(multiplyAdd)
LMC_EMULATE(packed)
LMC_EMULATE(widenHalf)
LMC_EMULATE(bytes)
LMC_EMULATE(powerOfTwo)
LMC_EMULATE(reciprocal)

namespace {

constexpr unsigned kSharedBytes = 512;

struct Case {
  const char *name;
  const char *(*run)(unsigned grid, unsigned block, unsigned shared, unsigned seed, void **);
  unsigned in, out; ///< words
  unsigned ulps;    ///< by which results may differ
  std::function<unsigned(unsigned i)> word;
};

std::mt19937 numbers(1);

unsigned bits(float x) { return lmcBitCast<unsigned>(x); }

/// A bf16 whose products and sums are exact in f32: an integer of a few bits.
unsigned smallBf16() {
  return bits(static_cast<float>(static_cast<int>(numbers() % 15) - 7)) >> 16;
}

/// Any float, and those at which rounding to bf16 can go wrong: ties, infinities, NaN, denormals.
unsigned forRounding(unsigned i) {
  const unsigned special[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000,
                              0x7fc00000, 0x7f7fffff, 0x00000001, 0x007fffff,
                              0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff};
  return i < std::size(special) ? special[i] : static_cast<unsigned>(numbers());
}

/// An f16 that is a number or an infinity.
unsigned anyHalf(unsigned i) {
  const unsigned special[] = {0, 0x8000, 1, 0x83ff, 0x0400, 0x7bff, 0x7c00, 0xfc00};
  unsigned half = static_cast<unsigned>(numbers()) & 0xffff;
  return i < std::size(special) ? special[i] : (half & 0x7c00) == 0x7c00 ? half & 0xbfff : half;
}

unsigned exponent(unsigned i) {
  const float special[] = {0, -0.0f, 1, -1, 127, 128, -126, -127, -149, -200, INFINITY, -INFINITY};
  return bits(i < std::size(special) ? special[i]
                                     : static_cast<float>(numbers() % 270000) / 1e3f - 140);
}

/// Of all sizes; the reciprocals of the last few are denormal.
unsigned positive(unsigned i) {
  const float special[] = {1, 2, 3, INFINITY, 0x1p126f, 0x1p127f};
  return bits(i < std::size(special)
                  ? special[i]
                  : std::exp2(static_cast<float>(numbers() % 254000) / 1e3f - 126));
}

void print(const char *name, const std::vector<unsigned> &words) {
  std::printf(", \"%s\": [", name);
  for (size_t i = 0; i < words.size(); ++i)
    std::printf("%s%u", i ? ", " : "", words[i]);
  std::printf("]");
}

} // namespace

int main() {
  auto any = [](unsigned) { return static_cast<unsigned>(numbers()); };
  auto operands = [](unsigned i) {
    if (i % 10 < 6)
      return smallBf16() << 16 | smallBf16();
    return bits(static_cast<float>(static_cast<int>(numbers() % 2001) - 1000));
  };
  const Case cases[] = {
      {"copyAsync4", copyAsync4_emulated, 32, 32, 0, any},
      {"copyAsync8", copyAsync8_emulated, 64, 64, 0, any},
      {"copyAsync16", copyAsync16_emulated, 128, 128, 0, any},
      {"waitCopies", waitCopies_emulated, 96, 96, 0, any},
      {"loadMatrices", loadMatrices_emulated, 128, 128, 0, any},
      {"loadMatricesTransposed", loadMatricesTransposed_emulated, 128, 128, 0, any},
      {"multiplyAdd", multiplyAdd_emulated, 320, 128, 0, operands},
      {"packed", packed_emulated, 2048, 1024, 0, forRounding},
      {"widenHalf", widenHalf_emulated, 1024, 1024, 0, anyHalf},
      {"bytes", bytes_emulated, 768, 512, 0, any},
      {"powerOfTwo", powerOfTwo_emulated, 1024, 1024, 2, exponent},
      {"reciprocal", reciprocal_emulated, 1024, 1024, 1, positive}};
  std::printf("[");
  for (const Case &c : cases) {
    // 16-byte aligned, as device memory is.
    std::vector<unsigned> in(c.in), out(c.out);
    for (unsigned i = 0; i < c.in; ++i)
      in[i] = c.word(i);
    const unsigned *from = in.data();
    unsigned *to = out.data();
    void *parameters[] = {&from, &to};
    if (const char *fault = c.run(1, 32, kSharedBytes, 3, parameters)) {
      std::fprintf(stderr, "%s: %s\n", c.name, fault);
      return 1;
    }
    std::printf("%s\n{\"name\": \"%s\", \"shared\": %u, \"ulps\": %u", &c == cases ? "" : ",",
                c.name, kSharedBytes, c.ulps);
    print("in", in);
    print("out", out);
    std::printf("}");
  }
  std::printf("]\n");
}
