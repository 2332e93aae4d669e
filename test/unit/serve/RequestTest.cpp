#include "serve/Request.h"

#include "Doubles.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Request : public testing::Test {
protected:
  FakeEngine engine;
  FakeTokenizer tokenizer;
  ClientRequest request;

  Request() { request.prompt = "hi"; }
  GenerationRequest resolved() { return resolve(request, engine.model, tokenizer); }
  /// "reason: message", or "" where the request is fine.
  std::string refusal() {
    try {
      resolved();
      return "";
    } catch (const RequestFailure &failure) {
      return std::string(nameOf(failure.reason())) + ": " + failure.what();
    }
  }
};

TEST_F(Request, DefaultsAreOpenAis) {
  auto result = resolved();
  EXPECT_THAT(result.tokens, ElementsAre(FakeTokenizer::bos, 'h', 'i'));
  EXPECT_EQ(result.maxTokens, 16);
  EXPECT_EQ(result.sampling.temperature, 1);
  EXPECT_EQ(result.sampling.topK, 0);
  EXPECT_EQ(result.sampling.topP, 1);
  EXPECT_FALSE(result.sampling.logprobs);
}

TEST_F(Request, AbsentSeedsDiffer) {
  EXPECT_NE(resolved().sampling.seed, resolved().sampling.seed);
  request.seed = 0;
  EXPECT_EQ(resolved().sampling.seed, 0u);
}

TEST_F(Request, TokenIdsAreTakenAsTheyAre) {
  request.prompt.reset();
  request.tokenIds = {{1, 2, 3}};
  EXPECT_THAT(resolved().tokens, ElementsAre(1, 2, 3));
}

TEST_F(Request, EmptyPromptStartsFromBos) {
  request.prompt = "";
  EXPECT_THAT(resolved().tokens, ElementsAre(FakeTokenizer::bos));
  tokenizer.addsBos = false; // GPT-2's tokenizer adds none, its model has one
  EXPECT_THAT(resolved().tokens, ElementsAre(FakeTokenizer::bos));
  engine.model.bos.reset();
  EXPECT_THAT(refusal(), HasSubstr("invalid_argument: the prompt is empty"));
}

TEST_F(Request, RefusesInvalidInput) {
  struct Case {
    std::function<void(ClientRequest &)> change;
    const char *message;
  };
  const std::vector<Case> cases = {
      {[](auto &r) { r.maxTokens = 0; },
       "max_tokens must be 1 to the model's context of 64, got 0"},
      {[](auto &r) { r.maxTokens = -1; }, "got -1"},
      {[](auto &r) { r.maxTokens = 65; },
       "max_tokens must be 1 to the model's context of 64, got 65"},
      {[](auto &r) { r.prompt = std::string(64, 'x'); },
       "the prompt has 65 tokens, the model's context is 64"},
      {[](auto &r) { r.prompt.reset(); }, "the request has no prompt"},
      {[](auto &r) { r.tokenIds = {{1}}; }, "prompt and token_ids exclude each other"},
      {[](auto &r) { r.prompt.reset(), r.tokenIds.emplace(); }, "the prompt is empty"},
      {[](auto &r) { r.prompt.reset(), r.tokenIds = {{1, 258}}; },
       "token id 258 is outside the vocabulary of 258"},
      {[](auto &r) { r.prompt.reset(), r.tokenIds = {{-1}}; }, "token id -1 is outside"},
      {[](auto &r) { r.prompt = "ab\xFFz"; }, "not valid UTF-8 (byte 2)"},
      {[](auto &r) { r.prompt = "\xED\xA0\x80"; }, "not valid UTF-8 (byte 0)"},
      {[](auto &r) { r.temperature = -0.1; }, "temperature must be a finite number >= 0, got -0.1"},
      {[](auto &r) { r.temperature = NAN; }, "temperature must be a finite number"},
      {[](auto &r) { r.temperature = INFINITY; }, "temperature must be a finite number"},
      {[](auto &r) { r.topP = 0; }, "top_p must be in (0, 1], got 0"},
      {[](auto &r) { r.topP = 1.01; }, "top_p must be in (0, 1], got 1.01"},
      {[](auto &r) { r.topP = NAN; }, "top_p must be in (0, 1]"},
      {[](auto &r) { r.topK = -1; }, "top_k must be >= 0"},
      {[](auto &r) { r.logprobs = -1; }, "logprobs must be 0 to 20"},
      {[](auto &r) { r.logprobs = 21; }, "logprobs must be 0 to 20"},
      {[](auto &r) { r.stop = {""}; }, "a stop string must have 1 to 1024 bytes, got 0"},
      {[](auto &r) { r.stop = {std::string(1025, 'x')}; }, "a stop string must have"},
      {[](auto &r) { r.stop.assign(17, "x"); }, "stop has 17 strings, at most 16"},
      {[](auto &r) { r.stop = {"\xC0\x80"}; }, "stop is not valid UTF-8"},
  };
  for (auto &[change, message] : cases) {
    request = {};
    request.prompt = "hi";
    change(request);
    EXPECT_THAT(refusal(), testing::StartsWith("invalid_argument: ")) << message;
    EXPECT_THAT(refusal(), HasSubstr(message));
  }
}

TEST_F(Request, LimitsThemselvesAreFine) {
  request.maxTokens = 64;
  request.prompt = std::string(63, 'x');
  request.temperature = 0;
  request.topP = 1;
  request.logprobs = 20;
  request.stop.assign(16, std::string(1024, 'x'));
  EXPECT_EQ(refusal(), "");
}

TEST_F(Request, DefaultMaxTokensFitsASmallContext) {
  engine.model.context = 8;
  EXPECT_EQ(refusal(), "");
}

TEST_F(Request, TokenizerFailureHasItsReason) {
  tokenizer.failEncode = true;
  EXPECT_EQ(refusal(), "tokenizer: the tokenizer failed: cannot encode");
}

} // namespace
} // namespace lmc
