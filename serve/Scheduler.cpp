#include "serve/Scheduler.h"

#include <algorithm>
#include <atomic>
#include <exception>

namespace lmc {

/// Belongs to whoever took it out of `queue` or `running`; until then the worker alone touches it,
/// but for `stopFor`.
struct Scheduler::Job {
  GenerationRequest request;
  Generator::OnPiece onPiece;
  std::function<void(Outcome &&)> onDone;
  Clock::time_point arrival = Clock::now();
  std::optional<Clock::time_point> latestToken;
  std::unique_ptr<Generator> generator; ///< once it has a slot
  std::atomic<int> stopFor = -1;        ///< a Reason: end before the next step

  /// The first reason stays.
  void stop(Reason reason) {
    int none = -1;
    stopFor.compare_exchange_strong(none, static_cast<int>(reason));
  }
  std::optional<Reason> due() const {
    if (int reason = stopFor; reason >= 0)
      return static_cast<Reason>(reason);
    if (request.deadline && Clock::now() >= *request.deadline)
      return Reason::Deadline;
    return std::nullopt;
  }
};

namespace {

RequestFailure stopped(Reason reason) {
  return {reason, reason == Reason::Deadline ? "the deadline passed" : "the request was cancelled"};
}

} // namespace

Scheduler::Scheduler(Engine &engine, const Tokenizer &tokenizer, Metrics &metrics,
                     SchedulerOptions options)
    : engine(engine), tokenizer(tokenizer), metrics(metrics), options(std::move(options)) {
  metrics.arenaBytes(engine.arenaBytes());
  worker = std::thread([this] { work(); });
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex);
    closed = stopping = true;
  }
  drain(std::chrono::milliseconds(0));
  wake.notify_all();
  worker.join();
}

Scheduler::Ticket Scheduler::submit(GenerationRequest request, Generator::OnPiece onPiece,
                                    std::function<void(Outcome &&)> onDone) {
  auto job = std::make_shared<Job>();
  job->request = std::move(request);
  job->onPiece = std::move(onPiece);
  job->onDone = std::move(onDone);
  {
    std::lock_guard lock(mutex);
    if (!lostWhy.empty())
      throw EngineLost(lostWhy);
    if (closed)
      refuse(Reason::Draining, "the server is stopping, ask another one");
    // A free slot takes a request out of the queue at once, so the bound counts only real waiting.
    int freeSlots = std::max(engine.slots() - static_cast<int>(running.size()), 0);
    if (static_cast<int>(queue.size()) >= options.queueBound + freeSlots)
      refuse(Reason::Overloaded, "{} requests are waiting already, try again later", queue.size());
    queue.push_back(job);
    setQueueMetric();
  }
  wake.notify_one();
  return job;
}

void Scheduler::cancel(const Ticket &job, Reason reason) {
  job->stop(reason);
  {
    std::lock_guard lock(mutex);
    auto place = std::ranges::find(queue, job);
    if (place == queue.end())
      return; // it runs (the worker looks before each step) or has ended
    queue.erase(place);
    ++finishing;
    setQueueMetric();
  }
  finish(*job, {{}, stopped(*job->due())});
}

void Scheduler::cancelAll() {
  std::vector<Ticket> all;
  {
    std::lock_guard lock(mutex);
    all.assign(running.begin(), running.end());
    all.insert(all.end(), queue.begin(), queue.end());
    for (const Ticket &job : all) // all of them stop before the first one's end is told
      job->stop(Reason::Cancelled);
  }
  for (const Ticket &job : all)
    cancel(job);
}

void Scheduler::stopAdmission() {
  std::lock_guard lock(mutex);
  closed = true;
}

bool Scheduler::waitIdle(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex);
  return idle.wait_for(lock, limit, [this] { return empty(); });
}

bool Scheduler::drain(std::chrono::milliseconds limit) {
  stopAdmission();
  if (waitIdle(limit))
    return true;
  cancelAll();
  std::unique_lock lock(mutex);
  idle.wait(lock, [this] { return empty(); });
  return false;
}

std::string Scheduler::lost() const {
  std::lock_guard lock(mutex);
  return lostWhy;
}

void Scheduler::onLost(std::function<void()> tell) {
  std::lock_guard lock(mutex);
  tellLost = std::move(tell);
  if (tellLost && !lostWhy.empty())
    tellLost();
}

bool Scheduler::draining() const {
  std::lock_guard lock(mutex);
  return closed;
}

int Scheduler::queued() const {
  std::lock_guard lock(mutex);
  return static_cast<int>(queue.size());
}

int Scheduler::active() const {
  std::lock_guard lock(mutex);
  return static_cast<int>(running.size());
}

void Scheduler::setQueueMetric() { metrics.queueDepth(queue.size()); }

/// Gives the job a slot of the engine and memory for its longest answer; false while there is none.
bool Scheduler::admit(const Ticket &job) {
  auto sequence = engine.startFor(longestOf(job->request, engine.info()));
  if (!sequence)
    return false;
  int64_t vocab = engine.info().vocab;
  auto onPiece = [this, job = job.get()](const Piece &piece) {
    auto now = Clock::now();
    if (!piece.tokens.empty()) {
      metrics.generatedTokens(piece.tokens.size());
      if (job->latestToken)
        metrics.nextToken(now - *job->latestToken);
      else
        metrics.firstToken(now - job->arrival);
      job->latestToken = now;
    }
    if (job->onPiece)
      job->onPiece(piece);
  };
  job->generator = std::make_unique<Generator>(
      job->request, engine.info(), tokenizer, std::move(sequence),
      options.sampler(vocab, job->request.sampling), std::move(onPiece), options.prefillChunk);
  if (options.drafter)
    if (auto drafter = options.drafter(job->request.sampling))
      job->generator->speculate(std::move(drafter), engine.longestScore());
  return true;
}

