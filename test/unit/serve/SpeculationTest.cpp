#include "serve/Speculation.h"

#include "Doubles.h"
#include "runtime/Philox.h"
#include "serve/Generator.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

namespace lmc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LookupDrafter, GoesOnAsTheLatestLikePlaceDid) {
  auto drafter = makeLookupDrafter();
  auto draft = [&](std::vector<int32_t> text, int64_t most) {
    return drafter->draft(text, most).tokens;
  };
  EXPECT_THAT(draft({1, 2, 3, 9, 1, 2}, 2), ElementsAre(3, 9));
  EXPECT_THAT(draft({1, 2, 3, 9, 1, 2}, 10), ElementsAre(3, 9, 1, 2));
  EXPECT_THAT(draft({1, 2, 3, 1, 2, 4, 1, 2}, 1), ElementsAre(4)) << "the latest";
  EXPECT_THAT(draft({5, 1, 2, 7, 6, 1, 2, 8, 5, 1, 2}, 1), ElementsAre(7)) << "the longest";
  EXPECT_THAT(draft({7, 7}, 3), ElementsAre(7));
  EXPECT_THAT(draft({1, 2, 3}, 3), IsEmpty());
  EXPECT_THAT(draft({1}, 3), IsEmpty());
}

using Distribution = std::vector<Scored>;

const Distribution p = {{0, 0.5}, {1, 0.3}, {2, 0.2}};
const Distribution q = {{0, 0.1}, {1, 0.6}, {3, 0.3}};

/// Tokens that the rule gives are distributed as p, computed without drawing: x comes from q and stays,
/// or the remainder is drawn from.
TEST(Speculation, TheRuleGivesTheModelsDistribution) {
  for (const auto &[target, guess] : {std::pair(p, q),
                                      {q, p},
                                      {p, p},
                                      {p, Distribution{{1, 1.0}}},
                                      {Distribution{{1, 1.0}}, q}}) {
    std::map<int32_t, double> result;
    for (const Scored &x : guess) {
      double kept = acceptance(target, guess, x.token);
      result[x.token] += x.value * kept;
      for (const Scored &other : remainder(target, guess))
        result[other.token] += x.value * (1 - kept) * other.value;
    }
    for (const Scored &x : target)
      EXPECT_NEAR(result[x.token], x.value, 1e-12);
    double total = 0;
    for (auto &[token, share] : result)
      total += share;
    EXPECT_NEAR(total, 1, 1e-12);
  }
}

/// Pearson's chi-squared of counts against expected shares.
double chiSquared(const std::map<int32_t, int> &counts, const Distribution &expected, int draws) {
  double sum = 0;
  int seen = 0;
  for (const Scored &x : expected) {
    int count = counts.contains(x.token) ? counts.at(x.token) : 0;
    seen += count;
    sum += std::pow(count - x.value * draws, 2) / (x.value * draws);
  }
  return seen == draws ? sum : INFINITY; // a token that p does not have
}

TEST(Speculation, DrawnTokensAreDistributedAsWithoutDrafts) {
  const int draws = 200'000;
  std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f), -INFINITY};
  SamplingOptions options;
  options.seed = 11;
  auto sampler = makeSampler(4, options);
  std::map<int32_t, int> counts;
  int kept = 0;
  for (int i = 0; i < draws; ++i) {
    int32_t draft = pick(q, Philox(99, 5).bits64(i));
    int32_t token = sampler->sampleWithDraft(logits, draft, q).token;
    ++counts[token];
    kept += token == draft;
  }
  EXPECT_LT(chiSquared(counts, p, draws), 13.8); // 2 degrees of freedom, 0.1 %
  // sum of min(p, q) = 0.1 + 0.3, which is all that can be kept; a rejected x is never drawn again here
  EXPECT_NEAR(kept / double(draws), 0.4, 0.01);
}

/// Guesses that are right, wrong, or end too early, as a test says.
class FixedDrafter : public Drafter {
public:
  explicit FixedDrafter(std::function<std::vector<int32_t>(std::span<const int32_t>)> guess)
      : guess(std::move(guess)) {}
  Draft draft(std::span<const int32_t> text, int64_t most) override {
    auto tokens = guess(text);
    tokens.resize(std::min<size_t>(tokens.size(), most));
    return {tokens, {}};
  }

private:
  std::function<std::vector<int32_t>(std::span<const int32_t>)> guess;
};

class SpeculatingGeneratorTest : public testing::Test {
protected:
  FakeEngine engine;
  FakeTokenizer tokenizer;
  GenerationRequest request;

  SpeculatingGeneratorTest() {
    request.tokens = {FakeTokenizer::bos, '>'};
    request.sampling.temperature = 0;
    request.maxTokens = 40;
    engine.answer = "hello there";
  }
  Generated run(std::unique_ptr<Drafter> drafter) {
    engine.steps = 0;
    return generate(engine, tokenizer, request, {}, std::move(drafter));
  }
  static std::unique_ptr<Drafter> guessing(std::string text) {
    return std::make_unique<FixedDrafter>([text](std::span<const int32_t> so) {
      size_t made = so.size() - 2; // behind the prompt
      return made < text.size() ? std::vector<int32_t>(text.begin() + made, text.end())
                                : std::vector<int32_t>();
    });
  }
};

