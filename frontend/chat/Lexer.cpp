#include "frontend/chat/Lexer.h"

#include "frontend/chat/Text.h"
#include "frontend/tokenizer/Utf8.h"

#include <charconv>
#include <optional>

namespace lmc::chat {
namespace {

bool isNameStart(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Line ends as '\n', and without the last one.
std::string normalised(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r')
      result += text[i];
    else if (i + 1 == text.size() || text[i + 1] != '\n')
      result += '\n';
  if (result.ends_with('\n'))
    result.pop_back();
  return result;
}

class Lexer {
public:
  explicit Lexer(std::string_view given) : source(normalised(given)), text(source) {
    if (size_t valid = validUtf8Prefix(text); valid < text.size()) {
      advance(valid);
      error("the template is not valid UTF-8");
    }
  }

  std::vector<Token> run() {
    while (at < text.size())
      literal();
    push(Token::End);
    return std::move(tokens);
  }

private:
  [[noreturn]] void error(std::string_view what) const {
    fail("{}:{}: {}", place.line, place.column, what);
  }

  std::string_view rest() const { return text.substr(at); }

  void advance(size_t count) {
    for (size_t end = at + count; at < end; ++at)
      if (text[at] == '\n')
        ++place.line, place.column = 1;
      else
        ++place.column;
  }

  Token &push(Token::Kind kind, std::string_view value = {}) {
    tokens.push_back({kind, std::string(value), 0, 0, place});
    return tokens.back();
  }

  /// Where the next tag of any kind begins, or the end.
  size_t nextTag() const {
    for (size_t i = at; (i = text.find('{', i)) != std::string_view::npos; ++i)
      if (i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '%' || text[i + 1] == '#'))
        return i;
    return text.size();
  }

  /// Text up to the next tag, and that tag.
  void literal() {
    size_t begin = at, tag = nextTag();
    char kind = tag < text.size() ? text[tag + 1] : 0;
    char sign = tag + 2 < text.size() ? text[tag + 2] : 0;
    bool hasSign = kind && (sign == '-' || (sign == '+' && kind != '{'));
    pushText(text.substr(begin, tag - begin), kind, hasSign ? sign : 0);
    advance(tag - begin);
    if (!kind)
      return;
    if (kind == '#')
      return comment(2 + hasSign);
    if (kind == '%' && rawBlock(2 + hasSign))
      return;
    push(kind == '{' ? Token::VariableBegin : Token::BlockBegin);
    advance(2 + hasSign);
    expression(kind == '{');
  }

  void pushText(std::string_view piece, char kind, char sign) {
    if (sign == '-') {
      piece = strip(piece, Side::Right);
    } else if (sign != '+' && kind && kind != '{') { // lstrip_blocks
      size_t lineStart = piece.rfind('\n') + 1;      // npos + 1 is 0
      if ((lineStart > 0 || atLineStart) && strip(piece.substr(lineStart), Side::Right).empty())
        piece = piece.substr(0, lineStart);
    }
    if (!piece.empty())
      push(Token::Text, piece);
  }

  /// Behind a tag's end: "-" takes all white space, a block or comment one line end otherwise.
  void trimAfter(bool all, bool lineEnd) {
    size_t begin = at;
    if (all)
      advance(rest().size() - strip(rest(), Side::Left).size());
    else if (lineEnd && rest().starts_with('\n'))
      advance(1);
    atLineStart = at > begin && text[at - 1] == '\n';
  }

  void comment(size_t opening) {
    size_t end = text.find("#}", at + opening);
    if (end == std::string_view::npos)
      error("the comment is not closed, '#}' is missing");
    char sign = end > at + opening ? text[end - 1] : 0;
    advance(end + 2 - at);
    trimAfter(sign == '-', sign != '+');
  }

  /// A block tag that holds only `word`, at `from`: where it ends, and its sign there.
  struct WordTag {
    size_t end;
    char sign;
  };
  std::optional<WordTag> wordTag(size_t from, std::string_view word) const {
    size_t i = from;
    auto skip = [&] {
      while (i < text.size() && isBlank(text[i]))
        ++i;
    };
    skip();
    if (!text.substr(i).starts_with(word))
      return std::nullopt;
    i += word.size();
    skip();
    char sign = i < text.size() && (text[i] == '-' || text[i] == '+') ? text[i++] : 0;
    if (!text.substr(i).starts_with("%}"))
      return std::nullopt;
    return WordTag{i + 2, sign};
  }

  bool rawBlock(size_t opening) {
    auto begin = wordTag(at + opening, "raw");
    if (!begin)
      return false;
    Place start = place;
    advance(begin->end - at);
    trimAfter(begin->sign == '-', begin->sign != '+');
    for (size_t i = at; (i = text.find("{%", i)) != std::string_view::npos; ++i) {
      char sign = i + 2 < text.size() ? text[i + 2] : 0;
      bool hasSign = sign == '-' || sign == '+';
      auto end = wordTag(i + 2 + hasSign, "endraw");
      if (!end)
        continue;
      pushText(text.substr(at, i - at), '%', hasSign ? sign : 0);
      advance(end->end - at);
      trimAfter(end->sign == '-', end->sign != '+');
      return true;
    }
    place = start;
    error("the raw block is not closed, 'endraw' is missing");
  }

  /// Tokens up to the tag's end.
  void expression(bool isVariable) {
    std::string brackets; // those that are open
    while (true) {
      while (at < text.size() && isBlank(text[at]))
        advance(1);
      if (at == text.size())
        error(isVariable ? "'}}' is missing" : "'%}' is missing");
      if (brackets.empty() && tagEnd(isVariable))
        return;
      token(brackets);
    }
  }

  bool tagEnd(bool isVariable) {
    std::string_view end = isVariable ? "}}" : "%}";
    char sign = text[at] == '-' || (text[at] == '+' && !isVariable) ? text[at] : 0;
    if (!rest().substr(sign ? 1 : 0).starts_with(end))
      return false;
    push(isVariable ? Token::VariableEnd : Token::BlockEnd);
    advance(2 + (sign != 0));
    trimAfter(sign == '-', !isVariable && sign != '+');
    return true;
  }

  void token(std::string &brackets) {
    char c = text[at];
    if (isNameStart(c)) {
      size_t length = 1;
      while (at + length < text.size() &&
             (isNameStart(text[at + length]) || isDigit(text[at + length])))
        ++length;
      push(Token::Name, text.substr(at, length));
      return advance(length);
    }
    if (isDigit(c))
      return number();
    if (c == '"' || c == '\'')
      return string(c);
    constexpr std::string_view operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                              "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                              ">",  "<",  "=",  ".",  ":",  "|",  ","};
    for (std::string_view op : operators)
      if (rest().starts_with(op)) {
        bracket(op[0], brackets);
        push(Token::Operator, op);
        return advance(op.size());
      }
    error(fmt::format("'{}' is not understood here",
                      rest().substr(0, std::max<size_t>(utf8Length(rest()), 1))));
  }

  void bracket(char c, std::string &brackets) {
    if (c == '(' || c == '[' || c == '{')
      brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c != ')' && c != ']' && c != '}')
      return;
    if (brackets.empty() || brackets.back() != c)
      error(fmt::format("'{}' closes nothing{}", c,
                        brackets.empty() ? "" : fmt::format(", expected '{}'", brackets.back())));
    brackets.pop_back();
  }

