// Paged caches on the CPU: programs that append to a pool of pages and attend over it give the bits of
// those whose caches lie in one piece, in every format of caches, wherever the pages lie; and what the
// evaluator computes.
#include "codegen/Compiler.h"
#include "ir/CacheRows.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"
#include "runtime/Half.h"
#include "runtime/Session.h"
#include "test/unit/codegen/KernelCheck.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

using namespace mlir;

namespace lmc::test {
namespace {

const std::vector<const char *> kTokens = {"q", "k", "v"}, kCaches = {"keys", "values"},
                                kOutputs = {"out", "lse"};

struct Case {
  int64_t tokens, pageTokens, pages; ///< pages: of a sequence
  std::vector<int64_t> past;         ///< of each sequence
  int64_t heads, keyHeads, headDim;
  const char *modifiers = "";
  bool oneLength = false; ///< past is a scalar

  int64_t batch() const { return static_cast<int64_t>(past.size()); }
  int64_t room() const { return pages * pageTokens; }
  int64_t poolPages() const { return batch() * pages + 3; }
};

const Case cases[] = {
    {1, 16, 5, {0, 79, 40}, 4, 2, 64},
    {1, 64, 9, {519, 3}, 4, 4, 64},
    {1, 256, 3, {767, 255, 256}, 8, 1, 24},
    {1, 7, 60, {400, 333}, 3, 1, 80, ", window = 101 : i64, soft_cap = 2.0"},
    {1, 16, 20, {300}, 5, 5, 7, "", true},
    {5, 16, 6, {11, 91, 15}, 4, 2, 64},
    {33, 32, 4, {30, 0}, 2, 1, 40},
    {6, 3, 21, {7, 50}, 2, 2, 9, ", window = 4 : i64"},
    {150, 64, 7, {200, 290}, 2, 1, 128, ", soft_cap = 3.0"},
    {40, 16, 8, {17}, 2, 1, 32, "", true},
};

std::string nameOf(const Case &c) {
  return fmt::format("{} tokens behind {}, {} pages of {}, {} heads of {}{}", c.tokens,
                     fmt::join(c.past, ", "), c.pages, c.pageTokens, c.heads, c.headDim,
                     c.modifiers);
}

/// @f(q, k, v, past, pages if paged, keys, values) -> (out, lse, keys, values). Bytes: rows of q8_0.
std::string program(const Case &c, bool paged, bool bytes = false) {
  std::string number = "f32";
  auto type = [&](int64_t a, int64_t b, int64_t heads, int64_t last, const std::string &element) {
    return fmt::format("tensor<{}x{}x{}x{}x{}>", a, b, heads, last, element);
  };
  int64_t row = bytes ? lm::cacheRowBytes(c.headDim) : c.headDim;
  std::string q = type(c.batch(), c.tokens, c.heads, c.headDim, number),
              k = type(c.batch(), c.tokens, c.keyHeads, c.headDim, number),
              cache = type(paged ? c.poolPages() : c.batch(), paged ? c.pageTokens : c.room(),
                           c.keyHeads, row, bytes ? "i8" : number),
              lse = fmt::format("tensor<{}x{}x{}xf32>", c.batch(), c.tokens, c.heads),
              past = c.oneLength ? "tensor<i32>" : fmt::format("tensor<{}xi32>", c.batch()),
              pages = fmt::format("tensor<{}x{}xi32>", c.batch(), c.pages);
  std::string table = paged ? ", %pages" : "", ofTable = paged ? ", " + pages : "";
  return fmt::format(R"(
    func.func @f(%q: {0}, %k: {1}, %v: {1}, %past: {2}{3}, %kc: {4}, %vc: {4}) -> ({0}, {5}, {4}, {4}) {{
      %ks = lm.cache_append %kc, %k, %past{6} : ({4}, {1}, {2}{7}) -> {4}
      %vs = lm.cache_append %vc, %v, %past{6} : ({4}, {1}, {2}{7}) -> {4}
      %y, %lse = lm.attention %q, %ks, %vs, %past{6} {{causal, scale = 0.3 : f64{8}}}
        : ({0}, {4}, {4}, {2}{7}) -> ({0}, {5})
      return %y, %lse, %ks, %vs : {0}, {5}, {4}, {4}
    }})",
                     q, k, past, paged ? ", %pages: " + pages : "", cache, lse, table, ofTable,
                     c.modifiers);
}

std::vector<double> normals(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<double> values(count);
  for (double &value : values)
    value = normal(generator);
  return values;
}

/// Pages of all sequences, each once, out of order.
std::vector<int32_t> shuffledPages(const Case &c) {
  std::vector<int32_t> pages(c.poolPages());
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(3));
  pages.resize(c.batch() * c.pages);
  return pages;
}

