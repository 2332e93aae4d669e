// value.method(arguments) of Python's str, dict and list, and the functions range, namespace, ...
#include "frontend/chat/Arguments.h"
#include "frontend/chat/Text.h"

#include <algorithm>
#include <array>

namespace lmc::chat {
namespace {

using Args = const Arguments &;

/// Whether one of the texts (a str, or a tuple of them) passes.
template <typename Test> Value anyText(const Value &texts, Test test) {
  if (texts.isString())
    return test(texts.text());
  if (!texts.isList())
    fail("expected a str or a tuple of them, got a {}", texts.kind());
  return std::ranges::any_of(texts.list().items, [&](const Value &item) {
    if (!item.isString())
      fail("expected a tuple of str, it holds a {}", item.kind());
    return test(item.text());
  });
}

/// In characters, as Python counts.
Value positionOf(const Value &v, size_t byte) {
  return byte == std::string::npos
             ? Value(-1)
             : Value(characterCount(std::string_view(v.text()).substr(0, byte)));
}

template <Side S> Value stripped(Context &, const Value &v, Args a) {
  return strip(v.text(), S, a.textOrNone(0));
}
template <std::string (*Map)(std::string_view)> Value mapped(Context &, const Value &v, Args) {
  return Map(v.text());
}
template <bool (*Test)(std::string_view)> Value tested(Context &, const Value &v, Args) {
  return Test(v.text());
}

Value joined(Context &c, const Value &v, Args a) {
  std::string result;
  bool begun = false;
  for (const Value &item : elements(a[0], c.budget)) {
    if (!item.isString())
      fail("join needs items that are str, got a {}", item.kind());
    c.budget.bytes(static_cast<int64_t>(item.text().size() + v.text().size()));
    if (std::exchange(begun, true))
      result += v.text();
    result += item.text();
  }
  return result;
}

Value partition(const Value &v, const std::string &separator, size_t at) {
  const std::string &text = v.text();
  return Value::list({text.substr(0, at), separator, text.substr(at + separator.size())}, true);
}

int64_t occurrences(const std::string &text, const std::string &part) {
  if (part.empty())
    return static_cast<int64_t>(characterCount(text)) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
    ++count;
  return count;
}

const Builtins stringMethods = {
    {"capitalize", {"", mapped<capitalize>}},
    {"count",
     {"sub",
      [](Context &, const Value &v, Args a) { return Value(occurrences(v.text(), a.text(0))); }}},
    {"endswith",
     {"suffix",
      [](Context &, const Value &v, Args a) {
        return anyText(a[0], [&](const std::string &end) { return v.text().ends_with(end); });
      }}},
    {"find",
     {"sub",
      [](Context &, const Value &v, Args a) { return positionOf(v, v.text().find(a.text(0))); }}},
    {"isalnum",
     {"", [](Context &, const Value &v, Args) { return Value(allLetters(v.text(), true)); }}},
    {"isalpha",
     {"", [](Context &, const Value &v, Args) { return Value(allLetters(v.text(), false)); }}},
    {"isdigit", {"", tested<allDigits>}},
    {"islower", {"", tested<allLower>}},
    {"isspace", {"", tested<allSpace>}},
    {"isupper", {"", tested<allUpper>}},
    {"join", {"iterable", joined}},
    {"lower", {"", mapped<lower>}},
    {"lstrip", {"chars?", stripped<Side::Left>}},
    {"partition",
     {"sep",
      [](Context &, const Value &v, Args a) {
        size_t at = v.text().find(a.text(0));
        return at == std::string::npos ? Value::list({v, "", ""}, true)
                                       : partition(v, a.text(0), at);
      }}},
    {"removeprefix",
     {"prefix",
      [](Context &, const Value &v, Args a) {
        return v.text().starts_with(a.text(0)) ? Value(v.text().substr(a.text(0).size())) : v;
      }}},
    {"removesuffix",
     {"suffix",
      [](Context &, const Value &v, Args a) {
        return v.text().ends_with(a.text(0))
                   ? Value(v.text().substr(0, v.text().size() - a.text(0).size()))
                   : v;
      }}},
    {"replace",
     {"old new count?",
      [](Context &c, const Value &v, Args a) {
        return Value(replace(v.text(), a.text(0), a.text(1), a.integer(2, -1), c.budget));
      }}},
    {"rfind",
     {"sub",
      [](Context &, const Value &v, Args a) { return positionOf(v, v.text().rfind(a.text(0))); }}},
    {"rpartition",
     {"sep",
      [](Context &, const Value &v, Args a) {
        size_t at = v.text().rfind(a.text(0));
        return at == std::string::npos ? Value::list({"", "", v}, true)
                                       : partition(v, a.text(0), at);
      }}},
    {"rsplit",
     {"sep? maxsplit?",
      [](Context &c, const Value &v, Args a) {
        c.budget.bytes(static_cast<int64_t>(v.text().size() * sizeof(Value)));
        return Value::list(splitRight(v.text(), a.textOrNone(0), a.integer(1, -1)));
      }}},
    {"rstrip", {"chars?", stripped<Side::Right>}},
    {"split",
     {"sep? maxsplit?",
      [](Context &c, const Value &v, Args a) {
        c.budget.bytes(static_cast<int64_t>(v.text().size() * sizeof(Value)));
        return Value::list(split(v.text(), a.textOrNone(0), a.integer(1, -1)));
      }}},
    {"splitlines",
     {"keepends?",
      [](Context &c, const Value &v, Args a) {
        c.budget.bytes(static_cast<int64_t>(v.text().size() * sizeof(Value)));
        return Value::list(splitLines(v.text(), a.flag(0, false)));
      }}},
    {"startswith",
     {"prefix",
      [](Context &, const Value &v, Args a) {
        return anyText(a[0], [&](const std::string &begin) { return v.text().starts_with(begin); });
      }}},
    {"strip", {"chars?", stripped<Side::Both>}},
    {"title", {"", mapped<title>}},
    {"upper", {"", mapped<upper>}},
};

const Builtins dictMethods = {
    {"copy", {"", [](Context &, const Value &v, Args) { return v; }}},
    {"get",
     {"key default?",
      [](Context &, const Value &v, Args a) {
        const Value *found = a[0].isString() ? v.dict().find(a[0].text()) : nullptr;
        return found ? *found : a.find(1) ? a[1] : Value();
      }}},
    {"items",
     {"", [](Context &c, const Value &v, Args) { return applyFilter(c, "items", v, {}); }}},
    {"keys",
     {"", [](Context &c, const Value &v, Args) { return Value::list(elements(v, c.budget)); }}},
    {"values",
     {"",
      [](Context &, const Value &v, Args) {
        std::vector<Value> values;
        for (const auto &[key, value] : v.dict().items)
          values.push_back(value);
        return Value::list(std::move(values));
      }}},
};

const Builtins listMethods = {
    {"count",
     {"value",
      [](Context &c, const Value &v, Args a) {
        return Value(std::ranges::count_if(
            v.list().items, [&](const Value &item) { return equal(item, a[0], c.budget); }));
      }}},
    {"index",
     {"value",
      [](Context &c, const Value &v, Args a) {
        auto &items = v.list().items;
        auto found = std::ranges::find_if(
            items, [&](const Value &item) { return equal(item, a[0], c.budget); });
        if (found == items.end())
          fail("the item is not in the list");
        return Value(found - items.begin());
      }}},
};

/// What transformers' sandbox refuses too.
constexpr std::array changing = {"append", "clear", "extend",  "insert",     "pop",
                                 "remove", "sort",  "popitem", "setdefault", "update"};

Value boundMethod(const char *kind, const std::string &name, const Builtin &method,
                  const Value &self) {
  auto run = [kind, name, &method, self](Context &context, const Call &call) {
    return callBuiltin(context, kind, name, method, self, call);
  };
  return Value(Value::Storage(std::make_shared<const Function>(name, run)));
}

// Functions.

Value range(Context &, const Value &, Args a) {
  int64_t start = a.find(1) ? a.integer(0, 0) : 0,
          stop = a.find(1) ? a.integer(1, 0) : a.integer(0, 0);
  int64_t step = a.integer(2, 1);
  constexpr int64_t most = 100'000; // as in Jinja's sandbox
  if (step == 0)
    fail("the step of a range is 0");
  std::vector<Value> numbers;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(numbers.size()) == most)
      fail("a range has at most {} numbers", most);
    numbers.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return Value::list(std::move(numbers));
}

/// The members of namespace(...) and dict(...): those of a dict, then named ones.
std::vector<std::pair<std::string, Value>> members(const Call &call, const char *of) {
  std::vector<std::pair<std::string, Value>> result;
  if (call.positional.size() > 1 || (call.positional.size() == 1 && !call.positional[0].isDict()))
    fail("{} takes one dict, or named arguments", of);
  if (!call.positional.empty())
    result = call.positional[0].dict().items;
  result.insert(result.end(), call.named.begin(), call.named.end());
  return result;
}

Value makeNamespace(Context &, const Value &, Args a) {
  auto made = std::make_shared<Namespace>();
  auto attributes = members(a.call, "namespace");
  Value::dict(attributes); // the same things may be stored in it
  for (auto &[name, value] : attributes)
    made->attributes[name] = std::move(value);
  return Value(Value::Storage(std::move(made)));
}

Value makeDict(Context &, const Value &, Args a) { return Value::dict(members(a.call, "dict")); }

Value raiseException(Context &, const Value &, Args a) {
  fail("the template refuses this: {}", a.text(0));
}

/// Conversions as C and Python have them, without widths.
Value strftimeNow(Context &context, const Value &, Args a) {
  const std::string &format = a.text(0);
  for (size_t i = 0; (i = format.find('%', i)) != std::string::npos; i += 2) {
    if (format[i + 1] == '-')
      ++i;
    if (i + 1 >= format.size() ||
        std::string_view("aAbBcdHIjmMpSUwWxXyYZzeFTDR%").find(format[i + 1]) ==
            std::string_view::npos)
      fail("strftime_now does not understand '{}'", format);
  }
  if (format.empty() || format.size() > 1000)
    fail("the format of strftime_now has 1 to 1000 bytes, got {}", format.size());
  std::tm local{};
  localtime_r(&context.now, &local);
  std::array<char, 65536> buffer;
  size_t length = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  return std::string(buffer.data(), length);
}

const Builtins functions = {
    {"dict", {"*", makeDict}},
    {"namespace", {"*", makeNamespace}},
    {"raise_exception", {"message", raiseException}},
    {"range", {"start stop? step?", range}},
    {"strftime_now", {"format", strftimeNow}},
};

} // namespace

std::optional<Value> findMethod(const Value &value, const std::string &name) {
  const Builtins *methods = value.isString() ? &stringMethods
                            : value.isDict() ? &dictMethods
                            : value.isList() ? &listMethods
                                             : nullptr;
  if (!methods)
    return std::nullopt;
  if (auto found = methods->find(name); found != methods->end())
    return boundMethod("method", name, found->second, value);
  bool changes = !value.isString() && std::ranges::find(changing, name) != changing.end();
  if (changes && !(value.isDict() && value.dict().find(name)))
    fail("method '{}' would change a {}, which templates must not; make a new one, as in 'list + "
         "[item]'",
         name, value.kind());
  return std::nullopt;
}

std::optional<Value> findFunction(const std::string &name) {
  auto found = functions.find(name);
  return found == functions.end()
             ? std::nullopt
             : std::optional(boundMethod("function", name, found->second, Value()));
}

} // namespace lmc::chat
