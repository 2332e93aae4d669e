// value | filter(arguments)
//   Source: Jinja 3.1, "List of Builtin Filters"; tojson as transformers has it.
#include "frontend/chat/Arguments.h"
#include "frontend/chat/Text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lmc::chat {
namespace {

Value text(Context &c, std::string made) {
  (void)c; // callBuiltin counts it
  return Value(std::move(made));
}
std::string strOf(Context &c, const Value &value) { return str(value, c.budget); }

Value first(Context &c, const Value &value, const Arguments &) {
  auto items = elements(value, c.budget);
  return items.empty() ? Value::undefined("there is no first item") : items.front();
}
Value last(Context &c, const Value &value, const Arguments &) {
  auto items = elements(value, c.budget);
  return items.empty() ? Value::undefined("there is no last item") : items.back();
}

Value length(Context &, const Value &value, const Arguments &) {
  if (value.isString())
    return characterCount(value.text());
  if (value.isList())
    return value.list().items.size();
  if (value.isDict())
    return value.dict().items.size();
  if (value.isUndefined())
    return 0;
  fail("a {} has no length", value.kind());
}

Value byDefault(Context &, const Value &value, const Arguments &a) {
  bool missing = value.isUndefined() || (a.flag(1, false) && !value.truth());
  return !missing ? value : a.find(0) ? a[0] : Value("");
}

Value toList(Context &c, const Value &value, const Arguments &) {
  return Value::list(elements(value, c.budget));
}

Value items(Context &, const Value &value, const Arguments &) {
  std::vector<Value> pairs;
  if (value.isUndefined())
    return Value::list({});
  if (!value.isDict())
    fail("filter 'items' needs a dict, got a {}", value.kind());
  for (const auto &[key, item] : value.dict().items)
    pairs.push_back(Value::list({key, item}, true));
  return Value::list(std::move(pairs));
}

/// value.a.b of "a.b"; numbers are indices.
Value path(Context &c, Value value, const Value &attribute) {
  if (attribute.isInteger())
    return elementOf(value, attribute, c);
  if (!attribute.isString())
    fail("an attribute must be a str or an int, got a {}", attribute.kind());
  for (const Value &part : split(attribute.text(), std::make_unique<std::string>(".").get(), -1)) {
    const std::string &name = part.text();
    int64_t index = 0;
    auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), index);
    bool isIndex = problem == std::errc() && end == name.data() + name.size();
    value = elementOf(value, isIndex ? Value(index) : part, c);
  }
  return value;
}

/// Texts without their case, where it is not to count.
Value sortKey(Context &c, const Value &value, bool caseSensitive, const Value *attribute) {
  Value key = attribute && !attribute->isNone() ? path(c, value, *attribute) : value;
  if (!key.isString() || caseSensitive)
    return key;
  c.budget.bytes(key.shallowSize());
  return lower(key.text());
}

/// By keys, equal ones in their order.
Value sorted(Context &c, std::vector<std::pair<Value, Value>> keyed, bool reverse) {
  std::ranges::stable_sort(keyed, [&](const auto &a, const auto &b) {
    return reverse ? less(b.first, a.first, c.budget) : less(a.first, b.first, c.budget);
  });
  std::vector<Value> result;
  for (auto &[key, value] : keyed)
    result.push_back(std::move(value));
  return Value::list(std::move(result));
}

Value sort(Context &c, const Value &value, const Arguments &a) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value &item : elements(value, c.budget))
    keyed.emplace_back(sortKey(c, item, a.flag(1, false), a.find(2)), item);
  return sorted(c, std::move(keyed), a.flag(0, false));
}

Value dictsort(Context &c, const Value &value, const Arguments &a) {
  if (!value.isDict())
    fail("filter 'dictsort' needs a dict, got a {}", value.kind());
  const std::string by = a.find(1) ? a.text(1) : "key";
  if (by != "key" && by != "value")
    fail("dictsort sorts by 'key' or 'value', got '{}'", by);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto &[key, item] : value.dict().items)
    keyed.emplace_back(sortKey(c, by == "key" ? Value(key) : item, a.flag(0, false), nullptr),
                       Value::list({key, item}, true));
  return sorted(c, std::move(keyed), a.flag(2, false));
}

