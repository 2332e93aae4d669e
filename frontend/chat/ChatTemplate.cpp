#include "frontend/chat/ChatTemplate.h"

#include "frontend/chat/Text.h"

#include <array>

namespace lmc {
namespace {

using chat::Value;

constexpr std::array specialTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};

Value parseConfig(std::string_view text) {
  Value config = text.empty() ? Value::dict({}) : chat::parseJson(text);
  return config.isDict() ? config : Value::dict({});
}

/// Text parts as one text.
Value joinedParts(const Value &parts, size_t message) {
  std::string text;
  for (size_t i = 0; i < parts.list().items.size(); ++i) {
    const Value &part = parts.list().items[i];
    const Value *type = part.isDict() ? part.dict().find("type") : nullptr;
    const Value *content = part.isDict() ? part.dict().find("text") : nullptr;
    if (!type || !type->isString() || type->text() != "text" || !content || !content->isString())
      fail("messages[{}]: content[{}] must be {{\"type\": \"text\", \"text\": ...}}, other parts "
           "are not supported",
           message, i);
    text += i > 0 ? "\n" : "";
    text += content->text();
  }
  return text;
}

/// A tool call whose function has its arguments as an object.
Value withParsedArguments(const Value &call, size_t message) {
  const Value *function = call.isDict() ? call.dict().find("function") : nullptr;
  const Value *arguments =
      function && function->isDict() ? function->dict().find("arguments") : nullptr;
  if (!arguments)
    fail("messages[{}]: a tool call needs a function with a name and arguments", message);
  if (!arguments->isString())
    return call;
  auto parsedFunction = function->dict().items;
  try {
    parsedFunction.emplace_back("arguments",
                                chat::parseJson(arguments->text())); // the later one counts
  } catch (const Error &error) {
    fail("messages[{}]: the arguments of a tool call are {}", message, error.what());
  }
  auto parsedCall = call.dict().items;
  parsedCall.emplace_back("function", Value::dict(std::move(parsedFunction)));
  return Value::dict(std::move(parsedCall));
}

Value messageOf(const Value &message, size_t number) {
  const Value *role = message.isDict() ? message.dict().find("role") : nullptr;
  if (!role || !role->isString())
    fail("messages[{}] must be an object with the string role", number);
  const Value *content = message.dict().find("content"), *calls = message.dict().find("tool_calls");
  bool hasCalls = calls && calls->isList() && !calls->list().items.empty();
  if (calls && !calls->isList() && !calls->isNone())
    fail("messages[{}]: tool_calls must be an array", number);
  bool known = content && (content->isString() || content->isList());
  if (!known && !(hasCalls && (!content || content->isNone())))
    fail("messages[{}] must be an object with the strings role and content", number);
  auto members = message.dict().items;
  if (!content)
    members.emplace_back("content", Value());
  else if (content->isList())
    members.emplace_back("content", joinedParts(*content, number));
  if (hasCalls) {
    std::vector<Value> parsed;
    for (const Value &call : calls->list().items)
      parsed.push_back(withParsedArguments(call, number));
    members.emplace_back("tool_calls", Value::list(std::move(parsed)));
  }
  return Value::dict(std::move(members));
}

} // namespace

void ChatTemplate::readTokens(const Value &config) {
  for (const char *key : specialTokens) {
    const Value *token = config.dict().find(key);
    if (token && token->isDict()) // an added token with its properties
      token = token->dict().find("content");
    if (token && token->isString())
      tokens.emplace_back(key, *token);
  }
}

std::shared_ptr<const ChatTemplate> ChatTemplate::fromConfig(std::string_view tokenizerConfig,
                                                             const std::string &name) {
  Value config = parseConfig(tokenizerConfig);
  const Value *found = config.dict().find("chat_template");
  if (!found || found->isNone())
    return nullptr;
  std::shared_ptr<ChatTemplate> result(new ChatTemplate);
  result->readTokens(config);
  auto add = [&](const std::string &key, const std::string &text) {
    std::string place = name + (key == "default" ? ": chat template" : ": chat template " + key);
    result->templates.try_emplace(key, text, place);
  };
  if (found->isString()) {
    add("default", found->text());
    return result;
  }
  if (!found->isList())
    fail("'{}': chat_template must be a text or a list of named ones, got a {}", name,
         found->kind());
  for (const Value &entry : found->list().items) {
    const Value *key = entry.isDict() ? entry.dict().find("name") : nullptr;
    const Value *text = entry.isDict() ? entry.dict().find("template") : nullptr;
    if (!key || !key->isString() || !text || !text->isString())
      fail("'{}': each chat_template of a list needs the strings name and template", name);
    if (key->text() == "default" || key->text() == "tool_use") // nothing asks for others
      add(key->text(), text->text());
  }
  if (!result->templates.contains("default"))
    fail("'{}': none of its chat templates is named default", name);
  return result;
}

ChatTemplate::ChatTemplate(std::string_view text, std::string_view tokenizerConfig,
                           const std::string &name) {
  readTokens(parseConfig(tokenizerConfig));
  templates.try_emplace("default", text, name);
}

std::string ChatTemplate::render(const Conversation &conversation) const {
  auto variables = tokens;
  const auto &more = conversation.variables.dict().items;
  variables.insert(variables.end(), more.begin(), more.end());
  variables.emplace_back("messages", conversation.messages);
  variables.emplace_back("tools", conversation.tools);
  variables.emplace_back("documents", conversation.documents);
  variables.emplace_back("add_generation_prompt", conversation.addGenerationPrompt);
  bool useTools = !conversation.tools.isNone() && templates.contains("tool_use");
  return templates.at(useTools ? "tool_use" : "default").render(Value::dict(std::move(variables)));
}

Conversation conversationOf(const std::string &system, const std::string &user) {
  std::vector<Value> messages;
  if (!system.empty())
    messages.push_back(Value::dict({{"role", "system"}, {"content", system}}));
  messages.push_back(Value::dict({{"role", "user"}, {"content", user}}));
  Conversation conversation;
  conversation.messages = Value::list(std::move(messages));
  return conversation;
}

Value messagesOf(const Value &openAi) {
  if (!openAi.isList() || openAi.list().items.empty())
    fail("messages must be an array of at least one message");
  std::vector<Value> messages;
  for (const Value &message : openAi.list().items)
    messages.push_back(messageOf(message, messages.size()));
  return Value::list(std::move(messages));
}

} // namespace lmc
