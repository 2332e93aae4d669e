#include "serve/GrpcCalls.h"

#include "serve/GrpcMessages.h"

#include <mutex>
#include <utility>

namespace lmc {
namespace {

std::optional<Clock::time_point> deadlineOf(const grpc::CallbackServerContext &context) {
  auto left = context.deadline() - std::chrono::system_clock::now();
  if (left > std::chrono::hours(24 * 365)) // a client without a deadline sends the end of time
    return std::nullopt;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(left);
}

/// What both calls share: the request's way into the scheduler and its end. Kept alive by gRPC
/// (until onCallDone) and by the scheduler (until onDone has returned).
class Call : public std::enable_shared_from_this<Call> {
public:
  Call(ServedModel &served, grpc::CallbackServerContext &context, std::string_view method)
      : served(served), context(context), method(method) {}
  virtual ~Call() = default;

  void start(const grpc::ByteBuffer &in) {
    self = shared_from_this();
    try {
      v1::GenerateRequest message;
      parseMessage(in, message);
      ClientRequest client = fromProto(message);
      client.deadline = deadlineOf(context);
      auto request = resolve(client, served.model(), *served.tokenizer);
      promptTokens = static_cast<int32_t>(request.tokens.size());
      auto submitted = served.scheduler.submit(
          std::move(request), [call = self](const Piece &piece) { call->onPiece(piece); },
          [call = self](Outcome &&outcome) { call->onOutcome(std::move(outcome)); });
      std::lock_guard lock(mutex);
      ticket = std::move(submitted);
    } catch (const RequestFailure &failure) {
      counted(failed(served, context, failure));
    } catch (const std::exception &error) {
      counted(failed(served, context, {Reason::Engine, error.what()}));
    }
  }

protected:
  virtual void onPiece(const Piece &piece) {}
  /// Prepares the answer's last message. Throws RequestFailure.
  virtual void complete(const Generated &answer) = 0;
  virtual void end(grpc::Status status) = 0;

  void cancel() {
    Scheduler::Ticket ours;
    {
      std::lock_guard lock(mutex);
      clientGone = true;
      ours = ticket;
    }
    if (ours)
      served.scheduler.cancel(ours, timedOut() ? Reason::Deadline : Reason::Cancelled);
  }

  void onCallDone() {
    auto last = std::move(self); // may delete this
  }

  v1::GenerateResponse counts(int64_t completionTokens) const {
    v1::GenerateResponse message;
    message.set_prompt_tokens(promptTokens);
    message.set_completion_tokens(static_cast<int32_t>(completionTokens));
    return message;
  }

  ServedModel &served;
  std::mutex mutex;

private:
  void onOutcome(Outcome &&outcome) {
    bool gone;
    {
      std::lock_guard lock(mutex);
      gone = clientGone;
    }
    auto failure = std::move(outcome.failure);
    if (failure && failure->reason() == Reason::Cancelled && !gone) {
      // The server ended it, not the client: what was generated is an answer, and says so.
      served.metrics.failure(Reason::Cancelled);
      failure.reset();
    }
    if (!failure) {
      try {
        complete(outcome.answer);
      } catch (const RequestFailure &error) {
        failure = error;
      }
    }
    counted(failure ? failed(served, context, *failure) : grpc::Status::OK);
  }

  void counted(grpc::Status status) {
    served.metrics.request(method, nameOf(status.error_code()));
    end(std::move(status));
  }

  /// A client that gives up at its deadline tells so a little before ours, which starts with the
  /// call's arrival and is rounded up.
  bool timedOut() const {
    using namespace std::chrono;
    auto left = context.deadline() - system_clock::now();
    auto whole = context.deadline() - arrival;
    return left <= std::max<system_clock::duration>(milliseconds(20), whole / 50);
  }

