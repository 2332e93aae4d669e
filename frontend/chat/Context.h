// What filters, tests, methods and functions see of a rendering, and the tables that hold them.
#pragma once

#include "frontend/chat/Value.h"

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace lmc::chat {

class Context {
public:
  Context(const Limits &limits, std::time_t now) : budget(limits), now(now) {}

  Budget budget;
  const std::time_t now; ///< what strftime_now tells
};

/// Each throws Error for a name that is unknown and for arguments that it does
/// not take.
Value applyFilter(Context &context, const std::string &name, const Value &value, const Call &call);
bool applyTest(Context &context, const std::string &name, const Value &value, const Call &call);

/// A method of a str, dict or list, bound to it. Throws Error for those that would change it.
std::optional<Value> findMethod(const Value &value, const std::string &name);
/// range, namespace, ...
std::optional<Value> findFunction(const std::string &name);

/// value.name and value[key]; undefined where there is none.
Value attributeOf(const Value &value, const std::string &name);
Value elementOf(const Value &value, const Value &key, Context &context);
/// value[start:stop:step] of a str, list or tuple; none stands for what is left out.
Value sliceOf(const Value &value, const Value &start, const Value &stop, const Value &step,
              Context &context);

/// + - * / // % ** ~
Value arithmetic(std::string_view op, const Value &left, const Value &right, Context &context);
Value negative(const Value &value);

} // namespace lmc::chat
