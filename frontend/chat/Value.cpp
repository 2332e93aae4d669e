#include "frontend/chat/Value.h"

#include "frontend/chat/Text.h"

#include <algorithm>

namespace lmc::chat {
namespace {

/// The nesting of a container that gets this element.
int nestingWith(const Value &item) {
  if (item.asNamespace() || item.asLoop() || item.isFunction())
    fail("a {} cannot be stored in another value", item.kind());
  if (item.nesting() >= maxNesting)
    fail("values are nested more than {} deep", maxNesting);
  return item.nesting() + 1;
}

} // namespace

Value Value::list(std::vector<Value> items, bool tuple) {
  int nesting = 1;
  for (const Value &item : items)
    nesting = std::max(nesting, nestingWith(item));
  return Value(Storage(std::make_shared<const List>(std::move(items), tuple, nesting)));
}

Value Value::dict(std::vector<std::pair<std::string, Value>> items) {
  auto dict = std::make_shared<Dict>();
  dict->items.reserve(items.size()); // keys stay where the index sees them
  for (auto &[key, value] : items) {
    dict->nesting = std::max(dict->nesting, nestingWith(value));
    if (auto known = dict->index.find(key); known != dict->index.end()) {
      dict->items[known->second].second = std::move(value);
      continue;
    }
    dict->items.emplace_back(std::move(key), std::move(value));
    dict->index.emplace(dict->items.back().first, dict->items.size() - 1);
  }
  return Value(Storage(std::shared_ptr<const Dict>(std::move(dict))));
}

Value Value::undefined(std::string what) {
  return Value(Storage(Undefined{std::make_shared<const std::string>(std::move(what))}));
}

Namespace *Value::asNamespace() const {
  auto *found = std::get_if<std::shared_ptr<Namespace>>(&storage);
  return found ? found->get() : nullptr;
}

const Loop *Value::asLoop() const {
  auto *found = std::get_if<std::shared_ptr<const Loop>>(&storage);
  return found ? found->get() : nullptr;
}

bool Value::truth() const {
  if (isNone() || isUndefined())
    return false;
  if (isNumber())
    return isFloat() ? number() != 0 : integer() != 0;
  if (isString())
    return !text().empty();
  if (isList())
    return !list().items.empty();
  return !isDict() || !dict().items.empty();
}

std::string Value::kind() const {
  static constexpr const char *names[] = {"none",      "undefined", "bool",    "int",
                                          "float",     "str",       "list",    "dict",
                                          "namespace", "loop",      "function"};
  static_assert(std::size(names) == std::variant_size_v<Storage>);
  return isList() && list().tuple ? "tuple" : names[storage.index()];
}

int64_t Value::shallowSize() const {
  if (isString())
    return static_cast<int64_t>(text().size() + sizeof(std::string));
  if (isList())
    return static_cast<int64_t>(list().items.size() * sizeof(Value) + sizeof(List));
  if (isDict()) // an entry, its place in the index, its key
    return static_cast<int64_t>(dict().items.size() * 3 * sizeof(std::pair<std::string, Value>) +
                                sizeof(Dict));
  return sizeof(Value);
}

int Value::nesting() const { return isList() ? list().nesting : isDict() ? dict().nesting : 0; }

void Value::requireDefined() const {
  if (auto *missing = std::get_if<Undefined>(&storage))
    fail("{}", *missing->what);
}

const Value *Dict::find(std::string_view key) const {
  auto found = index.find(key);
  return found == index.end() ? nullptr : &items[found->second].second;
}

Value Loop::attribute(std::string_view name) const {
  size_t length = items->size();
  if (name == "index")
    return index + 1;
  if (name == "index0")
    return index;
  if (name == "revindex")
    return length - index;
  if (name == "revindex0")
    return length - index - 1;
  if (name == "first")
    return index == 0;
  if (name == "last")
    return index + 1 == length;
  if (name == "length")
    return length;
  if (name == "previtem")
    return index > 0 ? (*items)[index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return index + 1 < length ? (*items)[index + 1] : Value::undefined("there is no next item");
  fail("loop.{} is not supported", name);
}

bool equal(const Value &a, const Value &b, Budget &budget) {
  budget.step();
  if (a.isNumber() && b.isNumber())
    return a.isFloat() || b.isFloat() ? a.number() == b.number() : a.integer() == b.integer();
  if (a.storage.index() != b.storage.index())
    return false;
  if (a.isString()) {
    budget.read(static_cast<int64_t>(std::min(a.text().size(), b.text().size())));
    return a.text() == b.text();
  }
  if (a.isList())
    return a.list().tuple == b.list().tuple &&
           std::ranges::equal(a.list().items, b.list().items,
                              [&](const Value &x, const Value &y) { return equal(x, y, budget); });
  if (a.isDict())
    return a.dict().items.size() == b.dict().items.size() &&
           std::ranges::all_of(a.dict().items, [&](const auto &item) {
             const Value *other = b.dict().find(item.first);
             return other && equal(item.second, *other, budget);
           });
  return a.storage == b.storage; // namespaces, loops and functions equal themselves alone
}

bool less(const Value &a, const Value &b, Budget &budget) {
  budget.step();
  a.requireDefined();
  b.requireDefined();
  if (a.isNumber() && b.isNumber())
    return a.isFloat() || b.isFloat() ? a.number() < b.number() : a.integer() < b.integer();
  if (a.isString() && b.isString()) {
    budget.read(static_cast<int64_t>(std::min(a.text().size(), b.text().size())));
    return a.text() < b.text(); // UTF-8 sorts as its code points do
  }
  if (!a.isList() || !b.isList() || a.list().tuple != b.list().tuple)
    fail("a {} and a {} have no order", a.kind(), b.kind());
  auto &x = a.list().items, &y = b.list().items;
  size_t common = std::min(x.size(), y.size()), i = 0;
  while (i < common && equal(x[i], y[i], budget))
    ++i;
  return i < common ? less(x[i], y[i], budget) : x.size() < y.size();
}

bool contains(const Value &container, const Value &item, Budget &budget) {
  if (container.isString()) {
    item.requireDefined();
    if (!item.isString())
      fail("'in' of a str needs a str, got a {}", item.kind());
    budget.read(static_cast<int64_t>(container.text().size()));
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.isList())
    return std::ranges::any_of(container.list().items,
                               [&](const Value &other) { return equal(item, other, budget); });
  if (container.isDict())
    return item.isString() && container.dict().find(item.text());
  if (container.isUndefined())
    return false;
  fail("a {} contains nothing that 'in' could find", container.kind());
}

std::vector<Value> elements(const Value &value, Budget &budget) {
  std::vector<Value> result;
  if (value.isList())
    result = value.list().items;
  else if (value.isDict())
    for (const auto &[key, item] : value.dict().items)
      result.push_back(key);
  else if (value.isString()) {
    budget.bytes(static_cast<int64_t>(value.text().size() * sizeof(Value) * 3));
    for (std::string_view character : characters(value.text()))
      result.push_back(character);
  } else if (!value.isUndefined())
    fail("a {} has no elements to go over", value.kind());
  budget.step(static_cast<int64_t>(result.size()));
  budget.bytes(static_cast<int64_t>(result.size() * sizeof(Value)));
  return result;
}

} // namespace lmc::chat
