// A template's text to tokens, with white space cut as transformers sets it: the first line end behind a
// block goes (trim_blocks), as does white space in front of a block that begins its line
// (lstrip_blocks), and the template's last line end.
//   Source: Jinja 3.1, "Template Designer Documentation", sections White Space Control and Expressions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmc::chat {

struct Place {
  int line = 1, column = 1; ///< column in bytes
};

struct Token {
  enum Kind {
    Text,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End
  };
  Kind kind = End;
  std::string text; ///< the text, a name, an operator, a string without quotes and escapes
  int64_t integer = 0;
  double number = 0;
  Place place;

  bool is(Kind k, std::string_view t) const { return kind == k && text == t; }
  /// For messages: "'endfor'", "the end of the template".
  std::string describe() const;
};

/// Ends with an End token. Error "LINE:COLUMN: ..." for what is no Jinja.
std::vector<Token> tokenize(std::string_view text);

} // namespace lmc::chat
