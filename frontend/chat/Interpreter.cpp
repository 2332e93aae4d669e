#include "frontend/chat/Interpreter.h"

#include "frontend/chat/Text.h"

#include <algorithm>

namespace lmc::chat {

/// Counts recursion, whatever it goes through, and steps.
class Interpreter::Level {
public:
  Level(Interpreter &self, Place place) : self(self) {
    self.place = place;
    self.budget.step();
    if (++self.level > self.budget.limits.depth) {
      --self.level;
      fail("the template recurses more than {} deep", self.budget.limits.depth);
    }
  }
  ~Level() { --self.level; }

private:
  Interpreter &self;
};

Interpreter::Interpreter(const Value &variables, const Limits &limits, std::time_t now)
    : Context(limits, now) {
  for (const auto &[name, value] : variables.dict().items)
    top.names.emplace(name, value);
}

std::string Interpreter::run(const Body &body) {
  execute(body);
  return std::move(output);
}

void Interpreter::print(std::string_view text) {
  if (out != &output)
    budget.bytes(static_cast<int64_t>(text.size()));
  else if (static_cast<int64_t>(output.size() + text.size()) > budget.limits.output)
    fail("the rendered text has more than {} bytes", budget.limits.output);
  *out += text;
}

Interpreter::Flow Interpreter::execute(const Body &body) {
  for (const Statement &statement : body)
    if (Flow flow = execute(statement); flow != Flow::Next)
      return flow;
  return Flow::Next;
}

Interpreter::Flow Interpreter::execute(const Statement &statement) {
  Level deeper(*this, statement.place);
  switch (statement.kind) {
  case Statement::Text:
    print(statement.text);
    break;
  case Statement::Print: {
    Value value = evaluate(statement.value);
    place = statement.place;
    print(str(value, budget));
    break;
  }
  case Statement::If:
    return choose(statement);
  case Statement::For:
    return loop(statement);
  case Statement::Set:
    assign(statement.target, evaluate(statement.value));
    break;
  case Statement::SetBlock: {
    Frame inner{frame, {}};
    Value kept = captured(statement.body, inner);
    if (statement.value)
      kept = filterKept(*statement.value, std::move(kept));
    assign(statement.target, kept);
    break;
  }
  case Statement::DefineMacro: {
    auto run = [this, defined = statement.macro.get()](Context &, const Call &call) {
      return macro(*defined, call);
    };
    frame->names[statement.macro->name] =
        Value(Value::Storage(std::make_shared<const Function>(statement.macro->name, run)));
    break;
  }
  case Statement::Generation: {
    Frame inner{frame, {}};
    print(captured(statement.body, inner));
    break;
  }
  case Statement::Break:
    return Flow::Break;
  case Statement::Continue:
    return Flow::Continue;
  }
  return Flow::Next;
}

Interpreter::Flow Interpreter::choose(const Statement &statement) {
  for (const auto &[condition, body] : statement.branches)
    if (evaluate(condition).truth())
      return execute(body);
  return execute(statement.otherwise);
}

Interpreter::Flow Interpreter::loop(const Statement &statement) {
  Value over = evaluate(statement.value);
  place = statement.place;
  std::vector<Value> items = elements(over, budget);
  Frame *outer = frame;
  if (statement.condition)
    std::erase_if(items, [&](const Value &item) {
      Frame inner{outer, {}};
      frame = &inner;
      assign(statement.target, item);
      bool keep = evaluate(statement.condition).truth();
      frame = outer;
      return !keep;
    });
  auto all = std::make_shared<const std::vector<Value>>(std::move(items));
  bool finishedOne =
      false; // as in Jinja, 'else' also follows where 'continue' or 'break' left each turn
  for (size_t i = 0; i < all->size(); ++i) {
    Frame inner{outer, {}};
    frame = &inner;
    inner.names["loop"] = Value(Value::Storage(std::make_shared<const Loop>(all, i)));
    assign(statement.target, (*all)[i]);
    Flow flow = execute(statement.body);
    frame = outer;
    finishedOne |= flow == Flow::Next;
    if (flow == Flow::Break)
      break;
  }
  return finishedOne ? Flow::Next : execute(statement.otherwise);
}

/// What a body prints, with names of its own.
std::string Interpreter::captured(const Body &body, Frame &inner) {
  std::string text;
  Frame *outer = std::exchange(frame, &inner);
  std::string *outside = std::exchange(out, &text);
  execute(body);
  frame = outer;
  out = outside;
  return text;
}

void Interpreter::assign(const Target &target, const Value &value) {
  budget.step();
  place = target.place;
  if (!target.parts.empty()) {
    std::vector<Value> parts = elements(value, budget);
    if (parts.size() != target.parts.size())
      fail("{} names get {} values", target.parts.size(), parts.size());
    for (size_t i = 0; i < parts.size(); ++i)
      assign(target.parts[i], parts[i]);
    return;
  }
  if (target.attribute.empty()) {
    frame->names[target.name] = value;
    return;
  }
  Value space = lookUp(target.name);
  if (!space.asNamespace())
    fail("'{}' is no namespace, so its '{}' cannot be set", target.name, target.attribute);
  if (target.attribute.starts_with('_'))
    fail("attributes that begin with an underscore are out of reach");
  Value::list({value}); // what cannot be stored in a list cannot be here
  space.asNamespace()->attributes[target.attribute] = value;
}

/// Sees its parameters and the template's own names.
Value Interpreter::macro(const Macro &macro, const Call &call) {
  if (call.positional.size() > macro.parameters.size())
    fail("macro '{}' takes {} arguments, got {}", macro.name, macro.parameters.size(),
         call.positional.size());
  Frame inner{&top, {}};
  Frame *outer = std::exchange(frame, &inner);
  for (const auto &[name, value] : call.named) {
    auto known = std::ranges::find(macro.parameters, name, &Macro::Parameter::name);
    if (known == macro.parameters.end())
      fail("macro '{}' has no parameter '{}'", macro.name, name);
    inner.names[known->name] = value;
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto &parameter = macro.parameters[i];
    bool isNamed = inner.names.contains(parameter.name);
    if (i < call.positional.size() && isNamed)
      fail("macro '{}' got '{}' twice", macro.name, parameter.name);
    if (i < call.positional.size())
      inner.names[parameter.name] = call.positional[i];
    else if (!isNamed)
      inner.names[parameter.name] =
          parameter.byDefault
              ? evaluate(parameter.byDefault)
              : Value::undefined(fmt::format("parameter '{}' was not given", parameter.name));
  }
  frame = outer;
  return captured(macro.body, inner);
}

Value Interpreter::lookUp(const std::string &name) {
  for (Frame *at = frame; at; at = at->outer)
    if (auto found = at->names.find(name); found != at->names.end())
      return found->second;
  if (auto function = findFunction(name))
    return *function;
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Value Interpreter::evaluate(const Expression &node) {
  Level deeper(*this, node.place);
  auto operand = [&](size_t i) { return evaluate(node.operands[i]); };
  auto operands = [&](bool tuple) {
    std::vector<Value> items;
    for (const ExpressionPtr &item : node.operands)
      items.push_back(evaluate(item));
    place = node.place;
    budget.bytes(static_cast<int64_t>(items.size() * sizeof(Value)));
    return Value::list(std::move(items), tuple);
  };
  switch (node.kind) {
  case Expression::Constant:
    return node.value;
  case Expression::Name:
    return lookUp(node.text);
  case Expression::List:
    return operands(false);
  case Expression::Tuple:
    return operands(true);
  case Expression::Dict:
    return dict(node);
  case Expression::Unary: {
    Value value = operand(0);
    place = node.place;
    if (node.text == "not")
      return !value.truth();
    return node.text == "-" ? negative(value) : arithmetic("+", 0, value, *this);
  }
  case Expression::Binary:
    return binary(node);
  case Expression::Compare:
    return compare(node);
  case Expression::Choice:
    if (operand(1).truth())
      return operand(0);
    return node.operands[2] ? operand(2) : Value::undefined("the expression has no 'else'");
  case Expression::Attribute: {
    Value of = operand(0);
    place = node.place;
    return attributeOf(of, node.text);
  }
  case Expression::Subscript: {
    Value of = operand(0), key = operand(1);
    place = node.place;
    return elementOf(of, key, *this);
  }
  case Expression::Slice: {
    Value of = operand(0), start = operand(1), stop = operand(2), step = operand(3);
    place = node.place;
    return sliceOf(of, start, stop, step, *this);
  }
  case Expression::Call:
    return call(node);
  case Expression::Filter:
    return filter(node, operand(0));
  case Expression::Test: {
    Value value = operand(0);
    Call given = arguments(node);
    place = node.place;
    return applyTest(*this, node.text, value, given);
  }
  }
  return {};
}

Value Interpreter::dict(const Expression &node) {
  std::vector<std::pair<std::string, Value>> items;
  for (size_t i = 0; i < node.operands.size(); i += 2) {
    Value key = evaluate(node.operands[i]);
    if (!key.isString())
      fail("keys of a dict are str here, got a {}", key.kind());
    items.emplace_back(key.text(), evaluate(node.operands[i + 1]));
  }
  place = node.place;
  Value result = Value::dict(std::move(items));
  budget.bytes(result.shallowSize());
  return result;
}

/// a < b <= c is a < b and b <= c.
Value Interpreter::compare(const Expression &node) {
  Value left = evaluate(node.operands[0]);
  for (size_t i = 0; i < node.comparisons.size(); ++i) {
    Value right = evaluate(node.operands[i + 1]);
    place = node.place;
    const std::string &op = node.comparisons[i];
    bool holds = op == "=="       ? equal(left, right, budget)
                 : op == "!="     ? !equal(left, right, budget)
                 : op == "in"     ? contains(right, left, budget)
                 : op == "not in" ? !contains(right, left, budget)
                 : op == "<"      ? less(left, right, budget)
                 : op == ">"      ? less(right, left, budget)
                 : op == "<="     ? !less(right, left, budget)
                                  : !less(left, right, budget);
    if (!holds)
      return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::binary(const Expression &node) {
  Value left = evaluate(node.operands[0]);
  if (node.text == "and")
    return left.truth() ? evaluate(node.operands[1]) : left;
  if (node.text == "or")
    return left.truth() ? left : evaluate(node.operands[1]);
  Value right = evaluate(node.operands[1]);
  place = node.place;
  return arithmetic(node.text, left, right, *this);
}

Call Interpreter::arguments(const Expression &node) {
  Call call;
  for (const Argument &argument : node.arguments) {
    Value value = evaluate(argument.value);
    if (argument.name.empty())
      call.positional.push_back(std::move(value));
    else
      call.named.emplace_back(argument.name, std::move(value));
  }
  return call;
}

Value Interpreter::call(const Expression &node) {
  Value function = evaluate(node.operands[0]);
  Call given = arguments(node);
  place = node.place;
  function.requireDefined();
  if (!function.isFunction())
    fail("a {} cannot be called", function.kind());
  return function.function().run(*this, given);
}

/// The filters of a block `set` are a chain whose first has no operand: the block.
Value Interpreter::filterKept(const Expression &node, Value kept) {
  Level deeper(*this, node.place);
  const ExpressionPtr &before = node.operands[0];
  return filter(node, before ? filterKept(*before, std::move(kept)) : std::move(kept));
}

Value Interpreter::filter(const Expression &node, const Value &value) {
  Call given = arguments(node);
  place = node.place;
  return applyFilter(*this, node.text, value, given);
}

} // namespace lmc::chat
