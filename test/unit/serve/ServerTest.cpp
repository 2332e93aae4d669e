#include "serve/Server.h"

#include "Doubles.h"

#include "lmc/v1/language_model.grpc.pb.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <future>

namespace lmc {
namespace {

using nlohmann::json;

class ServerTest : public testing::Test {
protected:
  std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>();
  std::shared_ptr<FakeTokenizer> tokenizer = std::make_shared<FakeTokenizer>();
  ServeOptions options;
  ServeOptions::Listening listening;
  StopHandle stop;
  std::future<int> running;

  ServerTest() { options.grpc = options.http = options.metrics = "127.0.0.1:0"; }
  ~ServerTest() override {
    engine->gate.open();
    stop.stop();
  }
  void start() {
    auto ready = std::make_shared<std::promise<ServeOptions::Listening>>();
    auto listens = ready->get_future();
    options.onReady = [ready](const auto &addresses) { ready->set_value(addresses); };
    running =
        std::async(std::launch::async, [this] { return serve(engine, tokenizer, options, stop); });
    listening = listens.get();
  }
  int finished() {
    if (running.wait_for(std::chrono::seconds(20)) != std::future_status::ready)
      throw std::runtime_error("the server did not stop");
    return running.get();
  }
  std::unique_ptr<v1::LanguageModel::Stub> stub() {
    return v1::LanguageModel::NewStub(
        grpc::CreateChannel(listening.grpc, grpc::InsecureChannelCredentials()));
  }
  static v1::GenerateRequest request() {
    v1::GenerateRequest message;
    message.set_prompt(">");
    message.set_temperature(0);
    return message;
  }
};

TEST_F(ServerTest, BothFrontsShareOneModelAndItsMetrics) {
  start();
  grpc::ClientContext context;
  v1::GenerateResponse response;
  ASSERT_TRUE(stub()->Generate(&context, request(), &response).ok());
  EXPECT_EQ(response.text(), "hello");
  httplib::Client http("http://" + listening.http);
  auto completed =
      http.Post("/v1/completions", R"({"prompt": ">", "temperature": 0})", "application/json");
  ASSERT_TRUE(completed);
  EXPECT_EQ(json::parse(completed->body)["choices"][0]["text"], "hello");
  httplib::Client scraper("http://" + listening.metrics);
  std::string text = scraper.Get("/metrics")->body;
  EXPECT_EQ(metric(text, "lmc_generated_tokens_total"), 10);
  EXPECT_EQ(scraper.Get("/v1/models")->status, 404);
  stop.stop();
  EXPECT_EQ(finished(), 0);
}

TEST_F(ServerTest, MetricsTellOfTheGpuWhereThereIsOne) {
  for (bool there : {true, false}) {
    options.gpu = there ? std::make_shared<GpuMonitor>("0000:3B:00.0", LMC_FAKE_NVML) : nullptr;
    start();
    std::string text = httplib::Client("http://" + listening.metrics).Get("/metrics")->body;
    EXPECT_EQ(metric(text, "lmc_gpu_utilization_ratio"), there ? 0.75 : -1);
    EXPECT_EQ(metric(text, "lmc_gpu_memory_used_bytes"), there ? 5368709120.0 : -1);
    EXPECT_EQ(metric(text, "lmc_gpu_power_watts"), there ? 312.5 : -1);
    EXPECT_EQ(metric(text, "lmc_arena_bytes"), 4096);
    EXPECT_EQ(text.find("# TYPE lmc_gpu_temperature_celsius gauge") != text.npos, there);
    stop.stop();
    EXPECT_EQ(finished(), 0);
  }
}

TEST_F(ServerTest, SigtermDrains) {
  start();
  engine->gate.close();
  grpc::ClientContext context, late;
  auto client = stub();
  auto reader = client->GenerateStream(&context, request());
  ASSERT_TRUE(engine->gate.awaitArrival());
  ::kill(::getpid(), SIGTERM);
  httplib::Client http("http://" + listening.http);
  EXPECT_TRUE(eventually([&] { return http.Get("/readyz")->status == 503; }));
  v1::GenerateResponse response;
  EXPECT_EQ(client->Generate(&late, request(), &response).error_code(), grpc::UNAVAILABLE);
  engine->gate.open();
  std::string text;
  while (reader->Read(&response))
    text += response.text();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(finished(), 0);
}

TEST_F(ServerTest, ASecondStopCutsWhatRuns) {
  start();
  engine->gate.close();
  grpc::ClientContext context;
  auto reader = stub()->GenerateStream(&context, request());
  engine->gate.allow(2);
  ASSERT_TRUE(engine->gate.awaitArrival());
  stop.stop();
  stop.stop();
  v1::GenerateResponse response;
  while (reader->Read(&response))
    engine->gate.allow(1);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(finished(), 0);
}

TEST_F(ServerTest, TheDrainLimitCutsWhatRuns) {
  options.drainLimit = std::chrono::milliseconds(50);
  engine->model.context = 1 << 20;
  engine->spoil = [](int64_t, auto &logits) { logits['x'] = 100; }; // without end
  start();
  grpc::ClientContext context;
  auto message = request();
  message.set_max_tokens(1 << 20);
  v1::GenerateResponse response;
  auto reader = stub()->GenerateStream(&context, message);
  ASSERT_TRUE(reader->Read(&response));
  stop.stop();
  while (reader->Read(&response))
    ;
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(response.finish_reason(), "cancelled");
  EXPECT_EQ(finished(), 0);
}

TEST_F(ServerTest, StoppedBeforeItStarts) {
  stop.stop();
  start();
  EXPECT_EQ(finished(), 0);
}

TEST_F(ServerTest, RefusesAddressesThatAreNone) {
  options.http = "nowhere";
  EXPECT_THROW(serve(engine, tokenizer, options), UsageError);
  options.http = "192.0.2.1:80"; // reserved for documentation: no machine has it
  EXPECT_THROW(serve(engine, tokenizer, options), Error);
  options = {};
  EXPECT_THROW(serve(engine, tokenizer, options), UsageError);
}

} // namespace
} // namespace lmc
