// Arguments of a call by the names of its parameters.
#pragma once

#include "frontend/chat/Context.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lmc::chat {

class Arguments {
public:
  /// `parameters`: "a b c?", those with a question mark may be left out; "*" takes whatever comes, in
  /// `call`. `what` is named in errors: "filter 'trim'".
  Arguments(const Call &call, std::string_view parameters, std::string what);

  const Value *find(size_t i) const {
    return i < values.size() ? values[i] : nullptr;
  } ///< null: left out
  const Value &operator[](size_t i) const { return *values[i]; } ///< of one that must be there
  const std::string &text(size_t i) const;
  const std::string *textOrNone(size_t i) const; ///< null where left out or none
  int64_t integer(size_t i, int64_t byDefault) const;
  bool flag(size_t i, bool byDefault) const { return find(i) ? find(i)->truth() : byDefault; }

  const Call &call;

private:
  std::vector<const Value *> values;
  std::string what;
};

struct Builtin {
  std::string_view parameters;
  Value (*run)(Context &context, const Value &self, const Arguments &arguments);
};
using Builtins = std::map<std::string_view, Builtin>;

/// Throws Error that lists those that there are.
[[noreturn]] void failUnknown(std::string_view kind, std::string_view name, const Builtins &known);

/// Runs one and counts what it made.
Value callBuiltin(Context &context, std::string_view kind, const std::string &name,
                  const Builtin &builtin, const Value &self, const Call &call);

} // namespace lmc::chat
