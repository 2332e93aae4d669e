#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

using namespace lmc;

// Random123's kat_vectors, philox4x32 10.
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) ==
              PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
              PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});

TEST(Philox, KnownAnswer) {
  PhiloxBlock expected{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            expected);
  // The same answer through seed, stream and index.
  Philox random(0x299f31d0a4093822, 0x0370734413198a2e);
  EXPECT_EQ(random.block(0x85a308d3243f6a88), expected);
  Philox zero(0);
  EXPECT_EQ(zero.bits32(1), 0xe169c58du);
  EXPECT_EQ(zero.bits64(1), 0x9b00dbd8bc57ac4cull);
  EXPECT_EQ(zero.uniform(0), float(0x6627e8) / float(1 << 24));
}

TEST(Philox, FillsAreTheSameNumbersAtAnyOffset) {
  Philox random(7, 3);
  std::vector<float> uniform(23), normal(23);
  random.fillUniform(uniform, 5);
  random.fillNormal(normal, 5);
  for (size_t i = 0; i < uniform.size(); ++i) {
    EXPECT_EQ(uniform[i], random.uniform(5 + i));
    EXPECT_EQ(normal[i], random.normal(5 + i));
  }
}

TEST(Philox, Distributions) {
  Philox random(42);
  constexpr size_t kCount = 1 << 18;
  std::vector<float> normal(kCount), uniform(kCount);
  random.fillNormal(normal);
  random.fillUniform(uniform, kCount);
  // Moments 1 to 4 of each, against the exact ones, within five standard errors or so.
  double normals[5] = {}, uniforms[5] = {};
  for (size_t i = 0; i < kCount; ++i)
    for (int power = 1; power <= 4; ++power) {
      normals[power] += std::pow(double(normal[i]), power) / kCount;
      uniforms[power] += std::pow(double(uniform[i]), power) / kCount;
    }
  EXPECT_NEAR(normals[1], 0, 0.01);
  EXPECT_NEAR(normals[2], 1, 0.014);
  EXPECT_NEAR(normals[3], 0, 0.04);
  EXPECT_NEAR(normals[4], 3, 0.1);
  for (int power = 1; power <= 4; ++power)
    EXPECT_NEAR(uniforms[power], 1.0 / (power + 1), 0.003);
  EXPECT_GE(*std::min_element(uniform.begin(), uniform.end()), 0.0f);
  EXPECT_LT(*std::max_element(uniform.begin(), uniform.end()), 1.0f);
}

TEST(Philox, BelowCoversItsRangeEvenly) {
  Philox random(5);
  std::vector<int> counts(10);
  for (uint64_t i = 0; i < 100000; ++i)
    ++counts[random.below(i, counts.size())];
  for (int count : counts)
    EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(random.below(1, 1), 0u);
}
