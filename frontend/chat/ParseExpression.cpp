#include "frontend/chat/ParseExpression.h"

#include <algorithm>

namespace lmc::chat {

ExpressionPtr ExpressionParser::make(Expression::Kind kind, Place place) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->place = place;
  return node;
}

ExpressionPtr ExpressionParser::add(ExpressionPtr node, ExpressionPtr operand) const {
  if (operand) {
    node->nesting = std::max(node->nesting, operand->nesting + 1);
    if (node->nesting > maxNesting * 2)
      error("the expression is nested more than {} deep", maxNesting * 2);
  }
  node->operands.push_back(std::move(operand));
  return node;
}

ExpressionPtr ExpressionParser::binary(std::string_view op, Place place, ExpressionPtr left,
                                       ExpressionPtr right) const {
  auto node = make(Expression::Binary, place);
  node->text = op;
  return add(add(std::move(node), std::move(left)), std::move(right));
}

ExpressionPtr ExpressionParser::expression() {
  Level deeper(*this);
  Place place = peek().place;
  ExpressionPtr value = disjunction();
  while (skipName("if")) {
    auto choice = add(make(Expression::Choice, place), std::move(value));
    choice = add(std::move(choice), disjunction());
    value = add(std::move(choice), skipName("else") ? expression() : nullptr);
  }
  return value;
}

template <typename Next>
ExpressionPtr ExpressionParser::chain(Names operators, Token::Kind kind, Next next) {
  ExpressionPtr left = next();
  while (peek().kind == kind && std::ranges::find(operators, peek().text) != operators.end()) {
    const Token &op = take();
    left = binary(op.text, op.place, std::move(left), next());
  }
  return left;
}

ExpressionPtr ExpressionParser::disjunction() {
  return chain({"or"}, Token::Name, [&] { return conjunction(); });
}

ExpressionPtr ExpressionParser::conjunction() {
  return chain({"and"}, Token::Name, [&] { return negation(); });
}

ExpressionPtr ExpressionParser::negation() {
  if (!isName("not"))
    return comparison();
  Level deeper(*this);
  return unaryNode(take(), negation());
}

ExpressionPtr ExpressionParser::unaryNode(const Token &op, ExpressionPtr operand) const {
  auto node = make(Expression::Unary, op.place);
  node->text = op.text;
  return add(std::move(node), std::move(operand));
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr left = sum();
  ExpressionPtr node;
  while (true) {
    Place place = peek().place;
    std::string op;
    constexpr std::string_view comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
    if (peek().kind == Token::Operator &&
        std::ranges::find(comparisons, peek().text) != std::end(comparisons))
      op = take().text;
    else if (skipName("in"))
      op = "in";
    else if (isName("not") && peek(1).is(Token::Name, "in"))
      take(), take(), op = "not in";
    else
      return node ? std::move(node) : std::move(left);
    if (!node)
      node = add(make(Expression::Compare, place), std::move(left));
    node->comparisons.push_back(std::move(op));
    node = add(std::move(node), sum());
  }
}

ExpressionPtr ExpressionParser::sum() {
  return chain({"+", "-"}, Token::Operator, [&] { return concatenation(); });
}

ExpressionPtr ExpressionParser::concatenation() {
  return chain({"~"}, Token::Operator, [&] { return product(); });
}

ExpressionPtr ExpressionParser::product() {
  return chain({"*", "/", "//", "%"}, Token::Operator, [&] { return power(); });
}

ExpressionPtr ExpressionParser::power() {
  return chain({"**"}, Token::Operator, [&] { return unary(true); });
}

