// value is test(arguments)
//   Source: Jinja 3.1, "List of Builtin Tests".
#include "frontend/chat/Arguments.h"
#include "frontend/chat/Text.h"

namespace lmc::chat {
namespace {

using Args = const Arguments &;

int64_t integerOf(const Value &value) {
  value.requireDefined();
  if (!value.isInteger() && !value.isBool())
    fail("a {} is neither odd nor even", value.kind());
  return value.integer();
}

bool isIterable(const Value &v) {
  return v.isString() || v.isList() || v.isDict() || v.isUndefined();
}

Value divisible(Context &c, const Value &v, Args a) { return !arithmetic("%", v, a[0], c).truth(); }

const Builtins tests = {
    {"!=",
     {"other",
      [](Context &c, const Value &v, Args a) { return Value(!equal(v, a[0], c.budget)); }}},
    {"<",
     {"other", [](Context &c, const Value &v, Args a) { return Value(less(v, a[0], c.budget)); }}},
    {"==",
     {"other", [](Context &c, const Value &v, Args a) { return Value(equal(v, a[0], c.budget)); }}},
    {">",
     {"other", [](Context &c, const Value &v, Args a) { return Value(less(a[0], v, c.budget)); }}},
    {"boolean", {"", [](Context &, const Value &v, Args) { return Value(v.isBool()); }}},
    {"callable", {"", [](Context &, const Value &v, Args) { return Value(v.isFunction()); }}},
    {"defined", {"", [](Context &, const Value &v, Args) { return Value(!v.isUndefined()); }}},
    {"divisibleby", {"num", divisible}},
    {"eq",
     {"other", [](Context &c, const Value &v, Args a) { return Value(equal(v, a[0], c.budget)); }}},
    {"equalto",
     {"other", [](Context &c, const Value &v, Args a) { return Value(equal(v, a[0], c.budget)); }}},
    {"even", {"", [](Context &, const Value &v, Args) { return Value(integerOf(v) % 2 == 0); }}},
    {"false",
     {"", [](Context &, const Value &v, Args) { return Value(v.isBool() && !v.truth()); }}},
    {"float", {"", [](Context &, const Value &v, Args) { return Value(v.isFloat()); }}},
    {"ge",
     {"other", [](Context &c, const Value &v, Args a) { return Value(!less(v, a[0], c.budget)); }}},
    {"gt",
     {"other", [](Context &c, const Value &v, Args a) { return Value(less(a[0], v, c.budget)); }}},
    {"in",
     {"seq",
      [](Context &c, const Value &v, Args a) { return Value(contains(a[0], v, c.budget)); }}},
    {"integer", {"", [](Context &, const Value &v, Args) { return Value(v.isInteger()); }}},
    {"iterable", {"", [](Context &, const Value &v, Args) { return Value(isIterable(v)); }}},
    {"le",
     {"other", [](Context &c, const Value &v, Args a) { return Value(!less(a[0], v, c.budget)); }}},
    {"lower",
     {"", [](Context &c, const Value &v, Args) { return Value(allLower(str(v, c.budget))); }}},
    {"lt",
     {"other", [](Context &c, const Value &v, Args a) { return Value(less(v, a[0], c.budget)); }}},
    {"mapping", {"", [](Context &, const Value &v, Args) { return Value(v.isDict()); }}},
    {"ne",
     {"other",
      [](Context &c, const Value &v, Args a) { return Value(!equal(v, a[0], c.budget)); }}},
    {"none", {"", [](Context &, const Value &v, Args) { return Value(v.isNone()); }}},
    {"number", {"", [](Context &, const Value &v, Args) { return Value(v.isNumber()); }}},
    {"odd", {"", [](Context &, const Value &v, Args) { return Value(integerOf(v) % 2 != 0); }}},
    {"sequence", {"", [](Context &, const Value &v, Args) { return Value(isIterable(v)); }}},
    {"string", {"", [](Context &, const Value &v, Args) { return Value(v.isString()); }}},
    {"true", {"", [](Context &, const Value &v, Args) { return Value(v.isBool() && v.truth()); }}},
    {"undefined", {"", [](Context &, const Value &v, Args) { return Value(v.isUndefined()); }}},
    {"upper",
     {"", [](Context &c, const Value &v, Args) { return Value(allUpper(str(v, c.budget))); }}},
};

} // namespace

bool applyTest(Context &context, const std::string &name, const Value &value, const Call &call) {
  auto found = tests.find(name);
  if (found == tests.end())
    failUnknown("test", name, tests);
  return callBuiltin(context, "test", name, found->second, value, call).truth();
}

} // namespace lmc::chat
