#include "frontend/chat/ChatTemplate.h"
#include "frontend/chat/Text.h"

#include <gmock/gmock.h>

namespace lmc {
namespace {

using chat::parseJson;
using testing::HasSubstr;

constexpr const char *config =
    R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null,
  "chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}|{{ m.content }}]{% endfor %}{{ eos_token if not add_generation_prompt }}{{ pad_token is defined }}"})";

std::string errorOf(const std::function<void()> &f) {
  try {
    f();
    return "no error";
  } catch (const Error &error) {
    return error.what();
  }
}

TEST(ChatTemplate, ReadsTemplateAndTokensOfAConfig) {
  auto chat = ChatTemplate::fromConfig(config, "m");
  ASSERT_TRUE(chat);
  Conversation conversation = conversationOf("be kind", "hi");
  EXPECT_EQ(chat->render(conversation), "<s>[system|be kind][user|hi]False");
  conversation.addGenerationPrompt = false;
  EXPECT_EQ(chat->render(conversation), "<s>[system|be kind][user|hi]</s>False");
  EXPECT_EQ(ChatTemplate("{{ bos_token }}!", config, "f.jinja").render(conversation), "<s>!");
}

TEST(ChatTemplate, IsNullWithoutOne) {
  EXPECT_FALSE(ChatTemplate::fromConfig("", "m"));
  EXPECT_FALSE(ChatTemplate::fromConfig("{}", "m"));
  EXPECT_FALSE(ChatTemplate::fromConfig(R"({"chat_template": null})", "m"));
}

TEST(ChatTemplate, ChoosesAmongNamedOnes) {
  auto chat = ChatTemplate::fromConfig(
      R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools|length }} tools"},
          {"name": "rag", "template": "{% unknown %}"}]})",
      "m");
  Conversation conversation = conversationOf("", "hi");
  EXPECT_EQ(chat->render(conversation), "plain");
  conversation.tools = parseJson("[{}, {}]");
  EXPECT_EQ(chat->render(conversation), "2 tools");
}

TEST(ChatTemplate, NamesModelAndPlaceInErrors) {
  EXPECT_EQ(
      errorOf([] { ChatTemplate::fromConfig(R"({"chat_template": "\n{{ 1 + }}"})", "tiny"); }),
      "'tiny: chat template':2:8: expected a value, got '}}'");
  EXPECT_THAT(errorOf([] { ChatTemplate::fromConfig(R"({"chat_template": 3})", "tiny"); }),
              HasSubstr("'tiny': chat_template must be a text or a list of named ones, got a int"));
  EXPECT_THAT(errorOf([] {
                ChatTemplate::fromConfig(R"({"chat_template": [{"name": "x", "template": "y"}]})",
                                         "tiny");
              }),
              HasSubstr("none of its chat templates is named default"));
}

TEST(ChatTemplate, VariablesReachTheTemplate) {
  ChatTemplate chat("{{ enable_thinking }}{{ documents is none }}{{ tools is none }}", "", "t");
  Conversation conversation = conversationOf("", "hi");
  conversation.variables = parseJson(R"({"enable_thinking": false, "messages": "not mine"})");
  EXPECT_EQ(chat.render(conversation), "FalseTrueTrue");
  EXPECT_EQ(ChatTemplate("{{ messages|length }}", "", "t").render(conversation), "1");
}

std::string normal(const char *messages) {
  chat::Budget budget{{}};
  return chat::toJson(messagesOf(parseJson(messages)), {}, budget);
}

TEST(Messages, TextPartsAndArgumentsAreReadForTheTemplate) {
  EXPECT_EQ(
      normal(
          R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])"),
      R"([{"role": "user", "content": "a\nb"}])");
  EXPECT_EQ(
      normal(
          R"([{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": [2]}"}}]}])"),
      R"([{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"z": 1, "a": [2]}}}], "content": null}])");
  EXPECT_EQ(normal(R"([{"role": "user", "content": "", "name": "Al"}])"),
            R"([{"role": "user", "content": "", "name": "Al"}])");
}

TEST(Messages, RefusalsNameThePlace) {
  auto refusal = [](const char *messages) { return errorOf([&] { normal(messages); }); };
  EXPECT_EQ(refusal("[]"), "messages must be an array of at least one message");
  EXPECT_EQ(refusal("{}"), "messages must be an array of at least one message");
  EXPECT_THAT(refusal(R"([{"role": "user", "content": "a"}, {"content": "b"}])"),
              HasSubstr("messages[1] must be"));
  EXPECT_THAT(refusal(R"([{"role": "user"}])"),
              HasSubstr("messages[0] must be an object with the strings role and content"));
  EXPECT_THAT(refusal(R"([{"role": "user", "content": 3}])"), HasSubstr("messages[0]"));
  EXPECT_THAT(refusal(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
              HasSubstr("messages[0]: content[0]"));
  EXPECT_THAT(refusal(R"([{"role": "assistant", "tool_calls": [{}]}])"),
              HasSubstr("messages[0]: a tool call needs"));
  EXPECT_THAT(
      refusal(R"([{"role": "assistant", "tool_calls": [{"function": {"arguments": "{"}}]}])"),
      HasSubstr("messages[0]: the arguments of a tool call are no JSON"));
}

} // namespace
} // namespace lmc