ExpressionPtr ExpressionParser::unary(bool withFilters) {
  Level deeper(*this);
  ExpressionPtr node;
  if (isOperator("-") || isOperator("+")) {
    const Token &sign = take();
    node = unaryNode(sign, unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return withFilters ? filters(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::constant(Value value, Place place) const {
  auto node = make(Expression::Constant, place);
  node->value = std::move(value);
  return node;
}

ExpressionPtr ExpressionParser::primary() {
  const Token &token = peek();
  switch (token.kind) {
  case Token::Name: {
    take();
    if (token.text == "true" || token.text == "True" || token.text == "false" ||
        token.text == "False")
      return constant(token.text == "true" || token.text == "True", token.place);
    if (token.text == "none" || token.text == "None")
      return constant(Value(), token.place);
    auto node = make(Expression::Name, token.place);
    node->text = token.text;
    return node;
  }
  case Token::String: {
    std::string text;
    while (peek().kind == Token::String)
      text += take().text;
    return constant(std::move(text), token.place);
  }
  case Token::Integer:
    return constant(take().integer, token.place);
  case Token::Float:
    return constant(take().number, token.place);
  default:
    break;
  }
  if (skipOperator("(")) {
    if (skipOperator(")"))
      return make(Expression::Tuple, token.place);
    ExpressionPtr inner = tuple();
    expectOperator(")");
    return inner;
  }
  if (skipOperator("[")) {
    auto list = make(Expression::List, token.place);
    while (!isOperator("]")) {
      list = add(std::move(list), expression());
      if (!skipOperator(","))
        break;
    }
    expectOperator("]");
    return list;
  }
  if (skipOperator("{"))
    return dict(token.place);
  error("expected a value, got {}", token.describe());
}

ExpressionPtr ExpressionParser::dict(Place place) {
  auto node = make(Expression::Dict, place);
  while (!isOperator("}")) {
    node = add(std::move(node), expression());
    expectOperator(":");
    node = add(std::move(node), expression());
    if (!skipOperator(","))
      break;
  }
  expectOperator("}");
  return node;
}

ExpressionPtr ExpressionParser::tuple(bool conditional) {
  Place place = peek().place;
  auto next = [&] { return conditional ? expression() : disjunction(); };
  ExpressionPtr first = next();
  if (!isOperator(","))
    return first;
  auto node = add(make(Expression::Tuple, place), std::move(first));
  while (skipOperator(",")) {
    if (isOperator(")") || isOperator("=") || peek().kind == Token::BlockEnd ||
        peek().kind == Token::VariableEnd)
      break;
    node = add(std::move(node), next());
  }
  return node;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    Place place = peek().place;
    if (skipOperator(".")) {
      if (peek().kind == Token::Integer) { // x.0
        auto subscript = add(make(Expression::Subscript, place), std::move(node));
        node = add(std::move(subscript), constant(take().integer, place));
        continue;
      }
      auto attribute = add(make(Expression::Attribute, place), std::move(node));
      attribute->text = name("a name behind '.'");
      node = std::move(attribute);
    } else if (skipOperator("[")) {
      node = subscript(std::move(node), place);
    } else if (isOperator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr of, Place place) {
  ExpressionPtr parts[3];
  bool isSlice = false;
  for (int i = 0; i < 3; ++i) {
    if (!isOperator(":") && !isOperator("]"))
      parts[i] = expression();
    if (i == 2 || !skipOperator(":"))
      break;
    isSlice = true;
  }
  if (isOperator(","))
    error("a subscript with several values is not supported");
  if (!isSlice && !parts[0])
    error("expected a value between '[' and ']'");
  expectOperator("]");
  auto node = add(make(isSlice ? Expression::Slice : Expression::Subscript, place), std::move(of));
  for (int i = 0; i < (isSlice ? 3 : 1); ++i)
    node = add(std::move(node), std::move(parts[i]));
  return node;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr function) {
  auto node = add(make(Expression::Call, peek().place), std::move(function));
  arguments(*node);
  return node;
}

void ExpressionParser::arguments(Expression &node) {
  expectOperator("(");
  while (!isOperator(")")) {
    if (isOperator("*") || isOperator("**"))
      error("'{}' in arguments is not supported", peek().text);
    Argument argument;
    if (peek().kind == Token::Name && peek(1).is(Token::Operator, "="))
      argument.name = take().text, take();
    else if (!node.arguments.empty() && !node.arguments.back().name.empty())
      error("a positional argument behind a named one");
    argument.value = expression();
    node.nesting = std::max(node.nesting, argument.value->nesting + 1);
    node.arguments.push_back(std::move(argument));
    if (!skipOperator(","))
      break;
  }
  expectOperator(")");
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node) {
  while (true) {
    if (isOperator("|"))
      node = filter(std::move(node));
    else if (isName("is"))
      node = test(std::move(node));
    else if (isOperator("("))
      node = call(std::move(node));
    else
      return node;
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr of) {
  Place place = take().place;
  auto node = add(make(Expression::Filter, place), std::move(of));
  node->text = name("a filter's name");
  if (isOperator("("))
    arguments(*node);
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr of) {
  const Token &is = take();
  bool negated = skipName("not");
  auto node = add(make(Expression::Test, is.place), std::move(of));
  node->text = name("a test's name");
  constexpr std::string_view behind[] = {"else", "or", "and", "if", "is"};
  bool isValue =
      peek().kind == Token::String || peek().kind == Token::Integer ||
      peek().kind == Token::Float || isOperator("[") || isOperator("{") ||
      (peek().kind == Token::Name && std::ranges::find(behind, peek().text) == std::end(behind));
  if (isOperator("(")) {
    arguments(*node);
  } else if (isValue) { // x is divisibleby 3
    ExpressionPtr argument = postfix(primary());
    node->nesting = std::max(node->nesting, argument->nesting + 1);
    node->arguments.push_back({"", std::move(argument)});
  } else if (isName("is")) {
    error("tests cannot be chained, write 'and' between them");
  }
  if (!negated)
    return node;
  auto negation = make(Expression::Unary, is.place);
  negation->text = "not";
  return add(std::move(negation), std::move(node));
}

} // namespace lmc::chat
