#include "serve/HttpServer.h"

#include "Doubles.h"

#include "runtime/DeviceLost.h"
#include "serve/Request.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <future>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lmc {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class HttpTest : public testing::Test {
protected:
  std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>();
  std::shared_ptr<FakeTokenizer> tokenizer = std::make_shared<FakeTokenizer>();
  std::shared_ptr<ChatTemplate> chat;
  SchedulerOptions options;
  std::unique_ptr<ServedModel> served;
  std::unique_ptr<HttpListener> server;
  std::unique_ptr<httplib::Client> client;

  void start() {
    server.reset();
    served = std::make_unique<ServedModel>(engine, tokenizer, chat, options);
    server =
        std::make_unique<HttpListener>(parseAddress("127.0.0.1:0", "--http"), 16, maxRequestBytes,
                                       [&](httplib::Server &http) { addRoutes(http, *served); });
    client = newClient();
  }
  std::unique_ptr<httplib::Client> newClient() {
    auto result = std::make_unique<httplib::Client>("127.0.0.1", server->address().port);
    result->set_keep_alive(true);
    result->set_tcp_nodelay(true);
    result->set_read_timeout(20);
    return result;
  }
  void SetUp() override { start(); }
  void TearDown() override { engine->gate.open(); }

  static json request() { return {{"model", "fake"}, {"prompt", ">"}, {"temperature", 0}}; }
  httplib::Result post(const std::string &path, const std::string &body) {
    return client->Post(path, body, "application/json");
  }
  httplib::Result complete(const json &body) { return post("/v1/completions", body.dump()); }

  /// The error's message, after checking status and form.
  std::string errorOf(const httplib::Result &result, int status) {
    if (!result) {
      ADD_FAILURE() << "no answer";
      return "";
    }
    EXPECT_EQ(result->status, status) << result->body;
    EXPECT_EQ(result->get_header_value("Content-Type"), "application/json");
    json body = json::parse(result->body, nullptr, false);
    EXPECT_TRUE(body.contains("error") && body["error"].contains("type")) << result->body;
    return body["error"].value("message", "");
  }
  double value(const std::string &series) { return metric(served->metrics.text(), series); }
  double failures(const std::string &reason) {
    return value("lmc_request_failures_total{reason=\"" + reason + "\"}");
  }

  /// The payloads of a body of server-sent events.
  static std::vector<std::string> events(const std::string &body) {
    std::vector<std::string> payloads;
    for (size_t at = 0; at < body.size();) {
      size_t end = body.find("\n\n", at);
      EXPECT_NE(end, std::string::npos) << body.substr(at);
      EXPECT_EQ(body.substr(at, 6), "data: ");
      payloads.push_back(body.substr(at + 6, end - at - 6));
      at = end + 2;
    }
    return payloads;
  }

  /// A connection that sends one request and can go away at will.
  int rawRequest(const std::string &text) {
    int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server->address().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
    EXPECT_EQ(::send(socket, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    return socket;
  }
  int rawCompletion(const json &body) {
    std::string text = body.dump();
    return rawRequest("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                      std::to_string(text.size()) + "\r\n\r\n" + text);
  }
};

TEST_F(HttpTest, EmbeddingsNeedAnEncoder) {
  EXPECT_THAT(errorOf(post("/v1/embeddings", R"({"input": "a"})"), 400), HasSubstr("an encoder"));
  EXPECT_EQ(failures("invalid_argument"), 1);
}

TEST_F(HttpTest, HealthAndReadiness) {
  EXPECT_EQ(client->Get("/healthz")->status, 200);
  EXPECT_EQ(client->Get("/readyz")->status, 200);
  served->scheduler.stopAdmission();
  EXPECT_EQ(client->Get("/healthz")->status, 200);
  EXPECT_EQ(client->Get("/readyz")->status, 503);
  EXPECT_THAT(errorOf(complete(request()), 503), HasSubstr("stopping"));
}

TEST_F(HttpTest, Models) {
  json body = json::parse(client->Get("/v1/models")->body);
  EXPECT_EQ(body["object"], "list");
  ASSERT_EQ(body["data"].size(), 1u);
  EXPECT_EQ(body["data"][0]["id"], "fake");
  EXPECT_EQ(body["data"][0]["object"], "model");
}

TEST_F(HttpTest, Completes) {
  auto result = complete(request());
  ASSERT_TRUE(result);
  ASSERT_EQ(result->status, 200) << result->body;
  json body = json::parse(result->body);
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["model"], "fake");
  EXPECT_THAT(body["id"].get<std::string>(), testing::StartsWith("cmpl-"));
  EXPECT_TRUE(body["created"].is_number_integer());
  json choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "hello");
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["logprobs"].is_null());
  json usage = {{"prompt_tokens", 2}, {"completion_tokens", 5}, {"total_tokens", 7}};
  EXPECT_EQ(body["usage"], usage);
  // Counted once the answer has been sent.
  EXPECT_TRUE(eventually(
      [&] { return value(R"(lmc_requests_total{code="200",method="/v1/completions"})") == 1; }));
}

