#include "serve/Scheduler.h"

#include "Doubles.h"

#include <gmock/gmock.h>

#include <future>
#include <thread>

namespace lmc {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class SchedulerTest : public testing::Test {
protected:
  FakeEngine engine;
  FakeTokenizer tokenizer;
  Metrics metrics;
  SchedulerOptions options;
  std::unique_ptr<Scheduler> scheduler;

  struct Run {
    Scheduler::Ticket ticket;
    std::future<Outcome> outcome;
    Outcome wait() {
      if (outcome.wait_for(std::chrono::seconds(20)) != std::future_status::ready)
        throw std::runtime_error("the request never ended");
      return outcome.get();
    }
    bool ended() const { return outcome.wait_for(milliseconds(0)) == std::future_status::ready; }
  };

  void start() { scheduler = std::make_unique<Scheduler>(engine, tokenizer, metrics, options); }
  ~SchedulerTest() override { engine.gate.open(); }

  GenerationRequest request() {
    GenerationRequest result;
    result.tokens = {FakeTokenizer::bos, '>'};
    result.sampling.temperature = 0;
    return result;
  }
  Run submit(GenerationRequest request) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    Run run;
    run.outcome = promise->get_future();
    run.ticket = scheduler->submit(std::move(request), {}, [promise](Outcome &&outcome) {
      promise->set_value(std::move(outcome));
    });
    return run;
  }
  Run submit() { return submit(request()); }
  Reason refusal() {
    try {
      submit();
    } catch (const RequestFailure &failure) {
      return failure.reason();
    }
    ADD_FAILURE() << "the request was taken";
    return Reason::Engine;
  }
  static std::optional<Reason> reasonOf(const Outcome &outcome) {
    return outcome.failure ? std::optional(outcome.failure->reason()) : std::nullopt;
  }
  double value(const std::string &series) { return metric(metrics.text(), series); }
};

TEST_F(SchedulerTest, RunsMoreRequestsThanSlots) {
  start();
  std::vector<Run> runs;
  for (int i = 0; i < 20; ++i)
    runs.push_back(submit());
  for (auto &run : runs) {
    auto outcome = run.wait();
    EXPECT_FALSE(outcome.failure);
    EXPECT_EQ(outcome.answer.text, "hello");
  }
  EXPECT_EQ(value("lmc_generated_tokens_total"), 100);
  EXPECT_EQ(value("lmc_inference_latency_seconds_count"), 20);
  EXPECT_EQ(value("lmc_time_to_first_token_seconds_count"), 20);
  EXPECT_EQ(value("lmc_inter_token_latency_seconds_count"), 80);
  EXPECT_EQ(value("lmc_arena_bytes"), 4096);
  EXPECT_TRUE(scheduler->waitIdle(std::chrono::seconds(20)));
  EXPECT_EQ(value("lmc_queue_depth"), 0);
  EXPECT_TRUE(eventually([&] { return value("lmc_kv_cache_usage_ratio") == 0; }));
}

TEST_F(SchedulerTest, AnswersTakeTurns) {
  engine.gate.close();
  start();
  engine.answer = std::string(20, 'x');
  auto slow = request();
  slow.maxTokens = 20;
  auto first = submit(slow);
  ASSERT_TRUE(engine.gate.awaitArrival());
  auto second = submit();
  // Of 12 steps the second answer gets about a half, though the first came earlier.
  slow.maxTokens = 4;
  auto third = submit(slow);
  EXPECT_TRUE(eventually([&] { return scheduler->queued() == 2; }));
  engine.gate.allow(20);
  EXPECT_TRUE(eventually([&] { return engine.steps == 20; }));
  EXPECT_EQ(engine.live, 2);
  EXPECT_FALSE(first.ended());
  engine.gate.open();
  EXPECT_EQ(first.wait().answer.text.size(), 20u);
  EXPECT_EQ(second.wait().answer.text.size(), 16u);
  EXPECT_EQ(third.wait().answer.text.size(), 4u);
}

TEST_F(SchedulerTest, UsesTheCacheMetric) {
  engine.gate.close();
  start();
  auto run = submit();
  engine.gate.allow(2);
  // Two tokens of prompt and one of the answer, of 2 x 64.
  EXPECT_TRUE(eventually([&] { return value("lmc_kv_cache_usage_ratio") == 3.0 / 128; }));
  engine.gate.open();
  run.wait();
}

TEST_F(SchedulerTest, RefusesBeyondTheBound) {
  options.queueBound = 2;
  engine.gate.close();
  start();
  std::vector<Run> runs;
  for (int i = 0; i < 4; ++i) // two slots, two waiting
    runs.push_back(submit());
  ASSERT_TRUE(engine.gate.awaitArrival());
  EXPECT_EQ(refusal(), Reason::Overloaded);
  engine.gate.open();
  for (auto &run : runs)
    EXPECT_EQ(run.wait().answer.text, "hello");
  EXPECT_EQ(submit().wait().answer.text, "hello");
}