Value unique(Context &c, const Value &value, const Arguments &a) {
  std::vector<Value> seen, result;
  for (const Value &item : elements(value, c.budget)) {
    Value key = sortKey(c, item, a.flag(0, false), a.find(1));
    if (std::ranges::any_of(seen, [&](const Value &other) { return equal(key, other, c.budget); }))
      continue;
    seen.push_back(std::move(key));
    result.push_back(item);
  }
  return Value::list(std::move(result));
}

template <bool Largest> Value extreme(Context &c, const Value &value, const Arguments &a) {
  auto list = elements(value, c.budget);
  if (list.empty())
    return Value::undefined("there is no item to choose from");
  auto key = [&](const Value &item) { return sortKey(c, item, a.flag(0, false), a.find(1)); };
  size_t best = 0;
  for (size_t i = 1; i < list.size(); ++i)
    if (Largest ? less(key(list[best]), key(list[i]), c.budget)
                : less(key(list[i]), key(list[best]), c.budget))
      best = i;
  return list[best];
}

Value sum(Context &c, const Value &value, const Arguments &a) {
  Value total = a.find(1) ? a[1] : Value(0);
  for (const Value &item : elements(value, c.budget)) {
    Value term = a.find(0) && !a[0].isNone() ? path(c, item, a[0]) : item;
    if (!term.isNumber() || !total.isNumber())
      fail("filter 'sum' adds numbers, got a {}", term.isNumber() ? total.kind() : term.kind());
    total = arithmetic("+", total, term, c);
  }
  return total;
}

Value reverse(Context &c, const Value &value, const Arguments &) {
  auto list = elements(value, c.budget);
  std::ranges::reverse(list);
  if (!value.isString())
    return Value::list(std::move(list));
  std::string result;
  for (const Value &character : list)
    result += character.text();
  return result;
}

Value join(Context &c, const Value &value, const Arguments &a) {
  std::string result, separator = a.find(0) ? strOf(c, a[0]) : "";
  bool begun = false;
  for (const Value &item : elements(value, c.budget)) {
    Value shown = a.find(1) && !a[1].isNone() ? path(c, item, a[1]) : item;
    std::string piece = strOf(c, shown);
    c.budget.bytes(static_cast<int64_t>(piece.size() + separator.size()));
    if (std::exchange(begun, true))
      result += separator;
    result += piece;
  }
  return result;
}

/// The arguments behind the first `skip`.
Call behind(const Call &call, size_t skip) {
  Call rest = call;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<int64_t>(skip));
  return rest;
}

Value map(Context &c, const Value &value, const Arguments &a) {
  std::vector<Value> result;
  const Value *attribute = nullptr, *otherwise = nullptr;
  if (a.call.positional.empty())
    for (const auto &[name, argument] : a.call.named)
      if (name == "attribute")
        attribute = &argument;
      else if (name == "default")
        otherwise = &argument;
      else
        fail("filter 'map' has no argument '{}'", name);
  else if (!a.call.positional[0].isString())
    fail("filter 'map' needs a filter's name, got a {}", a.call.positional[0].kind());
  if (a.call.positional.empty() && !attribute)
    fail("filter 'map' needs a filter's name or an attribute");
  for (const Value &item : elements(value, c.budget)) {
    if (!attribute) {
      result.push_back(applyFilter(c, a.call.positional[0].text(), item, behind(a.call, 1)));
      continue;
    }
    Value found = path(c, item, *attribute);
    result.push_back(found.isUndefined() && otherwise ? *otherwise : found);
  }
  return Value::list(std::move(result));
}

