#include "serve/GrpcServer.h"

#include "Doubles.h"

#include "lmc/v1/language_model.grpc.pb.h"
#include "runtime/DeviceLost.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cmath>
#include <filesystem>
#include <thread>

namespace lmc {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

class GrpcTest : public testing::Test {
protected:
  std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>();
  std::shared_ptr<FakeTokenizer> tokenizer = std::make_shared<FakeTokenizer>();
  SchedulerOptions options;
  std::unique_ptr<ServedModel> served;
  std::unique_ptr<GrpcServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::LanguageModel::Stub> stub;

  void start(const std::string &address = "127.0.0.1:0") {
    served = std::make_unique<ServedModel>(engine, tokenizer, nullptr, options);
    server = std::make_unique<GrpcServer>(*served, parseAddress(address, "--grpc"));
    channel = grpc::CreateChannel(server->address().text(), grpc::InsecureChannelCredentials());
    stub = v1::LanguageModel::NewStub(channel);
  }
  void SetUp() override { start(); }
  void TearDown() override { engine->gate.open(); }

  static v1::GenerateRequest request() {
    v1::GenerateRequest message;
    message.set_prompt(">");
    message.set_temperature(0);
    return message;
  }
  grpc::Status generate(const v1::GenerateRequest &message, v1::GenerateResponse &response) {
    grpc::ClientContext context;
    return stub->Generate(&context, message, &response);
  }
  grpc::Status generate(const v1::GenerateRequest &message = request()) {
    v1::GenerateResponse response;
    return generate(message, response);
  }
  double failures(const std::string &reason) {
    return metric(served->metrics.text(), "lmc_request_failures_total{reason=\"" + reason + "\"}");
  }
  double calls(const std::string &method, const std::string &code) {
    std::string series = R"(lmc_requests_total{code=")" + code + R"(",method=")" + method + "\"}";
    return metric(served->metrics.text(), series);
  }
};

TEST_F(GrpcTest, Health) {
  grpc::ClientContext context;
  v1::HealthResponse response;
  ASSERT_TRUE(stub->Health(&context, {}, &response).ok());
  EXPECT_EQ(response.status(), "ok");
  EXPECT_TRUE(response.ready());
}

TEST_F(GrpcTest, Generates) {
  v1::GenerateResponse response;
  auto message = request();
  message.set_logprobs(1);
  auto status = generate(message, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.text(), "hello");
  EXPECT_THAT(response.token_ids(), ElementsAre('h', 'e', 'l', 'l', 'o'));
  EXPECT_EQ(response.prompt_tokens(), 2);
  EXPECT_EQ(response.completion_tokens(), 5);
  EXPECT_EQ(response.finish_reason(), "stop");
  ASSERT_EQ(response.logprobs_size(), 5);
  EXPECT_EQ(response.logprobs(0).token(), "h");
  EXPECT_EQ(response.logprobs(0).top(0).token_id(), 'h');
  EXPECT_EQ(calls("Generate", "OK"), 1);
}

TEST_F(GrpcTest, GeneratesFromTokenIds) {
  v1::GenerateRequest message;
  message.add_token_ids('>');
  message.set_temperature(0);
  message.set_max_tokens(2);
  v1::GenerateResponse response;
  ASSERT_TRUE(generate(message, response).ok());
  EXPECT_EQ(response.text(), "he");
  EXPECT_EQ(response.prompt_tokens(), 1);
  EXPECT_EQ(response.finish_reason(), "length");
}

