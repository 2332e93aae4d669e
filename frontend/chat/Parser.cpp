// The statements of a template.
#include "frontend/chat/ParseExpression.h"

#include <algorithm>

namespace lmc::chat {
namespace {

class Parser : ExpressionParser {
public:
  using ExpressionParser::ExpressionParser;

  Body run() { return statements({}); }

private:
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

  int loops = 0;    // around here, that 'break' may leave
  int captures = 0; // macros, kept blocks
};

} // namespace

Body parse(std::string_view text) { return Parser(tokenize(text)).run(); }

} // namespace lmc::chat