/// select, reject, selectattr, rejectattr.
template <bool Keep, bool ByAttribute>
Value filtered(Context &c, const Value &value, const Arguments &a) {
  const auto &given = a.call.positional;
  if (ByAttribute && given.empty())
    fail("selectattr and rejectattr need an attribute's name");
  constexpr size_t at = ByAttribute ? 1 : 0;
  if (given.size() > at && !given[at].isString())
    fail("a test's name must be a str, got a {}", given[at].kind());
  std::vector<Value> result;
  for (const Value &item : elements(value, c.budget)) {
    Value tested = ByAttribute ? path(c, item, given[0]) : item;
    bool passes = given.size() > at ? applyTest(c, given[at].text(), tested, behind(a.call, at + 1))
                                    : tested.truth();
    if (passes == Keep)
      result.push_back(item);
  }
  return Value::list(std::move(result));
}

Value trim(Context &c, const Value &value, const Arguments &a) {
  return text(c, std::string(strip(strOf(c, value), Side::Both, a.textOrNone(0))));
}

Value replaceText(Context &c, const Value &value, const Arguments &a) {
  return replace(strOf(c, value), strOf(c, a[0]), strOf(c, a[1]), a.integer(2, -1), c.budget);
}

template <std::string (*Map)(std::string_view)>
Value mapped(Context &c, const Value &value, const Arguments &) {
  return text(c, Map(strOf(c, value)));
}

Value string(Context &c, const Value &value, const Arguments &) { return text(c, strOf(c, value)); }

Value indent(Context &c, const Value &value, const Arguments &a) {
  std::string margin;
  if (a.find(0) && a[0].isString())
    margin = a[0].text();
  else {
    int64_t width = std::max<int64_t>(a.integer(0, 4), 0);
    c.budget.bytes(width);
    margin.assign(width, ' ');
  }
  std::string result;
  bool isFirst = true;
  for (const Value &line : splitLines(strOf(c, value) + "\n", false)) {
    bool indented = isFirst ? a.flag(1, false) : a.flag(2, false) || !line.text().empty();
    c.budget.bytes(static_cast<int64_t>(margin.size() + line.text().size() + 1));
    result += isFirst ? "" : "\n";
    result += indented ? margin : "";
    result += line.text();
    isFirst = false;
  }
  return result;
}

/// What Python's int() and float() read: a number and nothing else.
template <typename T> std::optional<T> parsed(std::string_view given, int base = 10) {
  std::string plain;
  for (char ch : strip(given, Side::Both))
    if (ch != '_')
      plain += ch;
  std::string_view digits = plain;
  if (digits.starts_with('+'))
    digits.remove_prefix(1);
  T number{};
  std::from_chars_result end;
  if constexpr (std::is_integral_v<T>)
    end = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  else
    end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (end.ec != std::errc() || end.ptr != digits.data() + digits.size())
    return std::nullopt;
  return number;
}

int64_t truncated(double value) {
  if (!(value > -9.2e18 && value < 9.2e18))
    fail("{} is no int of 64 bits", floatText(value));
  return static_cast<int64_t>(value);
}

Value toInt(Context &, const Value &value, const Arguments &a) {
  int64_t base = a.integer(1, 10);
  if (base < 2 || base > 36)
    fail("the base of 'int' must be 2 to 36, got {}", base);
  if (value.isNumber())
    return value.isFloat() ? truncated(value.number()) : value.integer();
  if (value.isString()) {
    if (auto number = parsed<int64_t>(value.text(), static_cast<int>(base)))
      return *number;
    if (auto number = parsed<double>(value.text()); number && std::isfinite(*number))
      return truncated(*number);
  }
  value.requireDefined();
  return a.find(0) ? a[0] : Value(0);
}

Value toFloat(Context &, const Value &value, const Arguments &a) {
  if (value.isNumber())
    return value.number();
  if (value.isString())
    if (auto number = parsed<double>(value.text()))
      return *number;
  value.requireDefined();
  return a.find(0) ? a[0] : Value(0.0);
}

Value absolute(Context &, const Value &value, const Arguments &) {
  if (!value.isNumber())
    fail("filter 'abs' needs a number, got a {}", value.kind());
  if (value.isFloat())
    return std::fabs(value.number());
  return value.integer() < 0 ? negative(value) : Value(value.integer());
}