TEST_F(GrpcTest, Streams) {
  grpc::ClientContext context;
  auto message = request();
  message.set_logprobs(0);
  auto reader = stub->GenerateStream(&context, message);
  v1::GenerateResponse part, last;
  std::string text;
  std::vector<int32_t> ids;
  int logprobs = 0;
  while (reader->Read(&part)) {
    EXPECT_TRUE(last.finish_reason().empty());
    text += part.text();
    ids.insert(ids.end(), part.token_ids().begin(), part.token_ids().end());
    logprobs += part.logprobs_size();
    EXPECT_EQ(part.completion_tokens(), static_cast<int>(ids.size()));
    last = part;
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_EQ(logprobs, 5);
  EXPECT_EQ(last.finish_reason(), "stop");
  EXPECT_EQ(last.prompt_tokens(), 2);
  EXPECT_EQ(calls("GenerateStream", "OK"), 1);
}

TEST_F(GrpcTest, TextArrivesWhileItIsGenerated) {
  engine->gate.close();
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, request());
  v1::GenerateResponse part;
  engine->gate.allow(1);
  ASSERT_TRUE(reader->Read(&part));
  EXPECT_EQ(part.text(), "h");
  EXPECT_EQ(engine->steps, 1);
  engine->gate.open();
  while (reader->Read(&part))
    ;
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GrpcTest, TokenizesAndBack) {
  {
    grpc::ClientContext context;
    v1::TokenizeRequest message;
    v1::TokenizeResponse response;
    message.set_text("h\xC3\xA9");
    ASSERT_TRUE(stub->Tokenize(&context, message, &response).ok());
    EXPECT_THAT(response.token_ids(), ElementsAre('h', 0xC3, 0xA9));
  }
  {
    grpc::ClientContext context;
    v1::TokenizeRequest message;
    v1::TokenizeResponse response;
    message.set_add_special(true);
    ASSERT_TRUE(stub->Tokenize(&context, message, &response).ok());
    EXPECT_THAT(response.token_ids(), ElementsAre(FakeTokenizer::bos));
  }
  {
    grpc::ClientContext context;
    v1::DetokenizeRequest message;
    v1::DetokenizeResponse response;
    message.add_token_ids('h');
    message.add_token_ids(0xC3);
    ASSERT_TRUE(stub->Detokenize(&context, message, &response).ok());
    EXPECT_EQ(response.raw(), "h\xC3");
    EXPECT_EQ(response.text(), "h\xEF\xBF\xBD");
  }
  {
    grpc::ClientContext context;
    v1::DetokenizeRequest message;
    v1::DetokenizeResponse response;
    message.add_token_ids(258);
    EXPECT_EQ(stub->Detokenize(&context, message, &response).error_code(), grpc::INVALID_ARGUMENT);
  }
}

TEST_F(GrpcTest, ModelInfo) {
  grpc::ClientContext context;
  v1::ModelInfoResponse response;
  ASSERT_TRUE(stub->ModelInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.name(), "fake");
  EXPECT_EQ(response.architecture(), "gpt2");
  EXPECT_EQ(response.vocab_size(), 258);
  EXPECT_EQ(response.context_length(), 64);
  EXPECT_EQ(response.parameters(), 12345);
  EXPECT_EQ(response.bos_token_id(), 256);
  EXPECT_THAT(response.eos_token_ids(), ElementsAre(257));
}

TEST_F(GrpcTest, RefusesInvalidInput) {
  std::vector<std::function<void(v1::GenerateRequest &)>> changes = {
      [](auto &m) { m.set_max_tokens(0); },
      [](auto &m) { m.set_max_tokens(65); },
      [](auto &m) { m.set_prompt(std::string(100, 'x')); },
      [](auto &m) { m.Clear(); },
      [](auto &m) { m.add_token_ids(1); },
      [](auto &m) { m.clear_prompt(), m.add_token_ids(258); },
      [](auto &m) { m.set_temperature(-1); },
      [](auto &m) { m.set_temperature(NAN); },
      [](auto &m) { m.set_top_p(0); },
      [](auto &m) { m.set_top_p(2); },
      [](auto &m) { m.set_top_k(-1); },
      [](auto &m) { m.add_stop(""); },
      [](auto &m) { m.set_logprobs(21); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    auto message = request();
    changes[i](message);
    auto status = generate(message);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << i;
    EXPECT_FALSE(status.error_message().empty());
    grpc::ClientContext context;
    v1::GenerateResponse part;
    auto reader = stub->GenerateStream(&context, message);
    EXPECT_FALSE(reader->Read(&part));
    EXPECT_EQ(reader->Finish().error_code(), grpc::INVALID_ARGUMENT) << i;
  }
  EXPECT_EQ(failures("invalid_argument"), 2. * changes.size());
  EXPECT_EQ(calls("Generate", "INVALID_ARGUMENT"), changes.size());
  EXPECT_EQ(engine->steps, 0);
}

/// Sends bytes that no generated client would.
TEST_F(GrpcTest, RefusesBytesThatAreNoMessage) {
  grpc::GenericStub raw(channel);
  for (std::string bytes : {std::string("\x0A\x02\xFF\xFE"), std::string("\x0A\x7F")}) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    grpc::Slice slice(bytes);
    auto call = raw.PrepareUnaryCall(&context, "/lmc.v1.LanguageModel/Generate",
                                     grpc::ByteBuffer(&slice, 1), &queue);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void *tag;
    bool ok;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("valid UTF-8"));
  }
}