TEST_F(SchedulerTest, CancellingStopsTheWork) {
  engine.gate.close();
  start();
  auto run = submit();
  engine.gate.allow(2);
  EXPECT_TRUE(eventually([&] { return engine.steps == 2; }));
  ASSERT_TRUE(engine.gate.awaitArrival());
  scheduler->cancel(run.ticket);
  engine.gate.open();
  auto outcome = run.wait();
  EXPECT_EQ(reasonOf(outcome), Reason::Cancelled);
  EXPECT_EQ(outcome.answer.finish, Finish::Cancelled);
  EXPECT_EQ(engine.steps, 3); // the one that was under way, no more
  EXPECT_EQ(engine.live, 0);
  scheduler->cancel(run.ticket); // late, and harmless
}

TEST_F(SchedulerTest, CancellingAWaitingRequestNeedsNoStep) {
  engine.slotCount = 1;
  engine.gate.close();
  start();
  auto running = submit();
  ASSERT_TRUE(engine.gate.awaitArrival());
  auto waiting = submit(), last = submit();
  scheduler->cancel(waiting.ticket);
  EXPECT_TRUE(waiting.ended()); // while the worker stands in the engine
  EXPECT_EQ(reasonOf(waiting.wait()), Reason::Cancelled);
  EXPECT_EQ(scheduler->queued(), 1);
  engine.gate.open();
  EXPECT_EQ(running.wait().answer.text, "hello");
  EXPECT_EQ(last.wait().answer.text, "hello");
}

TEST_F(SchedulerTest, DeadlinesEndRunningAndWaitingRequests) {
  engine.slotCount = 1;
  engine.gate.close();
  start();
  auto soon = request();
  Run running;
  for (milliseconds limit(50);; limit *= 2) { // until it stands in the engine in time
    soon.deadline = Clock::now() + limit;
    running = submit(soon);
    if (engine.gate.awaitArrival(limit))
      break;
    EXPECT_EQ(reasonOf(running.wait()), Reason::Deadline);
  }
  auto waiting = submit(soon), later = submit();
  std::this_thread::sleep_until(*soon.deadline);
  engine.gate.open();
  EXPECT_EQ(reasonOf(running.wait()), Reason::Deadline);
  EXPECT_EQ(reasonOf(waiting.wait()), Reason::Deadline);
  EXPECT_EQ(later.wait().answer.text, "hello");
  EXPECT_EQ(engine.steps,
            7); // one of the running request, none of the waiting one, six of the last
}

TEST_F(SchedulerTest, AnEngineFailureEndsOneRequest) {
  start();
  engine.spoil = [](int64_t length, auto &) {
    if (length == 10)
      throw std::runtime_error("cache corrupted");
  };
  auto longer = request();
  longer.tokens.assign(10, '.');
  auto bad = submit(longer), good = submit();
  auto outcome = bad.wait();
  EXPECT_EQ(reasonOf(outcome), Reason::Engine);
  EXPECT_THAT(outcome.failure->what(), HasSubstr("cache corrupted"));
  EXPECT_EQ(good.wait().answer.text, "hello");
}

TEST_F(SchedulerTest, AThrowingSamplerIsASamplingFailure) {
  struct Broken : Sampler {
    Sampled sample(std::span<const float>) override { throw std::runtime_error("no dice"); }
  };
  options.sampler = [](int64_t, const SamplingOptions &) { return std::make_unique<Broken>(); };
  start();
  EXPECT_EQ(reasonOf(submit().wait()), Reason::Sampling);
}

TEST_F(SchedulerTest, WaitsForSlotsThatOthersHold) {
  auto held = engine.start(), alsoHeld = engine.start();
  start();
  auto run = submit();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(run.ended());
  held.reset();
  EXPECT_EQ(run.wait().answer.text, "hello");
}

TEST_F(SchedulerTest, WaitsForMemory) {
  engine.slotCount = 4;
  engine.memory = 40; // a request below takes 2 + 16 tokens
  engine.gate.close();
  start();
  std::vector<Run> runs;
  for (int i = 0; i < 4; ++i)
    runs.push_back(submit());
  ASSERT_TRUE(engine.gate.awaitArrival());
  engine.gate.open();
  for (Run &run : runs)
    EXPECT_EQ(run.wait().answer.text, "hello");
  EXPECT_LE(engine.mostLive, 2);
}

// Small requests keep coming; one that needs all memory is answered in its turn.
TEST_F(SchedulerTest, NobodyOvertakesWhoWaitsForMemory) {
  engine.slotCount = 4;
  engine.memory = 40;
  engine.gate.close();
  start();
  auto first = submit();
  ASSERT_TRUE(engine.gate.awaitArrival());
  auto large = request();
  large.maxTokens = 38;
  auto all = submit(large);
  auto small = submit();
  engine.gate.allow(
      3); // the first one's prompt and two tokens, while there is memory for the small one
  ASSERT_TRUE(engine.gate.awaitArrival());
  EXPECT_EQ(engine.live, 1) << "the small request waits behind the large one";
  engine.gate.open();
  EXPECT_EQ(all.wait().answer.text, "hello");
  EXPECT_EQ(first.wait().answer.text, "hello");
  EXPECT_EQ(small.wait().answer.text, "hello");
}