TEST_F(HttpTest, TakesEveryFormOfPromptAndStop) {
  for (json prompt : {json(">"), json({">"}), json({256, '>'}), json({{256, '>'}})}) {
    json body = request();
    body["prompt"] = prompt;
    body["stop"] = "lo";
    body["max_tokens"] = nullptr;
    auto result = complete(body);
    ASSERT_EQ(result->status, 200) << prompt << result->body;
    EXPECT_EQ(json::parse(result->body)["choices"][0]["text"], "hel");
  }
}

TEST_F(HttpTest, Logprobs) {
  json body = request();
  body["logprobs"] = 2;
  json logprobs = json::parse(complete(body)->body)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], json({"h", "e", "l", "l", "o"}));
  EXPECT_EQ(logprobs["token_logprobs"].size(), 5u);
  EXPECT_NEAR(logprobs["top_logprobs"][0]["h"].get<double>(), 0, 1e-12);
}

TEST_F(HttpTest, Streams) {
  json body = request();
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  auto result = complete(body);
  ASSERT_EQ(result->status, 200);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
  auto all = events(result->body);
  ASSERT_EQ(all.size(), 8u); // five pieces, the end, the usage, [DONE]
  std::string text;
  for (size_t i = 0; i < 6; ++i) {
    json event = json::parse(all[i]);
    text += event["choices"][0]["text"];
    EXPECT_EQ(event["choices"][0]["finish_reason"], i == 5 ? json("stop") : json(nullptr));
  }
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(json::parse(all[6])["usage"]["completion_tokens"], 5);
  EXPECT_EQ(all[7], "[DONE]");
  // The connection is good for another request.
  EXPECT_EQ(complete(request())->status, 200);
}

TEST_F(HttpTest, EventsArriveWhileTextIsGenerated) {
  engine->gate.close();
  engine->gate.allow(1);
  json body = request();
  body["stream"] = true;
  httplib::Request http;
  http.method = "POST";
  http.path = "/v1/completions";
  http.body = body.dump();
  http.set_header("Accept-Encoding", "gzip"); // must not make the server hold tokens back
  int stepsAtFirst = 0;
  std::string received;
  http.content_receiver = [&](const char *data, size_t size, uint64_t, uint64_t) {
    if (received.empty())
      stepsAtFirst = engine->steps;
    received.append(data, size);
    engine->gate.open();
    return true;
  };
  auto result = client->send(http);
  ASSERT_TRUE(result);
  EXPECT_EQ(stepsAtFirst, 1);
  EXPECT_THAT(received, HasSubstr("data: [DONE]"));
}

TEST_F(HttpTest, ChatNeedsATemplate) {
  json body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"temperature", 0}};
  EXPECT_THAT(errorOf(post("/v1/chat/completions", body.dump()), 400),
              HasSubstr("has no chat template"));
}

