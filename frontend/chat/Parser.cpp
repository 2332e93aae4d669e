// Recursive descent, one function a level of precedence, as Jinja has them: or, and, not, comparisons,
// + -, ~, * / // %, **, unary, then attributes, subscripts and calls, then filters and tests.
#include "frontend/chat/Syntax.h"

#include <algorithm>
#include <initializer_list>

namespace lmc::chat {
namespace {

using Names = std::initializer_list<std::string_view>;

class Parser {
public:
  explicit Parser(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

  Body run() { return statements({}); }

private:
  // Tokens.
  const Token &peek(size_t ahead = 0) const {
    return tokens[std::min(at + ahead, tokens.size() - 1)];
  }
  const Token &take() {
    const Token &token = peek();
    at = std::min(at + 1, tokens.size() - 1);
    return token;
  }
  bool isName(std::string_view text) const { return peek().is(Token::Name, text); }
  bool isOperator(std::string_view text) const { return peek().is(Token::Operator, text); }
  bool skipName(std::string_view text) { return isName(text) && (take(), true); }
  bool skipOperator(std::string_view text) { return isOperator(text) && (take(), true); }
  void expectName(std::string_view text) {
    if (!skipName(text))
      error("expected '{}', got {}", text, peek().describe());
  }
  void expectOperator(std::string_view text) {
    if (!skipOperator(text))
      error("expected '{}', got {}", text, peek().describe());
  }
  void expect(Token::Kind kind, std::string_view what) {
    if (peek().kind != kind)
      error("expected {}, got {}", what, peek().describe());
    take();
  }
  std::string name(std::string_view what) {
    if (peek().kind != Token::Name)
      error("expected {}, got {}", what, peek().describe());
    return take().text;
  }

  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> text, Args &&...args) const {
    fail("{}:{}: {}", peek().place.line, peek().place.column,
         fmt::format(text, std::forward<Args>(args)...));
  }

  /// Counts how deep the parser recurses.
  class Level {
  public:
    explicit Level(Parser &parser) : parser(parser) {
      if (++parser.level > maxNesting * 2)
        parser.error("the template is nested more than {} deep", maxNesting * 2);
    }
    ~Level() { --parser.level; }

  private:
    Parser &parser;
  };

  // Expressions.
  ExpressionPtr make(Expression::Kind kind, Place place) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->place = place;
    return node;
  }
  /// Chains of operators nest to the left without recursion here, but not where they are evaluated.
  ExpressionPtr add(ExpressionPtr node, ExpressionPtr operand) const {
    if (operand) {
      node->nesting = std::max(node->nesting, operand->nesting + 1);
      if (node->nesting > maxNesting * 2)
        error("the expression is nested more than {} deep", maxNesting * 2);
    }
    node->operands.push_back(std::move(operand));
    return node;
  }
  ExpressionPtr binary(std::string_view op, Place place, ExpressionPtr left,
                       ExpressionPtr right) const {
    auto node = make(Expression::Binary, place);
    node->text = op;
    return add(add(std::move(node), std::move(left)), std::move(right));
  }

