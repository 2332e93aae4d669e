// Sequences that share a pool of pages: each gives the bits that it gives with a cache of its own,
// whatever the others do, and memory that is not there is said before anything runs.
#include "codegen/Compiler.h"
#include "frontend/models/Programs.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"
#include "runtime/PagePool.h"
#include "runtime/Philox.h"
#include "serve/SessionEngine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>

namespace lmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig llama() {
  ModelConfig config;
  config.architecture = Architecture::Llama;
  config.layers = 2;
  config.width = 48;
  config.heads = 4;
  config.kvHeads = 2;
  config.headDim = 12;
  config.ffnWidth = 70;
  config.vocab = 101;
  config.context = 50;
  config.normEps = 1e-6;
  config.tiedHead = false;
  config.activation = Activation::Silu;
  return config;
}

std::shared_ptr<const Executable> compiled(const ModelConfig &config, ProgramOptions programs,
                                           const std::string &cacheFormat) {
  mlir::MLIRContext context;
  loadCompilerDialects(context);
  programs.training = false;
  auto module = buildPrograms(context, config, programs);
  PipelineOptions pipeline;
  pipeline.cacheFormat = cacheFormat;
  std::map<std::string, std::vector<float>> weights;
  for (const ParameterSpec &parameter : parametersOf(config)) {
    int64_t size = 1;
    for (int64_t extent : parameter.shape)
      size *= extent;
    Philox random(3, weights.size());
    for (int64_t i = 0; i < size; ++i)
      weights[parameter.name].push_back(
          static_cast<float>((parameter.shape.size() == 1 ? 0.7 : 0) + 0.3 * random.normal(i)));
  }
  return compilePrograms(*module, pipeline, {.jobs = 2, .useCache = false}, {},
                         [&](const std::string &name, std::string_view) {
                           return std::as_bytes(std::span(weights.at(name)));
                         });
}

class PagedEngine : public testing::TestWithParam<const char *> {
protected:
  /// pageTokens 0: a cache of its own for each sequence.
  std::unique_ptr<SessionEngine> engine(int64_t pageTokens, int64_t poolTokens, int slots,
                                        int threads = 2, int64_t decodeBatch = 0) {
    ModelConfig config = llama();
    auto executable = compiled(config,
                               {.chunk = 8,
                                .cacheLength = 48,
                                .pageTokens = pageTokens,
                                .poolTokens = poolTokens,
                                .draft = 4,
                                .decodeBatch = decodeBatch},
                               GetParam());
    ModelInfo info{"m", "llama", config.vocab, 48, 1, {}, {}};
    return std::make_unique<SessionEngine>(executable, info, config.vocab, threads, slots);
  }

  static std::vector<int32_t> tokens(uint64_t seed, int64_t count) {
    std::vector<int32_t> result(count);
    for (int64_t i = 0; i < count; ++i)
      result[i] = static_cast<int32_t>(Philox(7, seed).below(i, 101));
    return result;
  }
  static void keep(std::vector<float> &all, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  }
  /// Prompts, single tokens, guesses that are forgotten: the logits of one sequence, step by step.
  static std::vector<std::function<void(Sequence &, std::vector<float> &)>> steps(uint64_t seed) {
    std::vector<std::function<void(Sequence &, std::vector<float> &)>> list;
    list.push_back(
        [=](Sequence &s, auto &all) { keep(all, s.append(tokens(seed, 5 + 3 * seed))); });
    for (int i = 0; i < 6; ++i)
      list.push_back(
          [=](Sequence &s, auto &all) { keep(all, s.append(tokens(seed + 10 * i, 1))); });
    list.push_back([=](Sequence &s, auto &all) {
      keep(all, s.score(tokens(seed + 5, 4)));
      s.truncate(s.length() - 3);
    });
    list.push_back([=](Sequence &s, auto &all) { keep(all, s.append(tokens(seed + 6, 9))); });
    return list;
  }
};

TEST_P(PagedEngine, GivesTheBitsOfCachesInOnePiece) {
  auto whole = engine(0, 0, 3);
  std::vector<std::vector<float>> expected(3);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    auto alone = whole->start();
    for (const auto &step : steps(seed))
      step(*alone, expected[seed]);
  }
  for (int threads : {1, 3}) {
    auto paged = engine(4, 110, 3, threads);
    // Sequences that came and went leave the free pages in some order.
    {
      auto one = paged->startFor(20), two = paged->startFor(30);
      one->append(tokens(50, 13));
      two->append(tokens(51, 27));
    }
    std::vector<std::unique_ptr<Sequence>> together;
    std::vector<std::vector<float>> got(3);
    for (uint64_t seed = 0; seed < 3; ++seed)
      together.push_back(paged->startFor(36));
    for (size_t step = 0; step < steps(0).size(); ++step)
      for (uint64_t seed = 0; seed < 3; ++seed)
        steps(seed)[step](*together[seed], got[seed]);
    for (uint64_t seed = 0; seed < 3; ++seed) {
      ASSERT_EQ(got[seed].size(), expected[seed].size());
      EXPECT_EQ(std::memcmp(got[seed].data(), expected[seed].data(), 4 * got[seed].size()), 0)
          << "sequence " << seed << ", " << threads << " threads";
    }
  }
}