TEST_F(SchedulerTest, ComputesSingleTokensTogether) {
  engine.slotCount = 6;
  engine.batch = 3;
  engine.drawing = true;
  engine.gate.close();
  start();
  std::vector<Run> runs;
  for (int i = 0; i < 5; ++i)
    runs.push_back(submit());
  auto scored = request(); // its logits are needed here
  scored.sampling.logprobs = 1;
  Run apart = submit(scored);
  engine.gate.open();
  for (Run &run : runs)
    EXPECT_EQ(run.wait().answer.text, "hello");
  EXPECT_EQ(apart.wait().answer.text, "hello");
  size_t tokens = 0;
  for (size_t size : engine.batches) {
    EXPECT_LE(size, 3u);
    tokens += size;
  }
  EXPECT_EQ(tokens, 5u * 5) << "the first token comes with the prompt, the last is the end";
  EXPECT_THAT(engine.batches, testing::Contains(3u));
}

TEST_F(SchedulerTest, AFailureTogetherIsThatOfAllOfThem) {
  engine.batch = 4;
  engine.drawing = true;
  engine.gate.close();
  start();
  engine.spoil = [](int64_t length, auto &) {
    if (length == 4)
      throw std::runtime_error("cache corrupted");
  };
  auto one = submit(), two = submit();
  ASSERT_TRUE(engine.gate.awaitArrival());
  engine.gate.open();
  for (Run *run : {&one, &two}) {
    auto outcome = run->wait();
    EXPECT_EQ(reasonOf(outcome), Reason::Engine);
    EXPECT_THAT(outcome.failure->what(), HasSubstr("the engine failed: cache corrupted"));
    EXPECT_EQ(outcome.answer.text, "he");
  }
  engine.spoil = {};
  EXPECT_EQ(submit().wait().answer.text, "hello");
}

TEST_F(SchedulerTest, DrainFinishesWhatItHasAndTakesNothing) {
  engine.slotCount = 1;
  engine.gate.close();
  start();
  auto running = submit(), waiting = submit();
  ASSERT_TRUE(engine.gate.awaitArrival());
  scheduler->stopAdmission();
  EXPECT_EQ(refusal(), Reason::Draining);
  engine.gate.open();
  EXPECT_TRUE(scheduler->drain(std::chrono::seconds(20)));
  EXPECT_EQ(running.wait().answer.text, "hello");
  EXPECT_EQ(waiting.wait().answer.text, "hello");
}

TEST_F(SchedulerTest, DrainCutsWhatTakesTooLong) {
  engine.slotCount = 1;
  engine.gate.close();
  start();
  auto running = submit(), waiting = submit();
  engine.gate.allow(2);
  ASSERT_TRUE(engine.gate.awaitArrival());
  EXPECT_TRUE(eventually([&] { return engine.steps == 2; }));
  auto drained = std::async(std::launch::async, [&] { return scheduler->drain(milliseconds(1)); });
  EXPECT_EQ(reasonOf(waiting.wait()), Reason::Cancelled);
  engine.gate.open();
  EXPECT_FALSE(drained.get());
  auto outcome = running.wait();
  EXPECT_EQ(reasonOf(outcome), Reason::Cancelled);
  EXPECT_THAT(outcome.answer.text, testing::StartsWith("he"));
}

TEST_F(SchedulerTest, DestructionEndsEveryRequest) {
  engine.gate.close();
  start();
  std::vector<Run> runs;
  for (int i = 0; i < 5; ++i)
    runs.push_back(submit());
  ASSERT_TRUE(engine.gate.awaitArrival());
  auto gone = std::async(std::launch::async, [&] { scheduler.reset(); });
  for (int i = 2; i < 5; ++i)
    EXPECT_EQ(reasonOf(runs[i].wait()), Reason::Cancelled);
  engine.gate.open();
  gone.get();
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(reasonOf(runs[i].wait()), Reason::Cancelled);
}

TEST_F(SchedulerTest, ManyThreadsLoseNothing) {
  options.queueBound = 1000;
  start();
  std::atomic<int> answered = 0, cancelled = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        auto run = submit();
        if ((i + t) % 3 == 0)
          scheduler->cancel(run.ticket);
        auto outcome = run.wait();
        ++(outcome.failure ? cancelled : answered);
        if (!outcome.failure) {
          EXPECT_EQ(outcome.answer.text, "hello");
        }
      }
    });
  for (auto &thread : threads)
    thread.join();
  EXPECT_EQ(answered + cancelled, 200);
  EXPECT_GE(answered, 132); // only those that asked for it may have been cancelled
  EXPECT_EQ(engine.live, 0);
}

} // namespace
} // namespace lmc
