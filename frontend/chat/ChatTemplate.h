// A model's chat templates and the conversations that they are given.
#pragma once

#include "frontend/chat/Template.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace lmc {

/// A conversation in the form that templates expect (messagesOf).
struct Conversation {
  chat::Value messages;                          ///< dicts with `role` and `content`
  chat::Value tools, documents;                  ///< lists, or none
  bool addGenerationPrompt = true;               ///< ends where the assistant's answer begins
  chat::Value variables = chat::Value::dict({}); ///< further ones, for templates that have some
};

/// Renders conversations into the text that a model was trained on. Immutable; may be called from
/// several threads at once.
class ChatTemplate {
public:
  /// What a tokenizer_config.json says: `chat_template`, a text or a list of named ones, and the names
  /// of special tokens. Null where it has no template. `name` is of the model, for errors.
  /// Throws Error where a template is not understood.
  static std::shared_ptr<const ChatTemplate> fromConfig(std::string_view tokenizerConfig,
                                                        const std::string &name);

  /// One template in place of the model's own, with the special tokens of its tokenizer_config.json.
  ChatTemplate(std::string_view text, std::string_view tokenizerConfig, const std::string &name);

  /// The prompt, special tokens written out (BOS too, where the template has it): to be encoded
  /// without adding any. Where tools are given, the template named "tool_use" is taken if there is one.
  /// Throws Error where the template refuses.
  std::string render(const Conversation &conversation) const;

private:
  ChatTemplate() = default;
  void readTokens(const chat::Value &config);

  std::map<std::string, chat::Template> templates; ///< "default" and others
  std::vector<std::pair<std::string, chat::Value>> tokens;
};

/// A conversation of one message, behind a system text that may be empty.
Conversation conversationOf(const std::string &system, const std::string &user);

/// Messages as OpenAI's API has them to what templates expect: parts {"type": "text"} become one text,
/// joined by line ends; the JSON text of a tool call's arguments becomes its object. Throws Error
/// "messages[2]: ..." for what is no message, and for parts that are not text.
chat::Value messagesOf(const chat::Value &openAi);

} // namespace lmc
