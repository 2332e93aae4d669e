// The expressions of a template.
#pragma once

#include "frontend/chat/Syntax.h"
#include "frontend/chat/TokenReader.h"

#include <initializer_list>

namespace lmc::chat {

/// Recursive descent, one function a level of precedence, as Jinja has them: or, and, not, comparisons,
/// + -, ~, * / // %, **, unary, then attributes, subscripts and calls, then filters and tests.
class ExpressionParser : protected TokenReader {
public:
  using TokenReader::TokenReader;

protected:
  using Names = std::initializer_list<std::string_view>;

  ExpressionPtr expression();
  /// One expression, or several with commas. `conditional`: whether `a if b` may stand there.
  ExpressionPtr tuple(bool conditional = true);
  ExpressionPtr filter(ExpressionPtr of);

private:
  ExpressionPtr make(Expression::Kind kind, Place place) const;
  /// Chains of operators nest to the left without recursion here, but not where they are evaluated.
  ExpressionPtr add(ExpressionPtr node, ExpressionPtr operand) const;
  ExpressionPtr binary(std::string_view op, Place place, ExpressionPtr left,
                       ExpressionPtr right) const;
  /// Operands that `next` reads, joined from left to right by any of these operators.
  template <typename Next> ExpressionPtr chain(Names operators, Token::Kind kind, Next next);
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr unaryNode(const Token &op, ExpressionPtr operand) const;
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool withFilters);
  ExpressionPtr constant(Value value, Place place) const;
  ExpressionPtr primary();
  ExpressionPtr dict(Place place);
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr of, Place place);
  ExpressionPtr call(ExpressionPtr function);
  void arguments(Expression &node);
  ExpressionPtr filters(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr of);
};

} // namespace lmc::chat
