// The syntax tree of a template.
#pragma once

#include "frontend/chat/Lexer.h"
#include "frontend/chat/Value.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lmc::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
struct Statement;
using Body = std::vector<Statement>;

struct Argument {
  std::string name; ///< empty: positional
  ExpressionPtr value;
};

struct Expression {
  enum Kind {
    Constant,  ///< value
    Name,      ///< text
    List,      ///< operands
    Tuple,     ///< operands
    Dict,      ///< operands: key, value, key, value, ...
    Unary,     ///< text (not, -, +), operand 0
    Binary,    ///< text (and, or, +, ~, ...), operands 0 and 1
    Compare,   ///< operand 0, then one for each of `comparisons`
    Choice,    ///< operand 0 if operand 1 else operand 2, which may be missing
    Attribute, ///< operand 0 . text
    Subscript, ///< operand 0 [ operand 1 ]
    Slice,     ///< operand 0 [ 1 : 2 : 3 ], each of the three may be missing
    Call,      ///< operand 0 (arguments)
    Filter,    ///< operand 0 | text(arguments); in a block `set` operand 0 may be missing
    Test,      ///< operand 0 is text(arguments)
  };
  Kind kind;
  Place place;
  std::string text;
  Value value;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> comparisons;
  std::vector<Argument> arguments;
  int nesting = 1;
};

/// What is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name, attribute;
  std::vector<Target> parts;
  Place place;
};

struct Macro {
  struct Parameter {
    std::string name;
    ExpressionPtr byDefault; ///< null: undefined
  };
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};

struct Statement {
  enum Kind {
    Text,     ///< text
    Print,    ///< value
    If,       ///< branches: value, body, ...; otherwise
    For,      ///< target, value, condition or null; body, otherwise
    Set,      ///< target, value
    SetBlock, ///< target, body, filters in `value` or null
    DefineMacro,
    Generation, ///< body
    Break,
    Continue,
  };
  Kind kind;
  Place place;
  std::string text;
  Target target;
  ExpressionPtr value, condition;
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body body, otherwise;
  std::unique_ptr<Macro> macro;
};

/// Error "LINE:COLUMN: ..." for what is not understood.
Body parse(std::string_view text);

} // namespace lmc::chat