  ExpressionPtr expression() {
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

  /// Operands that `next` reads, joined from left to right by any of these operators.
  template <typename Next> ExpressionPtr chain(Names operators, Token::Kind kind, Next next) {
    ExpressionPtr left = next();
    while (peek().kind == kind && std::ranges::find(operators, peek().text) != operators.end()) {
      const Token &op = take();
      left = binary(op.text, op.place, std::move(left), next());
    }
    return left;
  }
  ExpressionPtr disjunction() {
    return chain({"or"}, Token::Name, [&] { return conjunction(); });
  }
  ExpressionPtr conjunction() {
    return chain({"and"}, Token::Name, [&] { return negation(); });
  }
  ExpressionPtr negation() {
    if (!isName("not"))
      return comparison();
    Level deeper(*this);
    return unaryNode(take(), negation());
  }
  ExpressionPtr unaryNode(const Token &op, ExpressionPtr operand) const {
    auto node = make(Expression::Unary, op.place);
    node->text = op.text;
    return add(std::move(node), std::move(operand));
  }
  ExpressionPtr comparison() {
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
  ExpressionPtr sum() {
    return chain({"+", "-"}, Token::Operator, [&] { return concatenation(); });
  }
  ExpressionPtr concatenation() {
    return chain({"~"}, Token::Operator, [&] { return product(); });
  }
  ExpressionPtr product() {
    return chain({"*", "/", "//", "%"}, Token::Operator, [&] { return power(); });
  }
  ExpressionPtr power() {
    return chain({"**"}, Token::Operator, [&] { return unary(true); });
  }
  ExpressionPtr unary(bool withFilters) {
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

  ExpressionPtr constant(Value value, Place place) const {
    auto node = make(Expression::Constant, place);
    node->value = std::move(value);
    return node;
  }

  ExpressionPtr primary() {
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

  ExpressionPtr dict(Place place) {
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

  /// One expression, or several with commas. `conditional`: whether `a if b` may stand there.
  ExpressionPtr tuple(bool conditional = true) {
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

  ExpressionPtr postfix(ExpressionPtr node) {
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

  ExpressionPtr subscript(ExpressionPtr of, Place place) {
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
    auto node =
        add(make(isSlice ? Expression::Slice : Expression::Subscript, place), std::move(of));
    for (int i = 0; i < (isSlice ? 3 : 1); ++i)
      node = add(std::move(node), std::move(parts[i]));
    return node;
  }

  ExpressionPtr call(ExpressionPtr function) {
    auto node = add(make(Expression::Call, peek().place), std::move(function));
    arguments(*node);
    return node;
  }

  void arguments(Expression &node) {
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

  ExpressionPtr filters(ExpressionPtr node) {
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

  ExpressionPtr filter(ExpressionPtr of) {
    Place place = take().place;
    auto node = add(make(Expression::Filter, place), std::move(of));
    node->text = name("a filter's name");
    if (isOperator("("))
      arguments(*node);
    return node;
  }

  ExpressionPtr test(ExpressionPtr of) {
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

  // Statements.
  /// Up to a tag that begins with one of these names, or the end of the template.
  Body statements(Names ends) {
    Level deeper(*this);
    Body body;
    while (true) {
      const Token &token = peek();
      if (token.kind == Token::Text) {
        Statement &text = push(body, Statement::Text, token.place);
        text.text = take().text;
      } else if (token.kind == Token::VariableBegin) {
        take();
        Statement &print = push(body, Statement::Print, token.place);
        print.value = tuple();
        expect(Token::VariableEnd, "'}}'");
      } else if (token.kind == Token::End ||
                 (peek(1).kind == Token::Name &&
                  std::ranges::find(ends, peek(1).text) != ends.end())) {
        return body;
      } else {
        take();
        block(body, token.place);
      }
    }
  }

  static Statement &push(Body &body, Statement::Kind kind, Place place) {
    Statement &statement = body.emplace_back();
    statement.kind = kind;
    statement.place = place;
    return statement;
  }

  /// A body behind '%}', up to its end tag, of which the first name is taken.
  std::string bodyUntil(Body &body, Names ends, std::string_view of, Place place) {
    expect(Token::BlockEnd, "'%}'");
    body = statements(ends);
    if (peek().kind == Token::End)
      fail("{}:{}: '{}' is not closed, '{}' is missing", place.line, place.column, of,
           *(ends.end() - 1));
    take();
    return take().text;
  }

  void block(Body &body, Place place) {
    std::string tag = name("a statement's name");
    if (tag == "if")
      ifBlock(push(body, Statement::If, place));
    else if (tag == "for")
      forBlock(push(body, Statement::For, place));
    else if (tag == "set")
      setBlock(push(body, Statement::Set, place));
    else if (tag == "macro")
      macroBlock(push(body, Statement::DefineMacro, place));
    else if (tag == "generation") {
      Statement &statement = push(body, Statement::Generation, place);
      captured([&] { bodyUntil(statement.body, {"endgeneration"}, tag, place); });
    } else if (tag == "break" || tag == "continue") {
      if (loops == 0)
        fail("{}:{}: '{}' outside a loop", place.line, place.column, tag);
      push(body, tag == "break" ? Statement::Break : Statement::Continue, place);
    } else if (tag.starts_with("end") || tag == "else" || tag == "elif") {
      fail("{}:{}: '{}' ends nothing here", place.line, place.column, tag);
    } else {
      fail("{}:{}: the statement '{}' is not supported (if, for, set, macro, generation, break, "
           "continue "
           "and raw are)",
           place.line, place.column, tag);
    }
    expect(Token::BlockEnd, "'%}'");
  }

  /// A body whose text is kept: loops outside of it cannot be left from there.
  template <typename Read> void captured(Read read) {
    int outside = std::exchange(loops, 0);
    ++captures;
    read();
    --captures;
    loops = outside;
  }

  void ifBlock(Statement &statement) {
    std::string end = "elif";
    while (end == "elif") {
      auto &[condition, body] = statement.branches.emplace_back();
      condition = tuple(false);
      end = bodyUntil(body, {"elif", "else", "endif"}, "if", statement.place);
    }
    if (end == "else")
      bodyUntil(statement.otherwise, {"endif"}, "if", statement.place);
  }

  void forBlock(Statement &statement) {
    statement.target = target(false);
    expectName("in");
    statement.value = tuple(false);
    if (skipName("if"))
      statement.condition = expression();
    if (isName("recursive"))
      error("recursive loops are not supported");
    ++loops;
    std::string end = bodyUntil(statement.body, {"else", "endfor"}, "for", statement.place);
    --loops;
    if (end == "else")
      bodyUntil(statement.otherwise, {"endfor"}, "for", statement.place);
  }

  void setBlock(Statement &statement) {
    statement.target = target(true);
    if (skipOperator("=")) {
      statement.value = tuple();
      return;
    }
    statement.kind = Statement::SetBlock;
    if (!statement.target.parts.empty())
      error("a block 'set' has one name, not several");
    while (isOperator("|"))
      statement.value = filter(std::move(statement.value));
    captured([&] { bodyUntil(statement.body, {"endset"}, "set", statement.place); });
  }

  void macroBlock(Statement &statement) {
    if (captures > 0 || loops > 0)
      fail("{}:{}: a macro inside a loop, a macro or a block that is kept is not supported, define "
           "it outside",
           statement.place.line, statement.place.column);
    statement.macro = std::make_unique<Macro>();
    Macro &macro = *statement.macro;
    macro.name = name("the macro's name");
    expectOperator("(");
    while (!isOperator(")")) {
      Macro::Parameter parameter{name("a parameter's name"), nullptr};
      if (skipOperator("="))
        parameter.byDefault = expression();
      else if (!macro.parameters.empty() && macro.parameters.back().byDefault)
        error("a parameter without a default behind one that has one");
      macro.parameters.push_back(std::move(parameter));
      if (!skipOperator(","))
        break;
    }
    expectOperator(")");
    captured([&] { bodyUntil(macro.body, {"endmacro"}, "macro", statement.place); });
    if (peek().kind == Token::Name) // {% endmacro name %}
      take();
  }

  Target target(bool attributes) {
    Target first = oneTarget(attributes);
    if (!isOperator(","))
      return first;
    Target all;
    all.place = first.place;
    all.parts.push_back(std::move(first));
    while (skipOperator(",")) {
      if (isName("in") || isOperator("=") || isOperator(")"))
        break;
      all.parts.push_back(oneTarget(attributes));
    }
    return all;
  }

  Target oneTarget(bool attributes) {
    Level deeper(*this);
    Place place = peek().place;
    if (skipOperator("(")) {
      Target inner = target(attributes);
      expectOperator(")");
      return inner;
    }
    Target result;
    result.place = place;
    result.name = name("a name to assign to");
    constexpr std::string_view fixed[] = {"true", "True", "false", "False", "none", "None", "loop"};
    if (std::ranges::find(fixed, result.name) != std::end(fixed))
      fail("{}:{}: '{}' cannot be assigned to", place.line, place.column, result.name);
    if (attributes && skipOperator("."))
      result.attribute = name("an attribute's name");
    return result;
  }

  std::vector<Token> tokens;
  size_t at = 0;
  int level = 0;
  int loops = 0;    // around here, that 'break' may leave
  int captures = 0; // macros, kept blocks
};

} // namespace

Body parse(std::string_view text) { return Parser(tokenize(text)).run(); }

} // namespace lmc::chat