TEST_P(PagedEngine, TakesMemoryForThePoolAndNoMore) {
  auto whole = engine(0, 0, 8), paged = engine(16, 96, 8);
  EXPECT_EQ(whole->cachedTokens(), 8 * 48);
  EXPECT_EQ(paged->cachedTokens(), 96);
  EXPECT_LT(paged->arenaBytes(), whole->arenaBytes());
  auto executable = compiled(
      llama(), {.chunk = 8, .cacheLength = 48, .pageTokens = 16, .poolTokens = 96}, GetParam());
  uint64_t caches = 0;
  for (int slots : {1, 8}) {
    std::vector<LedgerRow> rows = memoryLedger(*executable, 1, slots);
    uint64_t arena = 0;
    for (const LedgerRow &row : rows) {
      arena += row.category == "mapped_weights" ? 0 : row.bytes;
      if (row.category == "caches") {
        EXPECT_TRUE(caches == 0 || caches == row.bytes) << "sequences share the pool";
        caches = row.bytes;
        EXPECT_EQ(row.count, 4u);
      }
    }
    EXPECT_EQ(arena, Session(executable, {1, 1}).arenaBytes());
  }
}

TEST_P(PagedEngine, PromisesMemoryBeforeItIsUsed) {
  auto paged = engine(16, 96, 8);
  auto one = paged->startFor(48), two = paged->startFor(33); // three pages each
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(paged->startFor(1)) << "no page is left to promise, though none is taken";
  one.reset();
  auto three = paged->startFor(16), four = paged->startFor(17);
  ASSERT_TRUE(three && four);
  EXPECT_FALSE(paged->startFor(1));
  three->append(tokens(1, 16));
  try {
    three->append(tokens(2, 1));
    FAIL() << "more than was promised";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("17 tokens need 2 pages, and 1 were promised"));
  }
  EXPECT_EQ(three->length(), 16);
  four->append(tokens(3, 32)); // as many as its pages hold
  EXPECT_EQ(four->length(), 32);
}

TEST_P(PagedEngine, HasSlotsAsWell) {
  auto paged = engine(16, 96, 2);
  auto one = paged->startFor(1), two = paged->startFor(1);
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(paged->startFor(1));
}

// A sequence's ids and logits do not depend on who is computed with it, nor on how many.
TEST_P(PagedEngine, GivesTheSameBitsInABatch) {
  auto paged = engine(4, 48 * 6, 6, 2, /*decodeBatch=*/6);
  ASSERT_EQ(paged->mostSteps(), 6);
  auto prompt = [](uint64_t seed) { return tokens(seed, 3 + 4 * seed); };
  auto drawOf = [](uint64_t seed, uint64_t step) {
    Draw draw;
    draw.temperature = seed % 2 ? 0.9f : 0.0f;
    draw.topK = static_cast<int32_t>(seed);
    draw.bits = Philox(11, seed).bits64(step);
    return draw;
  };
  constexpr uint64_t kSequences = 6, kSteps = 9;
  std::vector<std::vector<int32_t>> ids(kSequences);
  std::vector<std::vector<float>> logits(kSequences);
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    auto alone = paged->start();
    ids[seed].push_back(alone->appendAndDraw(prompt(seed), drawOf(seed, 0)));
    for (uint64_t step = 1; step < kSteps; ++step) {
      int32_t last = ids[seed].back();
      ids[seed].push_back(alone->appendAndDraw({&last, 1}, drawOf(seed, step)));
      keep(logits[seed], alone->logits());
    }
  }
  std::vector<std::unique_ptr<Sequence>> together;
  std::vector<int32_t> last;
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    together.push_back(paged->start());
    last.push_back(together[seed]->appendAndDraw(prompt(seed), drawOf(seed, 0)));
    EXPECT_EQ(last[seed], ids[seed][0]);
  }
  std::vector<std::vector<float>> got(kSequences);
  for (uint64_t step = 1; step < kSteps; ++step) {
    // Groups of all sizes, in other orders from step to step.
    std::vector<uint64_t> order;
    for (uint64_t i = 0; i < kSequences; ++i)
      order.push_back((5 * i + step) % kSequences);
    for (uint64_t first = 0, size = 1 + step % kSequences; first < kSequences; first += size) {
      std::vector<Step> group;
      for (uint64_t i = first; i < std::min(first + size, kSequences); ++i)
        group.push_back({together[order[i]].get(), last[order[i]], drawOf(order[i], step)});
      std::vector<int32_t> drawn = paged->appendAndDraw(group);
      for (uint64_t i = first; i < std::min(first + size, kSequences); ++i) {
        uint64_t seed = order[i];
        EXPECT_EQ(last[seed] = drawn[i - first], ids[seed][step]) << seed << ", step " << step;
        keep(got[seed], together[seed]->logits());
      }
    }
  }
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    EXPECT_EQ(got[seed], logits[seed]) << "sequence " << seed;
    EXPECT_EQ(together[seed]->length(), std::ssize(prompt(seed)) + int64_t(kSteps) - 1);
  }
}

