// Templates against what jinja2 makes of them (test/oracle/chat_templates.py).
#include "frontend/chat/Template.h"
#include "frontend/chat/Text.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace lmc::chat {
namespace {

std::string readFile(const std::string &name) {
  std::ifstream file("test/data/chat/" + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << name;
  return text.str();
}

const Value &member(const Value &value, std::string_view key) { return *value.dict().find(key); }

/// A case has the text, or is an error for both.
void check(const Value &expected, const std::string &text, const Value &variables, std::time_t now,
           const std::string &what) {
  const Value *rendered = expected.dict().find("text");
  try {
    std::string got = Template(text, "t").render(variables, {}, now);
    if (rendered)
      EXPECT_EQ(got, rendered->text()) << what;
    else
      ADD_FAILURE() << what << ": jinja2 says " << member(expected, "error").text()
                    << ", we render " << got;
  } catch (const Error &error) {
    EXPECT_FALSE(rendered) << what << ": " << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with("'t':")) << error.what();
  }
}

class ChatOracle : public testing::Test {
protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
    families = parseJson(readFile("families.json"));
    now = member(families, "now").integer();
  }
  Value families;
  std::time_t now = 0;
};

TEST_F(ChatOracle, ExpressionsAndStatements) {
  Value all = parseJson(readFile("expressions.json"));
  ASSERT_GT(member(all, "cases").list().items.size(), 300u);
  for (const Value &item : member(all, "cases").list().items) {
    const std::string &text = member(item, "template").text();
    check(item, text, member(all, "variables"), now, text);
  }
}

TEST_F(ChatOracle, TemplatesOfTheFamilies) {
  const auto &conversations = member(families, "conversations").list().items;
  ASSERT_GT(member(families, "cases").list().items.size(), 400u);
  for (const Value &item : member(families, "cases").list().items) {
    const std::string &file = member(item, "file").text();
    int64_t number = member(item, "conversation").integer();
    auto variables = member(item, "more").dict().items;
    variables.emplace_back("messages", conversations[number]);
    variables.emplace_back("tools",
                           member(item, "tools").truth() ? member(families, "tools") : Value());
    variables.emplace_back("bos_token", "<s>");
    variables.emplace_back("eos_token", "</s>");
    check(item, readFile(file), Value::dict(std::move(variables)), now,
          fmt::format("{}, conversation {}", file, number));
  }
}

} // namespace
} // namespace lmc::chat
