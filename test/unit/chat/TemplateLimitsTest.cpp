// Errors say where and what, and hostile templates end.
#include "frontend/chat/Template.h"
#include "frontend/chat/Text.h"

#include <gmock/gmock.h>

namespace lmc::chat {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string render(const std::string &text, const Limits &limits = {}) {
  return Template(text, "t").render(Value::dict({{"messages", Value::list({})}}), limits);
}

std::string errorOf(const std::string &text, const Limits &limits = {}) {
  try {
    return "rendered " + render(text, limits).substr(0, 100);
  } catch (const Error &error) {
    return error.what();
  }
}

std::string repeated(const std::string &piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += piece;
  return text;
}

TEST(TemplateErrors, SayWhereAndWhat) {
  EXPECT_EQ(errorOf("a\n{{ x.y }}"), "'t':2:5: 'x' is undefined");
  EXPECT_EQ(errorOf("{% for m in messages %}\n x"),
            "'t':1:1: 'for' is not closed, 'endfor' is missing");
  EXPECT_THAT(errorOf("\n  {{ 'a' | shout }}"),
              StartsWith("'t':2:10: the filter 'shout' is not supported; there are"));
  EXPECT_THAT(errorOf("{% include 'x' %}"), HasSubstr("the statement 'include' is not supported"));
  EXPECT_THAT(errorOf("{{ raise_exception('no ' ~ 1) }}"),
              HasSubstr("the template refuses this: no 1"));
  EXPECT_THAT(errorOf("{{ messages.append(1) }}"), HasSubstr("would change a list"));
  EXPECT_THAT(errorOf("{% raw %}"), HasSubstr("'endraw' is missing"));
  EXPECT_THAT(errorOf("{% for i in [1] %}{% set q %}{% break %}{% endset %}{% endfor %}"),
              HasSubstr("'break' outside a loop"));
  EXPECT_THAT(errorOf("{% set loop = 2 %}"), HasSubstr("'loop' cannot be assigned to"));
  EXPECT_THAT(errorOf("{{ f(*messages) }}"), HasSubstr("'*' in arguments is not supported"));
  EXPECT_THAT(errorOf("\xff"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(errorOf("{{ 9223372036854775807 + 1 }}"), HasSubstr("no int of 64 bits"));
  EXPECT_THAT(errorOf("{{ -9223372036854775807 - 1 }}"),
              StartsWith("rendered -9223372036854775808"));
}

TEST(TemplateLimits, LoopsEnd) {
  std::string nested =
      repeated("{% for i in range(100000) %}", 5) + "{{ i }}" + repeated("{% endfor %}", 5);
  EXPECT_THAT(errorOf(nested), HasSubstr("more than"));
  EXPECT_THAT(errorOf("{{ range(10000000) }}"), HasSubstr("a range has at most 100000 numbers"));
  EXPECT_THAT(errorOf("{{ 10 ** 1000000000 }}"), HasSubstr("no int of 64 bits"));
  EXPECT_EQ(render("{{ 1 ** 1000000000 }}{{ (-1) ** 1000000001 }}"), "1-1");
}

TEST(TemplateLimits, RecursionEnds) {
  EXPECT_THAT(errorOf("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              HasSubstr("recurses more than"));
  EXPECT_THAT(errorOf("{{ " + repeated("(", 10000) + "1" + repeated(")", 10000) + "}}"),
              HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ " + repeated("not ", 10000) + "1 }}"), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ " + repeated("-", 10000) + "1 }}"), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ 1" + repeated("+1", 10000) + " }}"), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ x" + repeated(".a", 10000) + " }}"), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ x" + repeated("|list", 10000) + " }}"), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf(repeated("{% if 1 %}", 10000)), HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{% set " + repeated("(", 10000) + "a" + repeated(")", 10000) + " = 1 %}"),
              HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{{ 1 " + repeated("if 1 else 2 ", 10000) + "}}"),
              HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = "
                      "[ns.l] %}{% endfor %}{{ ns.l }}"),
              HasSubstr("nested more than 100 deep"));
  std::string json = repeated("[", 100000);
  EXPECT_THROW(parseJson(json), Error);
}

TEST(TemplateLimits, MemoryIsBounded) {
  EXPECT_THAT(errorOf("{{ 'a' * 10000000000 }}"), HasSubstr("more than"));
  EXPECT_THAT(errorOf("{{ '' * 9223372036854775807 }}"), HasSubstr("more than"));
  EXPECT_THAT(errorOf("{{ 'a'|indent(10000000000) }}"), HasSubstr("more than"));
  EXPECT_THAT(errorOf("{{ {'a': 1}|tojson(indent=10000000000) }}"), HasSubstr("more than"));
  std::string doubling =
      "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ";
  EXPECT_THAT(errorOf(doubling + "+ ns.s %}{% endfor %}"), HasSubstr("more than 268435456 bytes"));
  EXPECT_THAT(errorOf(doubling + "~ ns.s %}{% endfor %}"), HasSubstr("more than 268435456 bytes"));
  EXPECT_THAT(errorOf(doubling + "|replace('', ns.s) %}{% endfor %}"), HasSubstr("more than"));
  // Shared elements: a small value whose text is huge.
  std::string shared = "{% set ns = namespace(l=['x']) %}{% for i in range(60) %}{% set ns.l = "
                       "[ns.l, ns.l] %}{% endfor %}";
  EXPECT_THAT(errorOf(shared + "{{ ns.l }}"), HasSubstr("more than"));
  EXPECT_THAT(errorOf(shared + "{{ ns.l|tojson }}"), HasSubstr("more than"));
  EXPECT_THAT(errorOf(shared + "{% set a = ns.l %}{{ [ns.l, 1] == [a, 2] }}"),
              HasSubstr("more than"));
  EXPECT_THAT(errorOf("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}"),
              HasSubstr("more than"));
}

TEST(TemplateLimits, NothingStoresWhatCouldMakeACycle) {
  EXPECT_THAT(errorOf("{% set ns = namespace() %}{% set ns.me = ns %}"),
              HasSubstr("a namespace cannot be stored"));
  EXPECT_THAT(errorOf("{% set ns = namespace() %}{% set ns.l = [ns] %}"),
              HasSubstr("a namespace cannot be stored"));
  EXPECT_THAT(errorOf("{% set ns = namespace() %}{% set m = namespace(a=ns) %}"),
              HasSubstr("a namespace cannot be stored"));
  EXPECT_THAT(errorOf("{% for i in [1] %}{{ [loop] }}{% endfor %}"),
              HasSubstr("a loop cannot be stored"));
  EXPECT_THAT(errorOf("{{ [range] }}"), HasSubstr("a function cannot be stored"));
}

TEST(TemplateLimits, OutputIsBounded) {
  Limits limits;
  limits.output = 10;
  EXPECT_EQ(render("0123456789", limits), "0123456789");
  EXPECT_THAT(errorOf("01234{{ 'abcdef' }}", limits), HasSubstr("more than 10 bytes"));
}

} // namespace
} // namespace lmc::chat
