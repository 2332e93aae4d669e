// Runs requests: a queue of bounded length, and one thread that advances up to Engine::slots()
// answers in turns, one step each; steps that are single tokens together where the engine computes them so.
// All calls into the engine come from that thread.
#pragma once

#include "serve/Failure.h"
#include "serve/Generator.h"
#include "serve/Metrics.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace lmc {

struct SchedulerOptions {
  int queueBound = 64;        ///< requests that may wait; one more is `overloaded`
  int64_t prefillChunk = 128; ///< the most prompt tokens between two looks at deadlines
  /// How tokens are drawn; tests put their own here.
  std::function<std::unique_ptr<Sampler>(int64_t vocab, const SamplingOptions &)> sampler =
      makeSampler;
  /// Guesses for one request; none where left out, or where it gives null.
  std::function<std::unique_ptr<Drafter>(const SamplingOptions &)> drafter = {};
};

/// How a request ended. With a failure, the answer holds what was generated before it.
struct Outcome {
  Generated answer;
  std::optional<RequestFailure> failure;
};

class Scheduler {
public:
  /// One admitted request, to cancel it by.
  struct Job;
  using Ticket = std::shared_ptr<Job>;

  Scheduler(Engine &engine, const Tokenizer &tokenizer, Metrics &metrics,
            SchedulerOptions options = {});
  ~Scheduler(); ///< cancels what is left and waits for it
  Scheduler(const Scheduler &) = delete;
  Scheduler &operator=(const Scheduler &) = delete;

  /// Queues a request. onPiece is called for each piece and then onDone once, neither of them ever
  /// throwing nor blocking; onDone may come before submit returns. They run on the scheduler's
  /// thread, or, for a request cancelled while it waits, on the one that cancels. Throws
  /// RequestFailure (overloaded, draining); neither callback is called then.
  Ticket submit(GenerationRequest request, Generator::OnPiece onPiece,
                std::function<void(Outcome &&)> onDone);

  /// Ends a request before its next step; one that has ended stays as it is.
  void cancel(const Ticket &ticket, Reason reason = Reason::Cancelled);

  /// Takes nothing new from now on (`draining`).
  void stopAdmission();
  /// Waits until nothing is queued or running; false if `limit` passes first.
  bool waitIdle(std::chrono::milliseconds limit);
  /// stopAdmission, then waits for queued and running requests; what is left after `limit` is
  /// cancelled. Returns whether all ended by themselves.
  bool drain(std::chrono::milliseconds limit);

  bool draining() const;
  /// Why no request can be answered any more (EngineLost); empty while they can.
  std::string lost() const;
  /// Called once, when the engine is lost, on the scheduler's thread, under its lock: no calls back. Null
  /// ends that, and waits for a call under way.
  void onLost(std::function<void()> tell);
  int queued() const;
  int active() const;

private:
  void work();
  std::vector<Ticket> takeEnded();
  bool admit(const Ticket &job);
  std::optional<Outcome> attempt(const Ticket &job, const std::function<bool()> &advance);
  std::optional<Outcome> turn(const Ticket &job, bool &noSlot);
  std::vector<std::optional<Outcome>> turnTogether(std::span<const Ticket> jobs,
                                                   std::span<const Step> steps);
  void end(const Ticket &job, Outcome outcome);
  void finish(Job &job, Outcome outcome);
  void cancelAll();
  bool empty() const { return queue.empty() && running.empty() && finishing == 0; }
  void setQueueMetric();

  Engine &engine;
  const Tokenizer &tokenizer;
  Metrics &metrics;
  SchedulerOptions options;

  mutable std::mutex mutex;
  std::condition_variable wake; ///< the worker has something to look at
  std::condition_variable idle; ///< a request has ended
  std::deque<Ticket> queue;
  std::vector<Ticket> running; ///< changed by the worker alone, under the mutex
  bool closed = false;         ///< admits nothing
  bool stopping = false;       ///< the worker returns once nothing is left
  std::string lostWhy;         ///< set once, where the engine is lost
  std::function<void()> tellLost;
  int finishing = 0; ///< taken out of queue or running, onDone not yet back
  std::thread worker;
};

} // namespace lmc
