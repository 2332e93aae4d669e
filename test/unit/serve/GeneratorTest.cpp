#include "serve/Generator.h"

#include "Doubles.h"
#include "serve/Speculation.h"

#include <gmock/gmock.h>

namespace lmc {
namespace {

using testing::ElementsAre;

class GeneratorTest : public testing::Test {
protected:
  FakeEngine engine;
  FakeTokenizer tokenizer;
  GenerationRequest request;
  std::vector<std::string> pieces;

  GeneratorTest() {
    request.tokens = {FakeTokenizer::bos, '>'};
    request.sampling.temperature = 0;
  }
  Generated run() {
    return generate(engine, tokenizer, request,
                    [&](const Piece &piece) { pieces.push_back(piece.text); });
  }
  Reason failure() {
    try {
      run();
    } catch (const RequestFailure &failure) {
      return failure.reason();
    }
    ADD_FAILURE() << "nothing failed";
    return Reason::Draining;
  }
};

TEST_F(GeneratorTest, EndsWithTheModelsOwnEnd) {
  auto answer = run();
  EXPECT_EQ(answer.text, "hello");
  EXPECT_THAT(answer.tokens, ElementsAre('h', 'e', 'l', 'l', 'o'));
  EXPECT_EQ(answer.promptTokens, 2);
  EXPECT_EQ(answer.finish, Finish::Stop);
  EXPECT_THAT(pieces, ElementsAre("h", "e", "l", "l", "o"));
  EXPECT_EQ(engine.live, 0);
}

TEST_F(GeneratorTest, EndsAtMaxTokens) {
  request.maxTokens = 3;
  auto answer = run();
  EXPECT_EQ(answer.text, "hel");
  EXPECT_EQ(answer.finish, Finish::Length);
  EXPECT_EQ(engine.steps, 3);
}

TEST_F(GeneratorTest, EndsWhereTheContextIsFull) {
  engine.model.context = 4; // two tokens of prompt, two more appended, the third needs no room
  auto answer = run();
  EXPECT_EQ(answer.text, "hel");
  EXPECT_EQ(answer.finish, Finish::Length);
}

TEST_F(GeneratorTest, PromptAsLongAsTheContextStillGivesOneToken) {
  request.tokens.assign(64, '.');
  auto answer = run();
  EXPECT_EQ(answer.text, "h");
  EXPECT_EQ(answer.finish, Finish::Length);
}

TEST_F(GeneratorTest, EndsBeforeAStopString) {
  engine.answer = "one two END three";
  request.maxTokens = 40;
  request.stop = {"zzz", " END"};
  auto answer = run();
  EXPECT_EQ(answer.text, "one two");
  EXPECT_EQ(answer.finish, Finish::Stop);
  EXPECT_EQ(answer.tokens.size(), std::string("one two END").size());
  std::string joined;
  for (auto &piece : pieces)
    joined += piece;
  EXPECT_EQ(joined, "one two");
}

TEST_F(GeneratorTest, ShowsHeldBackTextAtTheEnd) {
  request.stop = {"lox"};
  EXPECT_EQ(run().text, "hello");
  request.maxTokens = 4;
  EXPECT_EQ(run().text, "hell");
}

TEST_F(GeneratorTest, NeverShowsHalfACharacter) {
  engine.answer = "a\xE2\x82\xAC!";
  EXPECT_EQ(run().text, "a\xE2\x82\xAC!");
  EXPECT_THAT(pieces, ElementsAre("a", "", "", "\xE2\x82\xAC", "!"));
  request.maxTokens = 3;
  EXPECT_EQ(run().text, "a\xEF\xBF\xBD");
}

TEST_F(GeneratorTest, LogprobsComeWithEachToken) {
  request.sampling.logprobs = 2;
  auto answer = run();
  ASSERT_EQ(answer.sampled.size(), 5u);
  EXPECT_EQ(answer.sampled[1].token, 'e');
  // One logit of 50 above 257 zeros: -log(1 + 257 exp(-50)).
  EXPECT_NEAR(answer.sampled[1].logprob, 0, 1e-15);
  ASSERT_EQ(answer.sampled[1].top.size(), 2u);
  EXPECT_NEAR(answer.sampled[1].top[1].value, -50, 1e-12);
}

TEST_F(GeneratorTest, PrefillsInChunks) {
  request.tokens.assign(50, '.');
  Generator generator(request, engine.model, tokenizer, engine.start(),
                      makeSampler(engine.model.vocab, request.sampling), {}, 16);
  for (int64_t cached : {16, 32, 48, 50, 51}) {
    EXPECT_TRUE(generator.step());
    EXPECT_EQ(generator.cachedTokens(), cached);
  }
  EXPECT_EQ(engine.longestAppend, 16);
  EXPECT_EQ(generator.generated().text, "he");
}

TEST_F(GeneratorTest, FailuresKeepTheirReason) {
  engine.spoil = [](int64_t, auto &logits) { logits[3] = NAN; };
  EXPECT_EQ(failure(), Reason::MalformedLogits);
  engine.spoil = [](int64_t, auto &logits) { logits.pop_back(); };
  EXPECT_EQ(failure(), Reason::MalformedLogits);
  engine.spoil = [](int64_t, auto &) { throw std::runtime_error("broken"); };
  EXPECT_EQ(failure(), Reason::Engine);
  engine.spoil = {};
  tokenizer.failDecode = true;
  EXPECT_EQ(failure(), Reason::Tokenizer);
  tokenizer.failDecode = false;
  request.deadline = Clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(failure(), Reason::Deadline);
  EXPECT_EQ(engine.live, 0);
}

/// Logits that depend on the place alone and leave a choice.
void leaveAChoice(int64_t length, std::vector<float> &logits) {
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = i < 9 ? float((i * 7 + size_t(length) * 3) % 5) * 0.4f : -INFINITY;
}

TEST_F(GeneratorTest, TokensAreTheSameWhereTheEngineDraws) {
  engine.spoil = leaveAChoice;
  request.tokens.assign(20, '.');
  request.maxTokens = 12;
  for (double temperature : {0.0, 0.8})
    for (int64_t topK : {0, 4})
      for (double topP : {1.0, 0.8})
        for (uint64_t seed : {1, 2, 3}) {
          request.sampling = {temperature, topK, topP, seed, {}};
          engine.drawing = false;
          auto here = run();
          engine.drawn = 0;
          engine.drawing = true;
          auto there = run();
          EXPECT_EQ(there.tokens, here.tokens);
          EXPECT_EQ(engine.drawn, std::ssize(there.tokens));
        }
}

TEST_F(GeneratorTest, OnlyTheLastPieceOfAPromptIsDrawnFrom) {
  engine.drawing = true;
  engine.spoil = leaveAChoice;
  request.tokens.assign(50, '.');
  request.sampling.temperature = 1;
  std::vector<std::vector<int32_t>> answers;
  for (int64_t chunk : {7, 64}) {
    Generator generator(request, engine.model, tokenizer, engine.start(),
                        makeSampler(engine.model.vocab, request.sampling), {}, chunk);
    for (int i = 0; i < 12; ++i)
      generator.step();
    answers.push_back(generator.generated().tokens);
  }
  answers[1].resize(answers[0].size());
  EXPECT_GE(answers[0].size(), 3u);
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(GeneratorTest, LogprobsAndDraftsNeedTheLogitsHere) {
  engine.drawing = true;
  request.sampling.logprobs = 1;
  EXPECT_EQ(run().sampled.size(), 5u);
  request.sampling.logprobs.reset();
  EXPECT_EQ(generate(engine, tokenizer, request, {}, makeLookupDrafter()).text, "hello");
  EXPECT_EQ(engine.drawn, 0);
}

TEST_F(GeneratorTest, MalformedLogitsAreNamedWhereTheEngineDraws) {
  engine.drawing = true;
  for (double temperature : {0, 1}) {
    request.sampling.temperature = temperature;
    engine.spoil = [](int64_t, auto &logits) { logits[3] = NAN; };
    try {
      run();
      FAIL();
    } catch (const RequestFailure &failure) {
      EXPECT_EQ(failure.reason(), Reason::MalformedLogits);
      EXPECT_THAT(failure.what(), testing::HasSubstr("the logit of token 3 is nan"));
    }
    engine.spoil = [](int64_t, auto &logits) { std::ranges::fill(logits, -INFINITY); };
    EXPECT_EQ(failure(), Reason::MalformedLogits);
  }
}

TEST_F(GeneratorTest, SamplerFailures) {
  struct Broken : Sampler {
    int32_t token;
    explicit Broken(int32_t token) : token(token) {}
    Sampled sample(std::span<const float>) override {
      if (token < 0)
        throw std::runtime_error("no dice");
      return {token, 0, {}};
    }
  };
  for (int32_t token : {-1, 258}) {
    Generator generator(request, engine.model, tokenizer, engine.start(),
                        std::make_unique<Broken>(token), {});
    try {
      generator.step();
      FAIL();
    } catch (const RequestFailure &failure) {
      EXPECT_EQ(failure.reason(), Reason::Sampling);
    }
  }
}

TEST_F(GeneratorTest, NoFreeSlot) {
  auto one = engine.start(), two = engine.start();
  EXPECT_EQ(failure(), Reason::Overloaded);
}

} // namespace
} // namespace lmc
