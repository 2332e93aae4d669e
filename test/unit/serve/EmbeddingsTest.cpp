// An encoder over HTTP: OpenAI's embeddings, what is refused, and how it ends.
#include "serve/EncoderRoutes.h"

#include "Doubles.h"

#include "frontend/tokenizer/Base64.h"
#include "runtime/DeviceLost.h"
#include "serve/HttpListener.h"
#include "serve/Request.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace lmc {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class EmbeddingsTest : public testing::Test {
protected:
  ModelInfo model{"fake", "bert", FakeTokenizer::size, 6, 100, {}, {}};
  /// The number of tokens and the first of them.
  Embed embed = [](std::span<const int32_t> tokens) {
    return std::vector<float>{float(tokens.size()), float(tokens[0])};
  };
  std::unique_ptr<ServedEncoder> served;
  std::unique_ptr<HttpListener> server;
  std::unique_ptr<httplib::Client> client;

  void SetUp() override {
    auto call = [this](std::span<const int32_t> tokens) { return embed(tokens); };
    served = std::make_unique<ServedEncoder>(call, model, std::make_shared<FakeTokenizer>());
    server = std::make_unique<HttpListener>(
        parseAddress("127.0.0.1:0", "--http"), 4, maxRequestBytes,
        [&](httplib::Server &http) { addEncoderRoutes(http, *served); });
    client = std::make_unique<httplib::Client>("127.0.0.1", server->address().port);
  }
  json ask(const json &body, int status = 200) {
    auto answer = client->Post("/v1/embeddings", body.dump(), "application/json");
    EXPECT_EQ(answer->status, status) << answer->body;
    return json::parse(answer->body);
  }
  std::string refused(const json &body, int status = 400) {
    return ask(body, status)["error"]["message"];
  }
};

TEST_F(EmbeddingsTest, TextsAndTokens) {
  json one = ask({{"model", "fake"}, {"input", "ab"}});
  EXPECT_EQ(one["object"], "list");
  EXPECT_EQ(one["model"], "fake");
  ASSERT_EQ(one["data"].size(), 1u);
  EXPECT_EQ(one["data"][0]["object"], "embedding");
  size_t tokens = FakeTokenizer().encode("ab", true).size();
  EXPECT_EQ(one["data"][0]["embedding"][0], tokens);
  EXPECT_EQ(one["usage"], json({{"prompt_tokens", tokens}, {"total_tokens", tokens}}));

  json ids = ask({{"input", {7, 8, 9}}});
  EXPECT_EQ(ids["data"][0]["embedding"], json({3.0, 7.0}));
  json many = ask({{"input", {{5}, {6, 6}}}});
  ASSERT_EQ(many["data"].size(), 2u);
  EXPECT_EQ(many["data"][1]["index"], 1);
  EXPECT_EQ(many["data"][1]["embedding"], json({2.0, 6.0}));
  EXPECT_EQ(many["usage"]["total_tokens"], 3);
}

TEST_F(EmbeddingsTest, Base64HoldsTheSameFloats) {
  json answer = ask({{"input", {9, 9}}, {"encoding_format", "base64"}});
  auto bytes = decodeBase64(answer["data"][0]["embedding"].get<std::string>());
  ASSERT_TRUE(bytes && bytes->size() == 8);
  float values[2];
  std::memcpy(values, bytes->data(), sizeof values);
  EXPECT_EQ(values[0], 2);
  EXPECT_EQ(values[1], 9);
}

TEST_F(EmbeddingsTest, RefusesWhatItDoesNotUnderstand) {
  EXPECT_THAT(refused(json::object()), HasSubstr("input is missing"));
  EXPECT_THAT(refused({{"input", json::array()}}), HasSubstr("1 to 2048"));
  EXPECT_THAT(refused({{"input", 3}}), HasSubstr("input must be"));
  EXPECT_THAT(refused({{"input", {{1}, {true}}}}), HasSubstr("input[1] must be a text"));
  EXPECT_THAT(refused({{"input", {{1}, {1, 1, 1, 1, 1, 1, 1}}}}),
              HasSubstr("input[1] has 7 tokens, the model takes 1 to 6"));
  EXPECT_THAT(refused({{"input", {FakeTokenizer::size}}}), HasSubstr("vocabulary"));
  EXPECT_THAT(refused({{"input", "a"}, {"dimensions", 2}}), HasSubstr("dimensions"));
  EXPECT_THAT(refused({{"input", "a"}, {"encoding_format", "int8"}}), HasSubstr("\"base64\""));
  EXPECT_THAT(refused({{"input", "a"}, {"model", "other"}}), HasSubstr("'fake' is"));
  EXPECT_THAT(refused({{"input", "a"}, {"nothing", 1}}), HasSubstr("unknown field 'nothing'"));
  for (const char *path : {"/v1/completions", "/v1/chat/completions"}) {
    auto answer = client->Post(path, "{}", "application/json");
    EXPECT_EQ(answer->status, 400);
    EXPECT_THAT(answer->body, HasSubstr("is an encoder and predicts no tokens"));
  }
}

TEST_F(EmbeddingsTest, FailuresDrainingAndLoss) {
  embed = [](auto) -> std::vector<float> { throw std::runtime_error("broken"); };
  EXPECT_THAT(refused({{"input", "a"}}, 500), HasSubstr("broken"));
  EXPECT_EQ(client->Get("/readyz")->status, 200) << "one request failed, not the server";
  served->stopAdmission();
  EXPECT_THAT(refused({{"input", "a"}}, 503), HasSubstr("stopping"));
  EXPECT_EQ(client->Get("/readyz")->status, 503);
  EXPECT_EQ(client->Get("/healthz")->status, 200);
}

TEST_F(EmbeddingsTest, ALostDeviceStaysLost) {
  int calls = 0;
  embed = [&](auto) -> std::vector<float> {
    ++calls;
    throw DeviceLost("the GPU is gone");
  };
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(refused({{"input", "a"}}, 500), HasSubstr("the GPU is gone; restart the server"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(client->Get("/healthz")->status, 503);
}

} // namespace
} // namespace lmc