Value round(Context &, const Value &value, const Arguments &a) {
  int64_t digits = a.integer(0, 0);
  std::string method = a.find(1) ? a.text(1) : "common";
  if (!value.isNumber() || digits < 0 || digits > 15)
    fail("filter 'round' needs a number and 0 to 15 digits");
  double scale = std::pow(10.0, static_cast<double>(digits)), scaled = value.number() * scale;
  if (method == "ceil")
    return std::ceil(scaled) / scale;
  if (method == "floor")
    return std::floor(scaled) / scale;
  if (method != "common")
    fail("filter 'round' knows the methods common, ceil and floor, got '{}'", method);
  if (!std::isfinite(value.number()))
    return value.number();
  // As Python: the decimal nearest to the exact value, halves to even.
  return *parsed<double>(fmt::format("{:.{}f}", value.number(), digits));
}

Value tojson(Context &c, const Value &value, const Arguments &a) {
  JsonStyle style;
  style.ascii = a.flag(0, false);
  style.sortKeys = a.flag(3, false);
  std::string margin;
  if (a.find(1) && !a[1].isNone()) {
    if (a[1].isString()) {
      margin = a[1].text();
    } else {
      int64_t width = std::max<int64_t>(a.integer(1, 0), 0);
      c.budget.bytes(width);
      margin.assign(width, ' ');
    }
    style.indent = &margin;
    style.itemSeparator = ",";
  }
  if (a.find(2) && !a[2].isNone()) {
    auto separators = elements(a[2], c.budget);
    if (separators.size() != 2 || !separators[0].isString() || !separators[1].isString())
      fail("'separators' of tojson are two texts");
    style.itemSeparator = separators[0].text();
    style.keySeparator = separators[1].text();
  }
  return toJson(value, style, c.budget);
}

const Builtins filters = {
    {"abs", {"", absolute}},
    {"capitalize", {"", mapped<capitalize>}},
    {"count", {"", length}},
    {"d", {"default_value? boolean?", byDefault}},
    {"default", {"default_value? boolean?", byDefault}},
    {"dictsort", {"case_sensitive? by? reverse?", dictsort}},
    {"first", {"", first}},
    {"float", {"default?", toFloat}},
    {"indent", {"width? first? blank?", indent}},
    {"int", {"default? base?", toInt}},
    {"items", {"", items}},
    {"join", {"d? attribute?", join}},
    {"last", {"", last}},
    {"length", {"", length}},
    {"list", {"", toList}},
    {"lower", {"", mapped<lower>}},
    {"map", {"*", map}},
    {"max", {"case_sensitive? attribute?", extreme<true>}},
    {"min", {"case_sensitive? attribute?", extreme<false>}},
    {"reject", {"*", filtered<false, false>}},
    {"rejectattr", {"*", filtered<false, true>}},
    {"replace", {"old new count?", replaceText}},
    {"reverse", {"", reverse}},
    {"round", {"precision? method?", round}},
    {"safe", {"", string}}, // nothing is escaped anyway
    {"select", {"*", filtered<true, false>}},
    {"selectattr", {"*", filtered<true, true>}},
    {"sort", {"reverse? case_sensitive? attribute?", sort}},
    {"string", {"", string}},
    {"sum", {"attribute? start?", sum}},
    {"title", {"", mapped<titleOfFilter>}},
    {"tojson", {"ensure_ascii? indent? separators? sort_keys?", tojson}},
    {"trim", {"chars?", trim}},
    {"unique", {"case_sensitive? attribute?", unique}},
    {"upper", {"", mapped<upper>}},
};

} // namespace

Value applyFilter(Context &context, const std::string &name, const Value &value, const Call &call) {
  auto found = filters.find(name);
  if (found == filters.end())
    failUnknown("filter", name, filters);
  return callBuiltin(context, "filter", name, found->second, value, call);
}

} // namespace lmc::chat