TEST_F(SpeculatingGeneratorTest, RightGuessesSaveSteps) {
  auto answer = run(guessing("hello there"));
  EXPECT_EQ(answer.text, "hello there");
  EXPECT_EQ(answer.finish, Finish::Stop);
  EXPECT_EQ(engine.steps, 4); // the prompt; 4 guesses and one more twice; the end
  EXPECT_EQ(answer.accepted, answer.drafted);
  EXPECT_EQ(engine.longestAppend, 5);
}

TEST_F(SpeculatingGeneratorTest, WrongGuessesChangeNothing) {
  for (const char *guess :
       {"hexlo there", "xxxxxxxxxxx", "hello thexx", "", "hello there and more"}) {
    auto answer = run(guessing(guess));
    EXPECT_EQ(answer.text, "hello there") << guess;
    EXPECT_EQ(answer.finish, Finish::Stop);
    EXPECT_EQ(answer.tokens.size(), 11u);
    EXPECT_LE(answer.accepted, answer.drafted);
  }
}

TEST_F(SpeculatingGeneratorTest, EndsWhereItEndsWithoutGuesses) {
  request.maxTokens = 7;
  EXPECT_EQ(run(guessing("hello there")).text, "hello t");
  EXPECT_EQ(run(guessing("hello there")).finish, Finish::Length);
  request.maxTokens = 40;
  engine.model.context = 8;
  auto plain = run(nullptr), guessed = run(guessing("hello there"));
  EXPECT_EQ(guessed.text, plain.text);
  EXPECT_EQ(guessed.finish, Finish::Length);
  engine.model.context = 64;
  request.stop = {"lo t"};
  EXPECT_EQ(run(guessing("hello there")).text, "hel");
}

TEST_F(SpeculatingGeneratorTest, SampledTokensAreThoseWithoutGuessesFromTheText) {
  // Logits that depend on the place alone and leave a choice.
  engine.spoil = [](int64_t length, std::vector<float> &logits) {
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = i < 4 ? float((i * 7 + size_t(length) * 3) % 5) * 0.4f : -INFINITY;
  };
  request.sampling.temperature = 0.8;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    request.sampling.seed = seed;
    auto plain = run(nullptr), guessed = run(makeLookupDrafter());
    EXPECT_EQ(guessed.tokens, plain.tokens);
    EXPECT_GT(guessed.accepted, 0);
  }
}

TEST_F(SpeculatingGeneratorTest, AModelGuessesAsFarAsItIsRight) {
  FakeEngine draft;
  draft.answer = "hello_there";
  auto answer = run(makeModelDrafter(draft, request.sampling));
  EXPECT_EQ(answer.text, "hello there");
  EXPECT_GE(answer.accepted, 4);
  EXPECT_LT(answer.accepted, answer.drafted);
  EXPECT_EQ(draft.live, 0);
  draft.slotCount = 0;
  EXPECT_FALSE(makeModelDrafter(draft, request.sampling));
}

/// The same check where guesses are drawn: over many seeds, the first tokens are distributed as without.
TEST_F(SpeculatingGeneratorTest, ADrawingModelKeepsTheDistribution) {
  auto only = [](std::vector<float> row) {
    return [row](int64_t, std::vector<float> &logits) {
      logits.assign(logits.size(), -INFINITY);
      std::ranges::copy(row, logits.begin() + 'a');
    };
  };
  FakeEngine draft;
  engine.spoil = only({std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  draft.spoil = only({std::log(0.1f), std::log(0.7f), std::log(0.2f)});
  request.sampling.temperature = 1;
  request.maxTokens = 6; // the second to fourth token are guessed, or follow a guess
  const int draws = 4000;
  std::map<int32_t, int> third, pairs;
  for (int seed = 0; seed < draws; ++seed) {
    request.sampling.seed = seed;
    auto tokens = run(makeModelDrafter(draft, request.sampling)).tokens;
    ASSERT_EQ(tokens.size(), 6u);
    ++third[tokens[2]];
    ++pairs[(tokens[1] - 'a') * 3 + tokens[2] - 'a'];
  }
  const double shares[] = {0.5, 0.3, 0.2};
  Distribution one, two;
  for (int i = 0; i < 3; ++i) {
    one.push_back({'a' + i, shares[i]});
    for (int j = 0; j < 3; ++j)
      two.push_back({i * 3 + j, shares[i] * shares[j]});
  }
  EXPECT_LT(chiSquared(third, one, draws), 13.8);
  EXPECT_LT(chiSquared(pairs, two, draws), 26.1); // 8 degrees of freedom: they are independent too
}

} // namespace
} // namespace lmc