constexpr const char *testTemplate =
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
    "{{ raise_exception('unknown role ' ~ m.role) }}{% endif %}{{ m.role }}:{{ m.content }}>{% "
    "endfor %}"
    "{% if tools %}{{ tools|tojson }}{% endif %}{{ extra }}";

TEST_F(HttpTest, Chats) {
  chat = std::make_shared<ChatTemplate>(testTemplate, "", "test template");
  start();
  json body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"temperature", 0}};
  auto result = post("/v1/chat/completions", body.dump());
  ASSERT_EQ(result->status, 200) << result->body;
  json answer = json::parse(result->body);
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "hello");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], std::string("user:hi>").size()) << "no BOS is added";

  body["stream"] = true;
  body["logprobs"] = true;
  body["top_logprobs"] = 1;
  auto all = events(post("/v1/chat/completions", body.dump())->body);
  ASSERT_EQ(all.size(), 8u);
  json first = json::parse(all[0]), second = json::parse(all[1]);
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(second["choices"][0]["delta"]["content"], "h");
  EXPECT_EQ(second["choices"][0]["logprobs"]["content"][0]["bytes"], json({'h'}));
  EXPECT_EQ(all[7], "[DONE]");

  body["messages"][0]["role"] = "ghost";
  EXPECT_THAT(errorOf(post("/v1/chat/completions", body.dump()), 400), HasSubstr("ghost"));
  for (const char *messages : {"[]", "{}", "[1]", "[{\"role\":\"user\"}]", "null"}) {
    body["messages"] = json::parse(messages);
    EXPECT_THAT(errorOf(post("/v1/chat/completions", body.dump()), 400), HasSubstr("messages"));
  }
}

TEST_F(HttpTest, ChatFieldsReachTheTemplate) {
  chat = std::make_shared<ChatTemplate>(testTemplate, "", "test template");
  start();
  auto promptBytes = [&](const char *more) {
    std::string body =
        std::string(R"({"messages": [{"role": "user", "content": "hi"}], "temperature": 0)") +
        more + "}";
    auto result = post("/v1/chat/completions", body);
    EXPECT_EQ(result->status, 200) << result->body;
    return json::parse(result->body)["usage"]["prompt_tokens"].get<size_t>();
  };
  size_t plain = std::string("user:hi>").size();
  EXPECT_EQ(promptBytes(R"(, "tools": [], "documents": null)"), plain);
  EXPECT_EQ(promptBytes(R"(, "tools": [{"b": 1, "a": 2}])"),
            plain + std::string(R"([{"b": 1, "a": 2}])").size());
  EXPECT_EQ(promptBytes(R"(, "tools": [{"b": 1}], "tool_choice": "none")"), plain);
  EXPECT_EQ(promptBytes(R"(, "chat_template_kwargs": {"extra": "xyz"})"), plain + 3);
  for (const char *bad :
       {R"("tools": 3)", R"("tool_choice": "required")", R"("chat_template_kwargs": [])",
        R"("chat_template_kwargs": {"messages": []})", R"("add_generation_prompt": 1)"}) {
    std::string body =
        std::string(R"({"messages": [{"role": "user", "content": "hi"}], )") + bad + "}";
    std::string field(bad + 1, std::string_view(bad).find(':') - 2);
    EXPECT_THAT(errorOf(post("/v1/chat/completions", body), 400), HasSubstr(field)) << bad;
  }
}

