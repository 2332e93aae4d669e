// The one way in which lmc reports a user's mistake or a bad file: where, what, what to do.
//
// MLIR code reports through diagnostics and LogicalResult; the API above it turns those into Error.
// A broken invariant of our own is an assertion, never an Error.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace lmc {

/// What a program prints after "error: ", lower case, no full stop. `lmc` exits with 1 on it.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A wrong command line (`lmc` exits with 2).
class UsageError : public Error {
public:
  using Error::Error;
};

/// throw Error(fmt::format(...)), so that call sites read as one sentence.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args &&...args) {
  throw Error(fmt::format(text, std::forward<Args>(args)...));
}

} // namespace lmc