/// A cache's rows of past tokens in `format`, one row [G, D] after the other.
std::vector<std::byte> pastRows(const Case &c, llvm::StringRef format, int64_t tokens,
                                unsigned seed) {
  std::vector<double> numbers = normals(tokens * c.keyHeads * c.headDim, seed);
  std::vector<std::byte> bytes;
  auto append = [&](const auto &value) {
    auto *at = reinterpret_cast<const std::byte *>(&value);
    bytes.insert(bytes.end(), at, at + sizeof(value));
  };
  if (format == "q8_0") {
    std::vector<double> row(lm::cacheRowBytes(c.headDim));
    for (int64_t i = 0; i < tokens * c.keyHeads; ++i) {
      lm::encodeCacheRow(&numbers[i * c.headDim], c.headDim, row.data());
      for (double value : row)
        append(static_cast<int8_t>(value));
    }
    return bytes;
  }
  for (double value : numbers) {
    if (format == "f16")
      append(floatToHalf(static_cast<float>(value)));
    else
      append(static_cast<float>(value));
  }
  return bytes;
}

class PagedCaches : public testing::TestWithParam<const char *>, public Context {
public:
  std::shared_ptr<const Executable> compiled(const Case &c, bool paged, const std::string &format) {
    auto module = parse(program(c, paged));
    EXPECT_TRUE(module) << errors;
    func::FuncOp function = functionOf(*module);
    Builder b(&context);
    std::vector<std::string> names = {"q", "k", "v", "past", "pages", "keys", "values"};
    if (!paged)
      names.erase(names.begin() + 4);
    for (auto [i, name] : llvm::enumerate(names)) {
      function.setArgAttr(i, kName, b.getStringAttr(name));
      function.setArgAttr(i, kRole, b.getStringAttr(i + 2 >= names.size() ? "cache" : "input"));
    }
    for (auto [i, name] : llvm::enumerate(kOutputs)) {
      function.setResultAttr(i, kName, b.getStringAttr(name));
      function.setResultAttr(i, kRole, b.getStringAttr("output"));
    }
    for (unsigned i : {2, 3})
      function.setResultAttr(i, kUpdates, b.getI64IntegerAttr(names.size() - 4 + i));
    runPipeline(*module, {.cacheFormat = format == "f32" ? "" : format});
    return buildExecutable(*module, {.cpu = GetParam(), .jobs = 1, .useCache = false}, {}, nullptr);
  }

  /// Inputs that both programs take.
  static void load(Session &session, const Case &c) {
    for (auto [i, name] : llvm::enumerate(kTokens))
      std::ranges::copy(normals(session.f32(name).size(), i + 1), session.f32(name).begin());
    std::ranges::copy(c.past, session.i32("past").begin());
  }

