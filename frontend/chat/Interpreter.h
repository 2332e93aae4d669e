// Walks a template's syntax tree.
#pragma once

#include "frontend/chat/Context.h"
#include "frontend/chat/Syntax.h"

#include <string>
#include <string_view>
#include <unordered_map>

namespace lmc::chat {

class Interpreter : public Context {
public:
  Interpreter(const Value &variables, const Limits &limits, std::time_t now);

  std::string run(const Body &body);
  Place place; ///< of what is evaluated, for errors

private:
  /// Names of the template, a loop's turn, a macro or a kept block; `if` has none of its own.
  struct Frame {
    Frame *outer = nullptr;
    std::unordered_map<std::string_view, Value> names;
  };
  class Level;
  enum class Flow { Next, Break, Continue };

  Flow execute(const Body &body);
  Flow execute(const Statement &statement);
  Flow choose(const Statement &statement);
  Flow loop(const Statement &statement);
  std::string captured(const Body &body, Frame &frame);
  void assign(const Target &target, const Value &value);
  Value macro(const Macro &macro, const Call &call);
  void print(std::string_view text);

  Value evaluate(const Expression &node);
  Value evaluate(const ExpressionPtr &node) { return node ? evaluate(*node) : Value(); }
  Value lookUp(const std::string &name);
  Value dict(const Expression &node);
  Value compare(const Expression &node);
  Value binary(const Expression &node);
  Value call(const Expression &node);
  Call arguments(const Expression &node);
  Value filter(const Expression &node, const Value &value);
  Value filterKept(const Expression &node, Value kept);

  Frame top;
  Frame *frame = &top;
  std::string output;
  std::string *out = &output;
  int level = 0;
};

} // namespace lmc::chat
