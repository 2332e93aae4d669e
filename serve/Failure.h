// Why a request failed: the reasons of lmc_request_failures_total, shared by both fronts.
#pragma once

#include "runtime/Error.h"

#include <string>
#include <string_view>
#include <utility>

namespace lmc {

enum class Reason {
  InvalidArgument, ///< the client's mistake; nothing ran
  Tokenizer,       ///< text to ids or ids to text went wrong
  Sampling,        ///< no token could be drawn
  MalformedLogits, ///< NaN, +inf, all -inf, or a wrong number of logits
  Engine,          ///< the model's computation failed
  Deadline,        ///< the client's time ran out
  Cancelled,       ///< the client went away, or the server stopped
  Overloaded,      ///< the queue is full
  Draining,        ///< the server is stopping and takes nothing new
};

/// The label of the metric, "invalid_argument".
std::string_view nameOf(Reason reason);

/// Ends one request, never the server.
class RequestFailure : public Error {
public:
  RequestFailure(Reason reason, const std::string &message) : Error(message), why(reason) {}
  Reason reason() const { return why; }

private:
  Reason why;
};

/// Reason::Engine, and every later request would end the same way: the server has to start again.
class EngineLost : public RequestFailure {
public:
  explicit EngineLost(const std::string &message) : RequestFailure(Reason::Engine, message) {}
};

template <typename... Args>
[[noreturn]] void refuse(Reason reason, fmt::format_string<Args...> text, Args &&...args) {
  throw RequestFailure(reason, fmt::format(text, std::forward<Args>(args)...));
}

} // namespace lmc