  void number() {
    size_t end = at;
    bool isFloat = false;
    auto digits = [&] {
      while (end < text.size() &&
             (isDigit(text[end]) ||
              (text[end] == '_' && end + 1 < text.size() && isDigit(text[end + 1]))))
        ++end;
    };
    digits();
    if (end + 1 < text.size() && text[end] == '.' && isDigit(text[end + 1]))
      isFloat = true, ++end, digits();
    if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
      size_t power = end + 1;
      if (power < text.size() && (text[power] == '+' || text[power] == '-'))
        ++power;
      if (power < text.size() && isDigit(text[power]))
        isFloat = true, end = power, digits();
    }
    std::string plain;
    for (char c : text.substr(at, end - at))
      if (c != '_')
        plain += c;
    if (end < text.size() && isNameStart(text[end]))
      error(fmt::format("'{}' is no number that is understood", text.substr(at, end + 1 - at)));
    Token &token = push(isFloat ? Token::Float : Token::Integer, plain);
    auto parsed =
        isFloat ? std::from_chars(plain.data(), plain.data() + plain.size(), token.number).ec
                : std::from_chars(plain.data(), plain.data() + plain.size(), token.integer).ec;
    if (parsed != std::errc())
      error(fmt::format("the number {} is out of range", plain));
    advance(end - at);
  }

  void string(char quote) {
    Token &token = push(Token::String);
    size_t i = at + 1;
    while (i < text.size() && text[i] != quote)
      if (text[i] == '\\' && i + 1 < text.size())
        i = escape(i + 1, token.text);
      else
        token.text += text[i++];
    if (i >= text.size())
      error("the string is not closed");
    advance(i + 1 - at);
  }

  /// Appends what an escape stands for, as Python reads it; unknown ones stay. Returns its end.
  size_t escape(size_t i, std::string &out) const {
    char c = text[i];
    constexpr std::string_view letters = "nrtbfav\\'\"", values = "\n\r\t\b\f\a\v\\'\"";
    if (size_t found = letters.find(c); found != std::string_view::npos) {
      out += values[found];
      return i + 1;
    }
    if (c == '\n')
      return i + 1;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits || (c >= '0' && c <= '7')) {
      size_t begin = digits ? i + 1 : i, length = 0;
      uint32_t point = 0;
      auto isOctal = [](char d) { return d >= '0' && d <= '7'; };
      while (!digits && length < 3 && begin + length < text.size() && isOctal(text[begin + length]))
        ++length;
      std::string_view code = text.substr(begin, digits ? digits : length);
      auto [end, problem] =
          std::from_chars(code.data(), code.data() + code.size(), point, digits ? 16 : 8);
      bool surrogate = point >= 0xD800 && point < 0xE000;
      if (problem != std::errc() || end != code.data() + code.size() || code.size() < digits ||
          point > 0x10FFFF || surrogate)
        error(fmt::format("the escape \\{}{} is no character", digits ? std::string(1, c) : "",
                          code));
      appendUtf8(out, point);
      return begin + code.size();
    }
    out += '\\';
    out += c;
    return i + 1;
  }

  std::string source;
  std::string_view text;
  size_t at = 0;
  Place place;
  bool atLineStart = true;
  std::vector<Token> tokens;
};

} // namespace

std::string Token::describe() const {
  switch (kind) {
  case Text:
    return "text";
  case BlockBegin:
    return "'{%'";
  case BlockEnd:
    return "'%}'";
  case VariableBegin:
    return "'{{'";
  case VariableEnd:
    return "'}}'";
  case End:
    return "the end of the template";
  case String:
    return "a string";
  default:
    return "'" + text + "'";
  }
}

std::vector<Token> tokenize(std::string_view text) { return Lexer(text).run(); }

} // namespace lmc::chat