/// Lets a running job advance: its outcome once it has ended, which is where `advance` returns false or
/// throws.
std::optional<Outcome> Scheduler::attempt(const Ticket &job, const std::function<bool()> &advance) {
  std::optional<RequestFailure> failure;
  try {
    if (advance())
      return std::nullopt;
  } catch (const EngineLost &error) {
    failure = error;
    std::lock_guard lock(mutex);
    if (std::exchange(lostWhy, error.what()).empty() && tellLost)
      tellLost();
  } catch (const RequestFailure &error) {
    failure = error;
  } catch (const std::exception &error) {
    failure = RequestFailure(Reason::Engine, fmt::format("the engine failed: {}", error.what()));
  } catch (...) {
    failure = RequestFailure(Reason::Engine, "the engine failed");
  }
  Outcome outcome;
  if (job->generator)
    outcome.answer = job->generator->generated();
  outcome.failure = std::move(failure);
  job->generator.reset(); // the slot is free before anyone hears of the end
  return outcome;
}

/// One turn of one running job.
std::optional<Outcome> Scheduler::turn(const Ticket &job, bool &noSlot) {
  return attempt(job, [&] {
    if (auto reason = job->due())
      throw stopped(*reason);
    noSlot = !job->generator && !admit(job);
    return noSlot || job->generator->step();
  });
}

/// One turn of several jobs, each of which has this step to make.
std::vector<std::optional<Outcome>> Scheduler::turnTogether(std::span<const Ticket> jobs,
                                                            std::span<const Step> steps) {
  std::vector<int32_t> drawn;
  std::exception_ptr problem;
  try {
    drawn = drawTogether(engine, steps);
  } catch (...) {
    problem = std::current_exception();
  }
  std::vector<std::optional<Outcome>> outcomes;
  for (size_t i = 0; i < jobs.size(); ++i)
    outcomes.push_back(attempt(jobs[i], [&] {
      if (problem)
        std::rethrow_exception(problem);
      return jobs[i]->generator->finishStep(drawn[i]);
    }));
  return outcomes;
}

/// A running job has ended.
void Scheduler::end(const Ticket &job, Outcome outcome) {
  {
    std::lock_guard lock(mutex);
    std::erase(running, job);
    ++finishing;
  }
  finish(*job, std::move(outcome));
}

void Scheduler::work() {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return stopping || !queue.empty() || !running.empty(); });
    if (queue.empty() && running.empty())
      return;
    auto ended = takeEnded();
    while (!queue.empty() && static_cast<int>(running.size()) < engine.slots()) {
      running.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    setQueueMetric();
    auto round = running;
    lock.unlock();
    for (const Ticket &job : ended)
      finish(*job, {{}, stopped(*job->due())});
    std::vector<Ticket> slotless, together;
    std::vector<Step> steps;
    for (const Ticket &job : round) {
      bool noSlot = false;
      if (!slotless.empty() && !job->generator) { // behind one that waits: nobody overtakes
        slotless.push_back(job);
        continue;
      }
      std::optional<Step> step;
      auto outcome = engine.mostSteps() > 0 && job->generator && !job->due()
                         ? attempt(job,
                                   [&] {
                                     step = job->generator->singleStep();
                                     return step || job->generator->step();
                                   })
                         : turn(job, noSlot);
      if (step) {
        together.push_back(job);
        steps.push_back(*step);
      }
      if (noSlot)
        slotless.push_back(job);
      if (outcome)
        end(job, std::move(*outcome));
    }
    for (size_t first = 0, count = 0; first < steps.size(); first += count) {
      count = std::min<size_t>(engine.mostSteps(), steps.size() - first);
      std::span<const Ticket> jobs = std::span(together).subspan(first, count);
      auto outcomes = turnTogether(jobs, std::span(steps).subspan(first, count));
      for (size_t i = 0; i < count; ++i)
        if (outcomes[i])
          end(jobs[i], std::move(*outcomes[i]));
    }
    lock.lock();
    for (auto job = slotless.rbegin(); job != slotless.rend(); ++job) {
      std::erase(running, *job);
      queue.push_front(*job);
    }
    int64_t cached = 0;
    for (const Ticket &job : running)
      cached += job->generator->cachedTokens();
    metrics.cacheUsage(static_cast<double>(cached) / static_cast<double>(engine.cachedTokens()));
    // Someone else holds the engine's slots or memory: look again soon, not at once.
    if (!slotless.empty() && running.empty())
      wake.wait_for(lock, std::chrono::milliseconds(2));
  }
}

/// Takes out the waiting jobs that need no slot any more.
std::vector<Scheduler::Ticket> Scheduler::takeEnded() {
  std::vector<Ticket> ended;
  std::erase_if(queue, [&](const Ticket &job) {
    if (!job->due())
      return false;
    ended.push_back(job);
    return true;
  });
  finishing += static_cast<int>(ended.size());
  return ended;
}

/// The job's last act. Called without the mutex, by the one that took the job out.
void Scheduler::finish(Job &job, Outcome outcome) {
  if (!outcome.failure)
    metrics.generation(Clock::now() - job.arrival);
  auto onDone = std::exchange(job.onDone, nullptr);
  job.onPiece = nullptr;
  onDone(std::move(outcome));
  onDone = nullptr; // what it holds goes before anyone who waits for idle() tears it down
  std::lock_guard lock(mutex);
  --finishing;
  idle.notify_all();
}

} // namespace lmc
