// What the parsers of expressions and of statements read a template's tokens with.
#pragma once

#include "frontend/chat/Lexer.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmc::chat {

/// Every failure is an Error "LINE:COLUMN: ..." at the next token.
class TokenReader {
public:
  explicit TokenReader(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

protected:
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
    explicit Level(TokenReader &reader) : reader(reader) {
      if (++reader.level > maxNesting * 2)
        reader.error("the template is nested more than {} deep", maxNesting * 2);
    }
    ~Level() { --reader.level; }

  private:
    TokenReader &reader;
  };

private:
  std::vector<Token> tokens; // the last one is End, which is never passed
  size_t at = 0;
  int level = 0;
};

} // namespace lmc::chat
