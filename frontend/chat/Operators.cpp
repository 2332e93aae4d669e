// Arithmetic, attributes and elements.
#include "frontend/chat/Context.h"
#include "frontend/chat/Text.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace lmc::chat {
namespace {

template <bool (*Op)(int64_t, int64_t, int64_t *)> int64_t checked(int64_t a, int64_t b) {
  int64_t result;
  if (Op(a, b, &result))
    fail("the result is no int of 64 bits");
  return result;
}
bool addOverflows(int64_t a, int64_t b, int64_t *r) { return __builtin_add_overflow(a, b, r); }
bool subtractOverflows(int64_t a, int64_t b, int64_t *r) { return __builtin_sub_overflow(a, b, r); }
bool multiplyOverflows(int64_t a, int64_t b, int64_t *r) { return __builtin_mul_overflow(a, b, r); }

Value powerOf(const Value &left, const Value &right) {
  if (left.isFloat() || right.isFloat() || right.integer() < 0)
    return std::pow(left.number(), right.number());
  int64_t base = left.integer(), exponent = right.integer(), result = 1;
  if (base >= -1 && base <= 1)
    return exponent == 0 || (base == -1 && exponent % 2 == 0) ? 1 : base;
  for (int64_t i = 0; i < exponent; ++i) // soon overflows
    result = checked<multiplyOverflows>(result, base);
  return result;
}

/// Quotients are rounded down and remainders have the divisor's sign, as in Python.
Value divided(std::string_view op, const Value &left, const Value &right) {
  if (right.number() == 0)
    fail("division by zero");
  if (op == "/")
    return left.number() / right.number();
  if (left.isFloat() || right.isFloat()) {
    double a = left.number(), b = right.number(), rest = std::fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0))
      rest += b;
    return op == "%" ? rest : std::floor(a / b);
  }
  int64_t a = left.integer(), b = right.integer();
  if (b == -1)
    return op == "%" ? Value(0) : negative(left);
  int64_t quotient = a / b, rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0))
    rest += b, --quotient;
  return op == "%" ? rest : quotient;
}

Value ofNumbers(std::string_view op, const Value &left, const Value &right) {
  bool isFloat = left.isFloat() || right.isFloat();
  if (op == "+")
    return isFloat ? Value(left.number() + right.number())
                   : Value(checked<addOverflows>(left.integer(), right.integer()));
  if (op == "-")
    return isFloat ? Value(left.number() - right.number())
                   : Value(checked<subtractOverflows>(left.integer(), right.integer()));
  if (op == "*")
    return isFloat ? Value(left.number() * right.number())
                   : Value(checked<multiplyOverflows>(left.integer(), right.integer()));
  return op == "**" ? powerOf(left, right) : divided(op, left, right);
}

/// A str or list, several times.
Value repeated(const Value &value, int64_t times, Context &context) {
  times = std::max<int64_t>(times, 0);
  int64_t size = value.isString() ? static_cast<int64_t>(value.text().size())
                                  : static_cast<int64_t>(value.list().items.size() * sizeof(Value));
  context.budget.step(times < INT64_MAX / 2 ? times / 16 : times / 2);
  context.budget.bytes(checked<multiplyOverflows>(size, times));
  if (size == 0)
    return value;
  if (value.isString()) {
    std::string text;
    for (int64_t i = 0; i < times; ++i)
      text += value.text();
    return text;
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i)
    items.insert(items.end(), value.list().items.begin(), value.list().items.end());
  return Value::list(std::move(items), value.list().tuple);
}

/// Index from the front, or nothing; negative ones count from the end.
std::optional<size_t> position(int64_t index, size_t length) {
  auto size = static_cast<int64_t>(length);
  if (index < 0 && index >= -size)
    index += size;
  return index >= 0 && index < size ? std::optional<size_t>(index) : std::nullopt;
}

} // namespace

Value negative(const Value &value) {
  value.requireDefined();
  if (!value.isNumber())
    fail("'-' needs a number, got a {}", value.kind());
  return value.isFloat() ? Value(-value.number())
                         : Value(checked<subtractOverflows>(0, value.integer()));
}