TEST_F(HttpTest, RefusesInvalidInput) {
  struct Case {
    const char *fields, *message;
  };
  const std::vector<Case> cases = {
      {R"({"max_tokens": 0})", "max_tokens must be 1 to"},
      {R"({"max_tokens": 65})", "max_tokens must be 1 to"},
      {R"({"max_tokens": "5"})", "max_tokens must be an integer, got a string"},
      {R"({"max_tokens": 1.5})", "max_tokens must be an integer, got a number"},
      {R"({"max_tokens": 18446744073709551615})", "max_tokens is too large"},
      {R"({"temperature": -1})", "temperature must be"},
      {R"({"temperature": true})", "temperature must be a number, got a boolean"},
      {R"({"temperature": 1e999})", "not JSON"},
      {R"({"top_p": 0})", "top_p must be"},
      {R"({"top_k": -1})", "top_k must be"},
      {R"({"seed": "x"})", "seed must be an integer"},
      {R"({"stream": 1})", "stream must be true or false"},
      {R"({"stop": 5})", "stop must be a string or an array of strings"},
      {R"({"stop": [""]})", "a stop string must have"},
      {R"({"logprobs": 21})", "logprobs must be 0 to 20"},
      {R"({"logprobs": true})", "logprobs must be an integer"},
      {R"({"n": 2})", "n is not supported"},
      {R"({"best_of": 2})", "best_of is not supported"},
      {R"({"echo": true})", "echo is not supported"},
      {R"({"presence_penalty": 0.5})", "presence_penalty is not supported"},
      {R"({"logit_bias": {"5": 1}})", "logit_bias is not supported"},
      {R"({"temprature": 0})", "unknown field 'temprature'"},
      {R"({"model": "gpt-4"})", "model 'gpt-4' is not served here"},
      {R"({"model": 4})", "model must be a string"},
      {R"({"timeout": 0})", "timeout must be in"},
      {R"({"prompt": null})", "the request has no prompt"},
      {R"({"prompt": 5})", "prompt must be a string or an array"},
      {R"({"prompt": []})", "prompt must hold one prompt, got 0"},
      {R"({"prompt": ["a", "b"]})", "prompt must hold one prompt, got 2"},
      {R"({"prompt": [1, -1]})", "token id -1 is outside"},
      {R"({"prompt": [99999999999]})", "token id 99999999999 is outside"},
      {R"({"prompt": [258]})", "token id 258 is outside"},
      {R"({"prompt": [1, "a"]})", "prompt must hold one prompt"},
  };
  for (auto &[fields, message] : cases) {
    json body = request();
    json change = json::parse(fields, nullptr, false);
    std::string text = fields;
    if (!change.is_discarded()) {
      body.update(change);
      text = body.dump();
    }
    EXPECT_THAT(errorOf(post("/v1/completions", text), 400), HasSubstr(message)) << fields;
  }
  EXPECT_EQ(failures("invalid_argument"), static_cast<double>(cases.size()));
  EXPECT_EQ(engine->steps, 0);
}