TEST_F(GrpcTest, InternalFailuresByReason) {
  auto expectInternal = [&](const char *reason) {
    grpc::ClientContext context;
    v1::GenerateResponse response;
    auto status = stub->Generate(&context, request(), &response);
    EXPECT_EQ(status.error_code(), grpc::INTERNAL) << reason;
    auto &trailers = context.GetServerTrailingMetadata();
    auto found = trailers.find("lmc-reason");
    ASSERT_NE(found, trailers.end());
    EXPECT_EQ(found->second, reason);
    EXPECT_EQ(failures(reason), 1);
  };
  tokenizer->failEncode = true;
  expectInternal("tokenizer");
  tokenizer->failEncode = false;
  engine->spoil = [](int64_t, auto &logits) { logits[0] = NAN; };
  expectInternal("malformed_logits");
  engine->spoil = [](int64_t, auto &) { throw std::runtime_error("broken"); };
  expectInternal("engine");
  engine->spoil = {};
  tokenizer->failDecode = true;
  auto status = generate();
  EXPECT_EQ(status.error_code(), grpc::INTERNAL);
  EXPECT_EQ(failures("tokenizer"), 2);
  tokenizer->failDecode = false;
  EXPECT_TRUE(generate().ok());
}

TEST_F(GrpcTest, SamplingFailure) {
  struct Broken : Sampler {
    Sampled sample(std::span<const float>) override { throw std::runtime_error("no dice"); }
  };
  options.sampler = [](int64_t, const SamplingOptions &) { return std::make_unique<Broken>(); };
  server.reset();
  start();
  EXPECT_EQ(generate().error_code(), grpc::INTERNAL);
  EXPECT_EQ(failures("sampling"), 1);
}

TEST_F(GrpcTest, AFailureInTheMiddleOfAStream) {
  engine->spoil = [](int64_t length, auto &logits) {
    if (length == 4)
      logits[0] = NAN;
  };
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, request());
  v1::GenerateResponse part;
  std::string text;
  while (reader->Read(&part))
    text += part.text();
  EXPECT_EQ(text, "he");
  EXPECT_EQ(reader->Finish().error_code(), grpc::INTERNAL);
}

TEST_F(GrpcTest, DeadlineStopsTheWork) {
  engine->gate.close();
  engine->model.context = 1010;
  engine->spoil = [](int64_t, auto &logits) { logits['x'] = 100; }; // without end
  auto message = request();
  message.set_max_tokens(1000);
  // A call may time out before it reaches a busy server: until one has reached the engine.
  for (milliseconds limit(50); served->scheduler.active() == 0; limit *= 2) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    v1::GenerateResponse response;
    auto status = stub->Generate(&context, message, &response);
    EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  }
  // The server may hear of the end a little later than the client.
  EXPECT_TRUE(eventually([&] {
    engine->gate.allow(1);
    return failures("deadline") >= 1;
  }));
  EXPECT_TRUE(served->scheduler.waitIdle(std::chrono::seconds(20)));
  EXPECT_LT(engine->steps, 60); // of a thousand
  EXPECT_EQ(engine->live, 0);
}

TEST_F(GrpcTest, CancellingStopsTheWork) {
  engine->gate.close();
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, request());
  v1::GenerateResponse part;
  engine->gate.allow(2);
  ASSERT_TRUE(reader->Read(&part));
  EXPECT_TRUE(eventually([&] { return engine->steps == 2; }));
  ASSERT_TRUE(engine->gate.awaitArrival());
  context.TryCancel();
  while (reader->Read(&part))
    ;
  EXPECT_EQ(reader->Finish().error_code(), grpc::CANCELLED);
  // The step under way may end before the server hears of it, but not many more.
  EXPECT_TRUE(eventually([&] {
    engine->gate.allow(1);
    return failures("cancelled") == 1;
  }));
  EXPECT_TRUE(served->scheduler.waitIdle(std::chrono::seconds(20)));
  EXPECT_EQ(engine->live, 0);
}