  grpc::CallbackServerContext &context;
  std::string_view method;
  std::chrono::system_clock::time_point arrival = std::chrono::system_clock::now();
  int32_t promptTokens = 0;
  Scheduler::Ticket ticket;
  bool clientGone = false;
  std::shared_ptr<Call> self;
};

class UnaryCall : public Call, public grpc::ServerUnaryReactor {
public:
  UnaryCall(ServedModel &served, grpc::CallbackServerContext &context, grpc::ByteBuffer &out)
      : Call(served, context, "Generate"), out(out) {}

private:
  void complete(const Generated &answer) override {
    auto message = counts(static_cast<int64_t>(answer.tokens.size()));
    appendTo(message, answer, *served.tokenizer);
    message.set_finish_reason(std::string(nameOf(answer.finish)));
    out = serialize(message);
  }
  void end(grpc::Status status) override { Finish(std::move(status)); }
  void OnCancel() override { cancel(); }
  void OnDone() override { onCallDone(); }

  grpc::ByteBuffer &out;
};

/// While a write is under way, later pieces gather in one message: a slow reader costs memory for
/// its own answer and nothing else.
class StreamCall : public Call, public grpc::ServerWriteReactor<grpc::ByteBuffer> {
public:
  StreamCall(ServedModel &served, grpc::CallbackServerContext &context)
      : Call(served, context, "GenerateStream") {}

private:
  void onPiece(const Piece &piece) override {
    {
      std::lock_guard lock(mutex);
      if (!gathered)
        gathered = counts(0);
      completionTokens += static_cast<int64_t>(piece.tokens.size());
      gathered->set_completion_tokens(static_cast<int32_t>(completionTokens));
      appendTo(*gathered, piece, *served.tokenizer);
    }
    proceed();
  }

  void complete(const Generated &answer) override {
    std::lock_guard lock(mutex);
    if (!gathered)
      gathered = counts(completionTokens);
    gathered->set_finish_reason(std::string(nameOf(answer.finish)));
  }

  void end(grpc::Status status) override {
    {
      std::lock_guard lock(mutex);
      last = std::move(status);
    }
    proceed();
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex);
      writing = false;
      broken = broken || !ok;
    }
    if (!ok)
      cancel();
    proceed();
  }
  void OnCancel() override { cancel(); }
  void OnDone() override { onCallDone(); }

  /// Starts the next operation, if none is under way. gRPC is called without the mutex, since it
  /// may call back.
  void proceed() {
    bool write = false;
    std::optional<grpc::Status> finish;
    {
      std::lock_guard lock(mutex);
      if (writing || finished)
        return;
      if (gathered && !broken) {
        out = serialize(*gathered);
        gathered.reset();
        write = writing = true;
      } else if (last) {
        finish = std::exchange(last, std::nullopt);
        finished = true;
      }
    }
    if (write)
      StartWrite(&out);
    else if (finish)
      Finish(std::move(*finish));
  }

  // Under the mutex.
  std::optional<v1::GenerateResponse> gathered;
  std::optional<grpc::Status> last;
  int64_t completionTokens = 0;
  bool writing = false, broken = false, finished = false;
  grpc::ByteBuffer out; ///< belongs to gRPC while writing
};

} // namespace

grpc::Status failed(ServedModel &served, grpc::CallbackServerContext &context,
                    const RequestFailure &failure) {
  served.metrics.failure(failure.reason());
  context.AddTrailingMetadata("lmc-reason", std::string(nameOf(failure.reason())));
  return {statusCode(failure.reason()), failure.what()};
}

grpc::ServerUnaryReactor *startGenerate(ServedModel &served, grpc::CallbackServerContext &context,
                                        const grpc::ByteBuffer &in, grpc::ByteBuffer &out) {
  auto call = std::make_shared<UnaryCall>(served, context, out);
  call->start(in);
  return call.get();
}

grpc::ServerWriteReactor<grpc::ByteBuffer> *
startGenerateStream(ServedModel &served, grpc::CallbackServerContext &context,
                    const grpc::ByteBuffer &in) {
  auto call = std::make_shared<StreamCall>(served, context);
  call->start(in);
  return call.get();
}

} // namespace lmc