  void check(const Case &c, const std::string &format) {
    SCOPED_TRACE(nameOf(c) + ", " + format);
    auto whole = compiled(c, false, format), paged = compiled(c, true, format);
    std::vector<int32_t> pages = shuffledPages(c);
    Session expected(whole, {.threads = 2});
    load(expected, c);
    size_t row = 0; // bytes of a token
    std::map<std::string, std::vector<std::byte>> past;
    for (auto [i, name] : llvm::enumerate(kCaches)) {
      std::span<std::byte> cache = expected.bytes(name);
      row = cache.size() / (c.batch() * c.room());
      past[name] = pastRows(c, format, c.batch() * c.room(), i + 7);
      ASSERT_EQ(past[name].size(), cache.size());
      std::ranges::copy(past[name], cache.begin());
    }
    expected.run("f", {});
    for (int threads : {1, 2, 3}) {
      SCOPED_TRACE(fmt::format("{} threads", threads));
      Session session(paged, {.threads = threads});
      load(session, c);
      std::ranges::copy(pages, session.i32("pages").begin());
      auto rowOf = [&](int64_t b, int64_t s) {
        return (pages[b * c.pages + s / c.pageTokens] * c.pageTokens + s % c.pageTokens) * row;
      };
      for (const char *name : kCaches) {
        // What is not there yet, and what is nobody's, is NaN in every format.
        std::ranges::fill(session.bytes(name), std::byte(0xff));
        for (int64_t b = 0; b < c.batch(); ++b)
          for (int64_t s = 0; s < c.past[b]; ++s)
            std::copy_n(&past[name][(b * c.room() + s) * row], row,
                        session.bytes(name).begin() + rowOf(b, s));
      }
      session.run("f", {});
      for (const char *name : kOutputs)
        EXPECT_EQ(std::memcmp(session.bytes(name).data(), expected.bytes(name).data(),
                              expected.bytes(name).size()),
                  0)
            << name;
      for (const char *name : kCaches) {
        std::vector<std::byte> pool(session.bytes(name).size(), std::byte(0xff));
        for (int64_t b = 0; b < c.batch(); ++b)
          for (int64_t s = 0; s < c.past[b] + c.tokens; ++s)
            std::copy_n(expected.bytes(name).begin() + (b * c.room() + s) * row, row,
                        pool.begin() + rowOf(b, s));
        EXPECT_TRUE(std::ranges::equal(pool, session.bytes(name))) << name;
      }
    }
  }
};

TEST_P(PagedCaches, GiveTheBitsOfOnesInOnePiece) {
  for (const Case &c : cases)
    for (const char *format : {"f32", "f16", "q8_0"})
      if (format != std::string("f16") || GetParam() != std::string("x86-64-v2")) // has no f16
        ASSERT_NO_FATAL_FAILURE(check(c, format));
}

TEST_P(PagedCaches, MatchTheEvaluator) {
  for (const Case &c : cases)
    for (bool bytes : {false, true}) {
      SCOPED_TRACE(nameOf(c));
      auto module = parse(program(c, true, bytes));
      ASSERT_TRUE(module) << errors;
      std::vector<std::vector<double>> data;
      for (int64_t heads : {c.heads, c.keyHeads, c.keyHeads})
        data.push_back(normals(c.batch() * c.tokens * heads * c.headDim, data.size()));
      data.emplace_back(c.past.begin(), c.past.end());
      std::vector<int32_t> pages = shuffledPages(c);
      data.emplace_back(pages.begin(), pages.end());
      for (unsigned seed : {7, 8}) {
        int64_t rows = c.poolPages() * c.pageTokens * c.keyHeads,
                row = lm::cacheRowBytes(c.headDim);
        std::vector<double> numbers = normals(rows * c.headDim, seed), encoded(rows * row);
        for (int64_t i = 0; bytes && i < rows; ++i)
          lm::encodeCacheRow(&numbers[i * c.headDim], c.headDim, &encoded[i * row]);
        data.push_back(bytes ? encoded : numbers);
      }
      std::vector<lm::Tensor> arguments = tensorsFor(functionOf(*module), data);
      ASSERT_NO_FATAL_FAILURE(
          checkKernels(*this, *module, {{}}, {arguments}, {.cpu = GetParam(), .threads = {1, 3}}));
    }
}

// Page numbers that mean nothing lead nowhere else: reads take the nearest page, writes are left out.
TEST_P(PagedCaches, WrongPagesStayInThePool) {
  Case c{2, 4, 3, {5, 7, -4}, 2, 1, 8};
  auto module = parse(program(c, true));
  ASSERT_TRUE(module) << errors;
  std::vector<std::vector<double>> data;
  for (int64_t heads : {c.heads, c.keyHeads, c.keyHeads})
    data.push_back(normals(c.batch() * c.tokens * heads * c.headDim, data.size()));
  data.emplace_back(c.past.begin(), c.past.end());
  data.push_back({-2147483648.0, 3, 100, 2147483647, -1, 5, 7, 12, 0});
  for (unsigned seed : {7, 8})
    data.push_back(normals(c.poolPages() * c.pageTokens * c.keyHeads * c.headDim, seed));
  checkKernels(*this, *module, {{}}, {tensorsFor(functionOf(*module), data)}, {.cpu = GetParam()});
}

INSTANTIATE_TEST_SUITE_P(Targets, PagedCaches, testing::Values("host", "x86-64-v2", "x86-64-v3"),
                         [](const auto &info) { return testName(info.param); });

} // namespace
} // namespace lmc::test