// Positions and pages of each sequence are its own: logits are those of @decode but for rounding.
TEST(DecodeBatch, ComputesWhatDecodeDoes) {
  for (Architecture architecture : {Architecture::Llama, Architecture::Gpt2}) {
    ModelConfig config = llama();
    config.architecture = architecture;
    if (architecture == Architecture::Gpt2)
      config.kvHeads = config.heads, config.tiedHead = true,
      config.activation = Activation::GeluTanh;
    ModelInfo info{"m", "m", config.vocab, 48, 1, {}, {}};
    auto engineOf = [&](ProgramOptions options) {
      options.chunk = 8, options.cacheLength = 48;
      return std::make_unique<SessionEngine>(compiled(config, options, ""), info, config.vocab, 2,
                                             3);
    };
    auto whole = engineOf({}),
         paged = engineOf({.pageTokens = 16, .poolTokens = 144, .decodeBatch = 3});
    std::vector<std::vector<float>> expected(3);
    std::vector<std::unique_ptr<Sequence>> together;
    std::vector<Step> steps;
    for (int32_t i = 0; i < 3; ++i) {
      std::vector<int32_t> prompt(4 + 9 * i, 7 + i);
      auto alone = whole->start();
      alone->append(prompt);
      int32_t next = 20 + i;
      auto logits = alone->append({&next, 1});
      expected[i].assign(logits.begin(), logits.end());
      together.push_back(paged->start());
      together[i]->append(prompt);
      steps.push_back({together[i].get(), next, {}});
    }
    std::vector<int32_t> drawn = paged->appendAndDraw(steps);
    for (int i = 0; i < 3; ++i) {
      std::span<const float> got = together[i]->logits();
      ASSERT_EQ(got.size(), expected[i].size());
      float largest = 0;
      for (size_t j = 0; j < got.size(); ++j)
        largest = std::max(largest, std::abs(expected[i][j]));
      for (size_t j = 0; j < got.size(); ++j)
        ASSERT_NEAR(got[j], expected[i][j], 1e-5 * largest) << "sequence " << i << ", logit " << j;
      EXPECT_EQ(drawn[i], std::ranges::max_element(expected[i]) - expected[i].begin());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Caches, PagedEngine, testing::Values("", "f16", "q8_0"),
                         [](const auto &info) {
                           return std::string(*info.param ? info.param : "f32");
                         });

TEST(PageLayout, IsThatOfTheProgram) {
  auto layout =
      pageLayout(*compiled(llama(), {.cacheLength = 41, .pageTokens = 16, .poolTokens = 100}, ""));
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->pageTokens, 16);
  EXPECT_EQ(layout->tablePages, 3);
  EXPECT_EQ(layout->poolPages, 7);
  EXPECT_EQ(layout->poolTokens(), 112);
  EXPECT_FALSE(pageLayout(*compiled(llama(), {.cacheLength = 41}, "")));
}

TEST(PagePool, HandsPagesOutAndTakesThemBack) {
  PagePool pool(5, 4);
  auto one = pool.lease(9), two = pool.lease(8);
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(pool.lease(1));
  EXPECT_EQ(pool.promisedPages(), 5);
  EXPECT_EQ(pool.takenPages(), 0);
  one->grow(1);
  two->grow(5);
  one->grow(9);
  one->grow(2);
  EXPECT_THAT(one->pages(), ElementsAre(0, 3, 4));
  EXPECT_THAT(two->pages(), ElementsAre(1, 2));
  EXPECT_THROW(two->grow(9), Error);
  one.reset();
  EXPECT_EQ(pool.promisedPages(), 2);
  EXPECT_EQ(pool.takenPages(), 2);
  auto three = pool.lease(12);
  three->grow(12);
  EXPECT_THAT(three->pages(), ElementsAre(0, 3, 4));
}

} // namespace
} // namespace lmc
