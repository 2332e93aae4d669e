// KV caches in q8_0: rows hold what the encoder of files writes, and kernels that append to them and
// attend over them compute what the evaluator does.
#include "ir/CacheRows.h"
#include "frontend/checkpoint/blocks/Blocks.h"
#include "test/unit/codegen/KernelCheck.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <limits>
#include <random>

using namespace mlir;

namespace lmc::test {
namespace {

std::vector<double> normals(int64_t count, unsigned seed, float deviation = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<double> values(count);
  for (double &value : values)
    value = normal(generator);
  return values;
}

TEST(CacheRows, AreTheBlocksOfFiles) {
  std::vector<std::vector<double>> rows;
  for (float deviation : {1e-42f, 1e-7f, 1e-3f, 1.0f, 1e4f})
    rows.push_back(normals(64, 1, deviation));
  rows.emplace_back(64, 0.0);
  rows.push_back(normals(64, 2));
  for (int i = 0; i < 32; ++i) // ties
    rows.back()[i] = i == 0 ? 127 : i - 15.5;
  for (const std::vector<double> &row : rows) {
    std::vector<double> bytes(lm::cacheRowBytes(64));
    ASSERT_EQ(bytes.size(), 68u);
    lm::encodeCacheRow(row.data(), 64, bytes.data());
    lm::Tensor decoded = lm::decodeCacheRows({{1, 68}, bytes}, 64);
    for (int i = 0; i < 2; ++i) {
      float numbers[32], expected[32];
      std::copy_n(row.begin() + 32 * i, 32, numbers);
      BlockQ8_0 block;
      encode(numbers, block);
      decode(block, expected);
      for (int j = 0; j < 34; ++j)
        EXPECT_EQ(bytes[34 * i + j], reinterpret_cast<int8_t *>(&block)[j]) << i << ", byte " << j;
      for (int j = 0; j < 32; ++j)
        EXPECT_EQ(decoded.data[32 * i + j], expected[j]);
    }
  }
}

TEST(CacheRows, LastBlockIsShort) {
  EXPECT_EQ(lm::cacheRowBytes(8), 10);
  EXPECT_EQ(lm::cacheRowBytes(7), 10); // a byte more keeps scales aligned
  EXPECT_EQ(lm::cacheRowBytes(32), 34);
  EXPECT_EQ(lm::cacheRowBytes(80), 34 + 34 + 18);
}

TEST(CacheRows, NumbersThatAreNoneStayVisible) {
  for (double bad : {double(NAN), std::numeric_limits<double>::infinity()}) {
    std::vector<double> row = normals(40, 3), bytes(lm::cacheRowBytes(40));
    row[5] = bad;
    lm::encodeCacheRow(row.data(), 40, bytes.data());
    lm::Tensor decoded = lm::decodeCacheRows({{1, 44}, bytes}, 40);
    EXPECT_TRUE(std::isnan(decoded.data[5]));
    EXPECT_TRUE(std::isfinite(decoded.data[35])) << "another block";
  }
}

struct Case {
  int64_t batch, tokens, cache, heads, keyHeads, headDim, past;
  const char *modifiers = "";
};

class CacheKernels : public testing::TestWithParam<std::string>, public Context {
protected:
  void check(const Case &c) {
    int64_t row = lm::cacheRowBytes(c.headDim);
    auto type = [&](int64_t tokens, int64_t heads, int64_t last, const char *element) {
      return fmt::format("tensor<{}x{}x{}x{}x{}>", c.batch, tokens, heads, last, element);
    };
    std::string q = type(c.tokens, c.heads, c.headDim, "f32"),
                k = type(c.tokens, c.keyHeads, c.headDim, "f32"),
                rows = type(c.cache, c.keyHeads, row, "i8"),
                lse = fmt::format("tensor<{}x{}x{}xf32>", c.batch, c.tokens, c.heads);
    auto module = parse(fmt::format(R"(
      func.func @f(%q: {0}, %k: {1}, %v: {1}, %kc: {2}, %vc: {2}, %past: tensor<i32>) -> ({0}, {3}, {2}, {2}) {{
        %ks = lm.cache_append %kc, %k, %past : ({2}, {1}, tensor<i32>) -> {2}
        %vs = lm.cache_append %vc, %v, %past : ({2}, {1}, tensor<i32>) -> {2}
        %y, %lse = lm.attention %q, %ks, %vs, %past {{causal, scale = 0.3 : f64{4}}}
          : ({0}, {2}, {2}, tensor<i32>) -> ({0}, {3})
        return %y, %lse, %ks, %vs : {0}, {3}, {2}, {2}
      }})",
                                    q, k, rows, lse, c.modifiers));
    ASSERT_TRUE(module) << errors;
    std::vector<std::vector<double>> data;
    for (int64_t heads : {c.heads, c.keyHeads, c.keyHeads})
      data.push_back(normals(c.batch * c.tokens * heads * c.headDim, data.size()));
    for (unsigned seed : {7, 8}) {
      int64_t count = c.batch * c.cache * c.keyHeads;
      std::vector<double> numbers = normals(count * c.headDim, seed), bytes(count * row);
      for (int64_t i = 0; i < count; ++i)
        lm::encodeCacheRow(&numbers[i * c.headDim], c.headDim, &bytes[i * row]);
      data.push_back(bytes);
    }
    data.push_back({static_cast<double>(c.past)});
    std::vector<lm::Tensor> arguments = tensorsFor(functionOf(*module), data);
    checkKernels(*this, *module, {{}}, {arguments}, {.cpu = GetParam()});
  }
};

//   batch, tokens, cache, heads, keyHeads, headDim, past
const Case cases[] = {
    {1, 1, 70, 4, 4, 64, 0},
    {1, 1, 700, 4, 2, 64, 519},
    {2, 1, 40, 6, 2, 8, 31},
    {1, 1, 40, 3, 1, 80, 39, ", window = 11 : i64, soft_cap = 2.0"},
    {1, 1, 300, 5, 5, 7, 299},
    {1, 5, 70, 4, 2, 64, 11},
    {2, 33, 70, 2, 1, 40, 30},
    {1, 6, 70, 2, 2, 7, 0, ", window = 4 : i64"},
    {1, 150, 400, 2, 1, 128, 200, ", soft_cap = 3.0"},
};

TEST_P(CacheKernels, MatchTheEvaluator) {
  for (const Case &c : cases) {
    SCOPED_TRACE(fmt::format("{} tokens behind {}, {} heads of {}, {}", c.tokens, c.past, c.heads,
                             c.headDim, c.modifiers));
    ASSERT_NO_FATAL_FAILURE(check(c));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CacheKernels, testing::Values("host", "x86-64-v2", "x86-64-v3"),
                         [](const auto &info) { return testName(info.param); });

} // namespace
} // namespace lmc::test