TEST_F(HttpTest, RefusesBodiesThatAreNoRequest) {
  EXPECT_THAT(errorOf(post("/v1/completions", ""), 400), HasSubstr("not JSON"));
  EXPECT_THAT(errorOf(post("/v1/completions", "{"), 400), HasSubstr("not JSON"));
  EXPECT_THAT(errorOf(post("/v1/completions", "[1]"), 400), HasSubstr("must be a JSON object"));
  EXPECT_THAT(errorOf(post("/v1/completions", "{\"prompt\": \"\xFF\"}"), 400),
              HasSubstr("not JSON"));
  // Half a surrogate pair is no character either.
  EXPECT_THAT(errorOf(post("/v1/completions", R"({"prompt": "\ud800"})"), 400),
              HasSubstr("not JSON"));
  std::string deep(200'000, '[');
  EXPECT_THAT(errorOf(post("/v1/completions", deep), 400), HasSubstr("not JSON"));
  deep += std::string(200'000, ']');
  EXPECT_THAT(errorOf(post("/v1/completions", deep), 400), HasSubstr("must be a JSON object"));
}

TEST_F(HttpTest, RefusesLongBodies) {
  EXPECT_THAT(errorOf(post("/v1/completions", std::string(maxRequestBytes + 1, ' ')), 413),
              HasSubstr("longer than"));
}

TEST_F(HttpTest, RefusesWrongPathsAndMethods) {
  EXPECT_THAT(errorOf(client->Get("/v1/nothing"), 404), HasSubstr("/v1/nothing"));
  auto wrong = client->Get("/v1/completions");
  EXPECT_THAT(errorOf(wrong, 405), HasSubstr("takes POST only"));
  EXPECT_EQ(wrong->get_header_value("Allow"), "POST");
  EXPECT_THAT(errorOf(post("/v1/models", "{}"), 405), HasSubstr("takes GET only"));
  EXPECT_TRUE(
      eventually([&] { return value(R"(lmc_requests_total{code="404",method="other"})") == 1; }));
}

TEST_F(HttpTest, InternalFailuresByReason) {
  tokenizer->failEncode = true;
  EXPECT_THAT(errorOf(complete(request()), 500), HasSubstr("cannot encode"));
  tokenizer->failEncode = false;
  engine->spoil = [](int64_t, auto &logits) { logits[0] = NAN; };
  EXPECT_THAT(errorOf(complete(request()), 500), HasSubstr("nan"));
  engine->spoil = [](int64_t, auto &) { throw std::runtime_error("broken"); };
  EXPECT_THAT(errorOf(complete(request()), 500), HasSubstr("broken"));
  for (const char *reason : {"tokenizer", "malformed_logits", "engine"})
    EXPECT_EQ(failures(reason), 1) << reason;
}

TEST_F(HttpTest, ALostDeviceIsNeitherReadyNorHealthy) {
  engine->spoil = [](int64_t, auto &) { throw DeviceLost("the GPU is gone"); };
  EXPECT_THAT(errorOf(complete(request()), 500), HasSubstr("the GPU is gone; restart the server"));
  engine->spoil = nullptr;
  int steps = engine->steps;
  EXPECT_THAT(errorOf(complete(request()), 500), HasSubstr("the GPU is gone; restart the server"));
  EXPECT_EQ(engine->steps, steps) << "nothing runs there any more";
  for (const char *path : {"/readyz", "/healthz"}) {
    auto answer = client->Get(path);
    EXPECT_EQ(answer->status, 503) << path;
    EXPECT_THAT(answer->body, HasSubstr("restart the server")) << path;
  }
  EXPECT_EQ(failures("engine"), 2);
}

TEST_F(HttpTest, AStreamThatFailsAtOnceHasAStatus) {
  engine->spoil = [](int64_t, auto &logits) { logits[0] = NAN; };
  json body = request();
  body["stream"] = true;
  errorOf(complete(body), 500);
  EXPECT_EQ(failures("malformed_logits"), 1);
}

TEST_F(HttpTest, AStreamThatFailsLaterEndsWithAnError) {
  engine->spoil = [](int64_t length, auto &logits) {
    if (length == 4)
      logits[0] = NAN;
  };
  json body = request();
  body["stream"] = true;
  auto all = events(complete(body)->body);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(json::parse(all[2])["error"]["code"], "malformed_logits");
  EXPECT_EQ(failures("malformed_logits"), 1);
}

TEST_F(HttpTest, TimeoutStopsTheWork) {
  engine->slotCount = 1;
  engine->gate.close();
  int running = rawCompletion(request());
  ASSERT_TRUE(engine->gate.awaitArrival());
  json body = request();
  body["timeout"] = 0.05;
  EXPECT_THAT(errorOf(complete(body), 504), HasSubstr("deadline"));
  EXPECT_EQ(failures("deadline"), 1);
  EXPECT_EQ(served->scheduler.queued(), 0);
  engine->gate.open();
  ::close(running);
}

TEST_F(HttpTest, AClientThatGoesAwayStopsTheWork) {
  for (bool stream : {false, true}) {
    double before = failures("cancelled");
    engine->gate.close();
    engine->answer = std::string(40, 'x');
    json body = request();
    body["max_tokens"] = 40;
    body["stream"] = stream;
    int socket = rawCompletion(body);
    engine->gate.allow(2);
    ASSERT_TRUE(engine->gate.awaitArrival());
    ::close(socket);
    EXPECT_TRUE(eventually([&] {
      engine->gate.allow(served->scheduler.active());
      return failures("cancelled") == before + 1;
    })) << stream;
    EXPECT_TRUE(served->scheduler.waitIdle(std::chrono::seconds(20)));
    EXPECT_EQ(engine->live, 0);
    engine->gate.open();
  }
}

TEST_F(HttpTest, AWaitingClientThatGoesAwayLeavesTheQueue) {
  engine->slotCount = 1;
  engine->gate.close();
  int running = rawCompletion(request());
  ASSERT_TRUE(engine->gate.awaitArrival());
  int waiting = rawCompletion(request());
  EXPECT_TRUE(eventually([&] { return served->scheduler.queued() == 1; }));
  ::close(waiting);
  EXPECT_TRUE(eventually([&] { return served->scheduler.queued() == 0; }));
  engine->gate.open();
  ::close(running);
}

TEST_F(HttpTest, OverTheBoundIs429) {
  options.queueBound = 0;
  engine->slotCount = 1;
  start();
  engine->gate.close();
  int running = rawCompletion(request());
  ASSERT_TRUE(engine->gate.awaitArrival());
  auto refused = complete(request());
  EXPECT_THAT(errorOf(refused, 429), HasSubstr("try again"));
  EXPECT_TRUE(refused->has_header("Retry-After"));
  EXPECT_EQ(failures("overloaded"), 1);
  engine->gate.open();
  EXPECT_TRUE(served->scheduler.waitIdle(std::chrono::seconds(20)));
  EXPECT_EQ(complete(request())->status, 200);
  ::close(running);
}

TEST_F(HttpTest, MetricsText) {
  complete(request());
  auto result = client->Get("/metrics");
  EXPECT_EQ(result->status, 200);
  EXPECT_THAT(result->get_header_value("Content-Type"), testing::StartsWith("text/plain"));
  for (const char *name : {"lmc_requests_total", "lmc_request_failures_total",
                           "lmc_inference_latency_seconds", "lmc_time_to_first_token_seconds",
                           "lmc_inter_token_latency_seconds", "lmc_generated_tokens_total",
                           "lmc_queue_depth", "lmc_kv_cache_usage_ratio", "lmc_arena_bytes"})
    EXPECT_THAT(result->body, HasSubstr(std::string("# TYPE ") + name));
  for (const char *reason : {"invalid_argument", "tokenizer", "sampling", "malformed_logits",
                             "engine", "deadline", "cancelled", "overloaded"})
    EXPECT_EQ(failures(reason), 0) << reason;
}

TEST_F(HttpTest, NonsenseOnTheWireHurtsNobody) {
  for (const char *text :
       {"\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02", "GET / HTTP/9.9\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n"})
    ::close(rawRequest(text));
  EXPECT_EQ(complete(request())->status, 200);
}

TEST_F(HttpTest, APortInUseIsAnError) {
  EXPECT_THROW(HttpListener(server->address(), 1, 1, [](auto &) {}), Error);
}

TEST_F(HttpTest, StoppingSendsWhatIsGenerated) {
  for (int i = 0; i < 50; ++i) { // the end is a race between two threads
    start();
    json body = request();
    body["stream"] = true;
    auto result = std::async(std::launch::async, [&] { return complete(body); });
    while (value("lmc_generated_tokens_total") < 5)
      std::this_thread::yield();
    served->scheduler.drain(std::chrono::milliseconds(0));
    server->stop(std::chrono::seconds(20));
    auto answer = result.get();
    ASSERT_TRUE(answer) << i;
    ASSERT_THAT(answer->body, HasSubstr("data: [DONE]")) << i;
  }
}

TEST_F(HttpTest, StoppingDoesNotWaitForIdleConnections) {
  EXPECT_EQ(client->Get("/healthz")->status, 200); // kept alive
  int idle = rawRequest("");
  server->stop(); // would take the keep-alive time otherwise; a hang shows as the test's time limit
  ::close(idle);
}

} // namespace
} // namespace lmc
