#include "frontend/chat/Arguments.h"

#include <algorithm>

namespace lmc::chat {

Arguments::Arguments(const Call &call, std::string_view parameters, std::string what)
    : call(call), what(std::move(what)) {
  if (parameters == "*")
    return;
  std::vector<std::string_view> names;
  size_t required = 0;
  for (size_t at = 0; at < parameters.size();) {
    size_t end = std::min(parameters.find(' ', at), parameters.size());
    std::string_view name = parameters.substr(at, end - at);
    if (name.ends_with('?'))
      name.remove_suffix(1);
    else
      ++required;
    names.push_back(name);
    at = end + 1;
  }
  if (call.positional.size() > names.size())
    fail("{} takes at most {} arguments, got {}", this->what, names.size(), call.positional.size());
  values.resize(names.size());
  for (size_t i = 0; i < call.positional.size(); ++i)
    values[i] = &call.positional[i];
  for (const auto &[name, value] : call.named) {
    auto found = std::ranges::find(names, name);
    if (found == names.end())
      fail("{} has no argument '{}'", this->what, name);
    const Value *&place = values[found - names.begin()];
    if (place)
      fail("{} got '{}' twice", this->what, name);
    place = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!values[i])
      fail("{} needs '{}'", this->what, names[i]);
}

const std::string &Arguments::text(size_t i) const {
  values[i]->requireDefined();
  if (!values[i]->isString())
    fail("argument {} of {} must be a str, got a {}", i + 1, what, values[i]->kind());
  return values[i]->text();
}

const std::string *Arguments::textOrNone(size_t i) const {
  return find(i) && !find(i)->isNone() ? &text(i) : nullptr;
}

int64_t Arguments::integer(size_t i, int64_t byDefault) const {
  if (!find(i) || find(i)->isNone())
    return byDefault;
  if (!find(i)->isInteger() && !find(i)->isBool())
    fail("argument {} of {} must be an int, got a {}", i + 1, what, find(i)->kind());
  return find(i)->integer();
}

void failUnknown(std::string_view kind, std::string_view name, const Builtins &known) {
  std::string list;
  for (const auto &[other, builtin] : known)
    list += list.empty() ? std::string(other) : fmt::format(", {}", other);
  fail("the {} '{}' is not supported; there are {}", kind, name, list);
}

Value callBuiltin(Context &context, std::string_view kind, const std::string &name,
                  const Builtin &builtin, const Value &self, const Call &call) {
  context.budget.read(self.shallowSize());
  for (const Value &value : call.positional)
    context.budget.read(value.shallowSize());
  Arguments arguments(call, builtin.parameters, fmt::format("{} '{}'", kind, name));
  Value result = builtin.run(context, self, arguments);
  context.budget.bytes(result.shallowSize());
  return result;
}

} // namespace lmc::chat
