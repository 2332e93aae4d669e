#include "serve/Failure.h"

namespace lmc {

std::string_view nameOf(Reason reason) {
  switch (reason) {
  case Reason::InvalidArgument:
    return "invalid_argument";
  case Reason::Tokenizer:
    return "tokenizer";
  case Reason::Sampling:
    return "sampling";
  case Reason::MalformedLogits:
    return "malformed_logits";
  case Reason::Engine:
    return "engine";
  case Reason::Deadline:
    return "deadline";
  case Reason::Cancelled:
    return "cancelled";
  case Reason::Overloaded:
    return "overloaded";
  case Reason::Draining:
    return "draining";
  }
  return "engine";
}

} // namespace lmc