TEST_F(GrpcTest, CancellingAWaitingCall) {
  engine->slotCount = 1;
  engine->gate.close();
  grpc::ClientContext first, second;
  auto running = stub->GenerateStream(&first, request());
  ASSERT_TRUE(engine->gate.awaitArrival());
  auto waiting = stub->GenerateStream(&second, request());
  EXPECT_TRUE(eventually([&] { return served->scheduler.queued() == 1; }));
  second.TryCancel();
  EXPECT_TRUE(eventually([&] { return served->scheduler.queued() == 0; }));
  EXPECT_EQ(waiting->Finish().error_code(), grpc::CANCELLED);
  engine->gate.open();
  v1::GenerateResponse part;
  while (running->Read(&part))
    ;
  EXPECT_TRUE(running->Finish().ok());
}

TEST_F(GrpcTest, OverTheBoundIsResourceExhausted) {
  options.queueBound = 1;
  server.reset();
  start();
  engine->gate.close();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>>> readers;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub->GenerateStream(contexts.back().get(), request()));
    int taken = i + 1;
    ASSERT_TRUE(eventually(
        [&] { return served->scheduler.active() + served->scheduler.queued() == taken; }));
  }
  ASSERT_TRUE(engine->gate.awaitArrival());
  EXPECT_EQ(generate().error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(failures("overloaded"), 1);
  engine->gate.open();
  v1::GenerateResponse part;
  for (auto &reader : readers) {
    while (reader->Read(&part))
      ;
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST_F(GrpcTest, ASlowReaderStallsNobody) {
  engine->model.context = 100000;
  engine->spoil = [](int64_t, auto &logits) { logits['x'] = 100; }; // without end
  auto message = request();
  message.set_max_tokens(60000);
  message.set_logprobs(20); // some 300 bytes a token: far more than flow control lets through
  grpc::ClientContext context;
  auto slow = stub->GenerateStream(&context, message);
  v1::GenerateResponse part;
  ASSERT_TRUE(slow->Read(&part)); // and then reads no more
  for (int i = 0; i < 10; ++i) {
    auto quick = request();
    quick.set_max_tokens(2);
    v1::GenerateResponse response;
    EXPECT_TRUE(generate(quick, response).ok());
    EXPECT_EQ(response.text(), "xx");
  }
  context.TryCancel();
  while (slow->Read(&part))
    ;
  EXPECT_EQ(slow->Finish().error_code(), grpc::CANCELLED);
}

TEST_F(GrpcTest, DrainingIsUnavailable) {
  served->scheduler.stopAdmission();
  EXPECT_EQ(generate().error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(failures("draining"), 1);
  grpc::ClientContext context;
  v1::HealthResponse response;
  ASSERT_TRUE(stub->Health(&context, {}, &response).ok());
  EXPECT_EQ(response.status(), "draining");
  EXPECT_FALSE(response.ready());
}

TEST_F(GrpcTest, ALostDeviceIsNotReady) {
  engine->spoil = [](int64_t, auto &) { throw DeviceLost("the GPU is gone"); };
  auto status = generate();
  EXPECT_EQ(status.error_code(), grpc::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("the GPU is gone; restart the server"));
  grpc::ClientContext context;
  v1::HealthResponse response;
  ASSERT_TRUE(stub->Health(&context, {}, &response).ok());
  EXPECT_EQ(response.status(), "lost");
  EXPECT_FALSE(response.ready());
}

TEST_F(GrpcTest, WhatTheServerCutsIsAnAnswer) {
  engine->gate.close();
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, request());
  engine->gate.allow(2);
  EXPECT_TRUE(eventually([&] { return engine->steps == 2; }));
  ASSERT_TRUE(engine->gate.awaitArrival());
  std::thread drain([&] { served->scheduler.drain(milliseconds(0)); });
  EXPECT_TRUE(eventually([&] { return served->scheduler.draining(); }));
  // The cut is ordered before any further step is: drain() marks requests as soon as it closes.
  std::this_thread::sleep_for(milliseconds(20));
  engine->gate.open();
  drain.join();
  v1::GenerateResponse part;
  std::string text;
  while (reader->Read(&part))
    text += part.text();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(part.finish_reason(), "cancelled");
  EXPECT_THAT(text, testing::StartsWith("he"));
}

TEST_F(GrpcTest, UnixSockets) {
  auto path = std::filesystem::temp_directory_path() /
              ("lmc-grpc-test-" + std::to_string(::getpid()) + ".sock");
  server.reset();
  start("unix:" + path.string());
  EXPECT_TRUE(generate().ok());
}

TEST_F(GrpcTest, APortInUseIsAnError) {
  EXPECT_THROW(GrpcServer(*served, server->address()), Error);
}

} // namespace
} // namespace lmc