Value arithmetic(std::string_view op, const Value &left, const Value &right, Context &context) {
  Budget &budget = context.budget;
  if (op == "~") {
    std::string text = str(left, budget), more = str(right, budget);
    budget.bytes(static_cast<int64_t>(text.size() + more.size()));
    return text + more;
  }
  left.requireDefined();
  right.requireDefined();
  if (left.isNumber() && right.isNumber())
    return ofNumbers(op, left, right);
  bool isText = left.isString() && right.isString();
  if (op == "+" && isText) {
    budget.bytes(left.shallowSize() + right.shallowSize());
    return left.text() + right.text();
  }
  if (op == "+" && left.isList() && right.isList() && left.list().tuple == right.list().tuple) {
    budget.bytes(left.shallowSize() + right.shallowSize());
    std::vector<Value> items = left.list().items;
    items.insert(items.end(), right.list().items.begin(), right.list().items.end());
    return Value::list(std::move(items), left.list().tuple);
  }
  auto counts = [](const Value &v) { return v.isInteger() || v.isBool(); };
  auto repeats = [](const Value &v) { return v.isString() || v.isList(); };
  if (op == "*" && repeats(left) && counts(right))
    return repeated(left, right.integer(), context);
  if (op == "*" && counts(left) && repeats(right))
    return repeated(right, left.integer(), context);
  fail("'{}' does not work between a {} and a {}", op, left.kind(), right.kind());
}

Value attributeOf(const Value &value, const std::string &name) {
  value.requireDefined();
  if (name.starts_with('_'))
    fail("attributes that begin with an underscore are out of reach");
  if (Namespace *space = value.asNamespace()) {
    auto found = space->attributes.find(name);
    return found == space->attributes.end()
               ? Value::undefined(fmt::format("the namespace has no '{}'", name))
               : found->second;
  }
  if (const Loop *loop = value.asLoop())
    return loop->attribute(name);
  if (auto method = findMethod(value, name))
    return *method;
  if (value.isDict())
    if (const Value *found = value.dict().find(name))
      return *found;
  return Value::undefined(fmt::format("a {} has no '{}'", value.kind(), name));
}

Value elementOf(const Value &value, const Value &key, Context &context) {
  value.requireDefined();
  key.requireDefined();
  if (value.isDict() && key.isString())
    if (const Value *found = value.dict().find(key.text()))
      return *found;
  if (key.isString())
    return attributeOf(value, key.text());
  if ((value.isList() || value.isString()) && (key.isInteger() || key.isBool())) {
    if (value.isString())
      context.budget.read(static_cast<int64_t>(value.text().size()));
    if (value.isList()) {
      auto at = position(key.integer(), value.list().items.size());
      return at ? value.list().items[*at]
                : Value::undefined(fmt::format("a list has no item {}", key.integer()));
    }
    auto list = characters(value.text());
    auto at = position(key.integer(), list.size());
    return at ? Value(list[*at])
              : Value::undefined(fmt::format("a str has no character {}", key.integer()));
  }
  return Value::undefined(fmt::format("a {} has no item of a {}", value.kind(), key.kind()));
}

Value sliceOf(const Value &value, const Value &startGiven, const Value &stopGiven,
              const Value &stepGiven, Context &context) {
  value.requireDefined();
  if (!value.isString() && !value.isList())
    fail("a {} cannot be sliced", value.kind());
  auto number = [](const Value &given) -> std::optional<int64_t> {
    given.requireDefined();
    if (given.isNone())
      return std::nullopt;
    if (!given.isInteger() && !given.isBool())
      fail("the bounds of a slice are ints, got a {}", given.kind());
    return given.integer();
  };
  int64_t step = number(stepGiven).value_or(1);
  if (step == 0)
    fail("the step of a slice is 0");
  context.budget.read(value.shallowSize());
  std::vector<std::string_view> letters;
  if (value.isString())
    letters = characters(value.text());
  auto length = static_cast<int64_t>(value.isString() ? letters.size() : value.list().items.size());
  int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? length : length - 1;
  auto bound = [&](std::optional<int64_t> given, int64_t byDefault) {
    if (!given)
      return byDefault;
    return std::clamp(*given < 0 ? std::max(*given, -length - 1) + length : *given, lowest,
                      highest);
  };
  int64_t start = bound(number(startGiven), step > 0 ? 0 : highest);
  int64_t stop = bound(number(stopGiven), step > 0 ? length : lowest);
  std::string text;
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (value.isString())
      text += letters[i];
    else
      items.push_back(value.list().items[i]);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  Value result =
      value.isString() ? Value(std::move(text)) : Value::list(std::move(items), value.list().tuple);
  context.budget.bytes(result.shallowSize());
  return result;
}

} // namespace lmc::chat
