// The values of a template: Python's, as far as templates see them. All but a namespace are immutable,
// and neither namespaces, loops nor functions can be elements of others, so that there are no cycles.
#pragma once

#include "frontend/chat/Budget.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace lmc::chat {

class Value;
struct List;
struct Dict;
struct Namespace;
struct Loop;
struct Function;

/// What a name, an attribute or an element that is not there gives: prints as nothing, is false, and
/// fails wherever more is asked of it.
struct Undefined {
  std::shared_ptr<const std::string> what; ///< "'message' is undefined"
  bool operator==(const Undefined &) const { return true; }
};
struct None {
  bool operator==(const None &) const = default;
};

class Value {
public:
  using Storage = std::variant<None, Undefined, bool, int64_t, double,
                               std::shared_ptr<const std::string>, std::shared_ptr<const List>,
                               std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                               std::shared_ptr<const Loop>, std::shared_ptr<const Function>>;

  Value() = default; ///< none
  Value(std::string text) : storage(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char *text) : Value(std::string(text)) {}
  template <typename T>
    requires(std::is_arithmetic_v<T>)
  Value(T number) {
    if constexpr (std::is_same_v<T, bool>)
      storage = number;
    else if constexpr (std::is_integral_v<T>)
      storage = static_cast<int64_t>(number);
    else
      storage = static_cast<double>(number);
  }
  explicit Value(Storage storage) : storage(std::move(storage)) {}
  /// Throw Error where containers nest too deeply or hold what they must not.
  static Value list(std::vector<Value> items, bool tuple = false);
  static Value
  dict(std::vector<std::pair<std::string, Value>> items); ///< the last of equal keys counts
  static Value undefined(std::string what);

  bool isNone() const { return is<None>(); }
  bool isUndefined() const { return is<Undefined>(); }
  bool isString() const { return is<std::shared_ptr<const std::string>>(); }
  bool isBool() const { return is<bool>(); }
  bool isInteger() const { return is<int64_t>(); } ///< no bool
  bool isFloat() const { return is<double>(); }
  bool isNumber() const { return isBool() || isInteger() || isFloat(); }
  bool isList() const { return is<std::shared_ptr<const List>>(); } ///< or a tuple
  bool isDict() const { return is<std::shared_ptr<const Dict>>(); }
  bool isFunction() const { return is<std::shared_ptr<const Function>>(); }

  /// Only where the kind is known.
  const std::string &text() const { return *std::get<std::shared_ptr<const std::string>>(storage); }
  const List &list() const { return *std::get<std::shared_ptr<const List>>(storage); }
  const Dict &dict() const { return *std::get<std::shared_ptr<const Dict>>(storage); }
  const Function &function() const { return *std::get<std::shared_ptr<const Function>>(storage); }
  int64_t integer() const {
    return isBool() ? std::get<bool>(storage) : std::get<int64_t>(storage);
  }
  double number() const {
    return isFloat() ? std::get<double>(storage) : static_cast<double>(integer());
  }

  /// Null for other kinds.
  Namespace *asNamespace() const;
  const Loop *asLoop() const;

  bool truth() const;
  std::string kind() const;    ///< as Python calls it, for messages: "str"
  int64_t shallowSize() const; ///< bytes of this value without those of its elements
  int nesting() const;         ///< 0 for anything but containers
  /// Fails with what is missing; others pass.
  void requireDefined() const;

  Storage storage;

private:
  template <typename T> bool is() const { return std::holds_alternative<T>(storage); }
};

struct List {
  std::vector<Value> items;
  bool tuple = false;
  int nesting = 1;
};

/// Keeps the order of insertion, as Python does.
struct Dict {
  std::vector<std::pair<std::string, Value>> items;
  std::unordered_map<std::string_view, size_t> index; ///< into items; its keys are theirs
  int nesting = 1;
  const Value *find(std::string_view key) const;
};

struct Namespace {
  std::unordered_map<std::string, Value> attributes;
};

/// The variable `loop`: where a for statement is.
struct Loop {
  std::shared_ptr<const std::vector<Value>> items;
  size_t index = 0;
  Value attribute(std::string_view name) const;
};

/// The arguments of a call.
struct Call {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Context;
struct Function {
  std::string name;
  std::function<Value(Context &, const Call &)> run;
};

/// Python's ==: numbers by value, containers element by element, dicts in any order.
bool equal(const Value &a, const Value &b, Budget &budget);
/// Python's <; Error for kinds that have no order between them.
bool less(const Value &a, const Value &b, Budget &budget);
/// Python's `item in container`.
bool contains(const Value &container, const Value &item, Budget &budget);
/// What a for statement goes over: elements, keys, characters; nothing of what is undefined.
std::vector<Value> elements(const Value &value, Budget &budget);

} // namespace lmc::chat
