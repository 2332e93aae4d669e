#include "serve/OpenAi.h"

#include <cmath>
#include <initializer_list>

namespace lmc {
namespace {

using nlohmann::json;

/// Typed access to a body's fields. null counts as absent, as with OpenAI; what nobody asked for by
/// name is an error at the end.
class Fields {
public:
  explicit Fields(const std::string &body) {
    try {
      object = json::parse(body);
    } catch (const json::exception &error) {
      refuse(Reason::InvalidArgument, "the body is not JSON: {}", error.what());
    }
    if (!object.is_object())
      refuse(Reason::InvalidArgument, "the body must be a JSON object, got {}", object.type_name());
  }

  /// The field, or null.
  const json *find(const char *name) {
    known.push_back(name);
    auto field = object.find(name);
    return field == object.end() || field->is_null() ? nullptr : &*field;
  }

  std::optional<int64_t> integer(const char *name) {
    const json *field = find(name);
    if (!field)
      return std::nullopt;
    if (!field->is_number_integer())
      wrongType(name, "an integer", *field);
    if (field->is_number_unsigned() && field->get<uint64_t>() > INT64_MAX)
      refuse(Reason::InvalidArgument, "{} is too large: {}", name, field->get<uint64_t>());
    return field->get<int64_t>();
  }

  std::optional<double> number(const char *name) {
    const json *field = find(name);
    if (!field)
      return std::nullopt;
    if (!field->is_number())
      wrongType(name, "a number", *field);
    return field->get<double>();
  }

  bool boolean(const char *name) {
    const json *field = find(name);
    if (field && !field->is_boolean())
      wrongType(name, "true or false", *field);
    return field && field->get<bool>();
  }

  /// A string, or an array of them.
  std::vector<std::string> strings(const char *name) {
    const json *field = find(name);
    if (!field)
      return {};
    if (field->is_string())
      return {field->get<std::string>()};
    if (!field->is_array() || !std::ranges::all_of(*field, &json::is_string))
      wrongType(name, "a string or an array of strings", *field);
    return field->get<std::vector<std::string>>();
  }

  /// Fields of OpenAI's that this server leaves out: only values that ask for nothing are taken.
  void unsupported(const char *name, std::initializer_list<json> neutral) {
    const json *field = find(name);
    if (field && std::ranges::find(neutral, *field) == neutral.end())
      refuse(Reason::InvalidArgument, "{} is not supported, leave it out", name);
  }

  void ignore(std::initializer_list<const char *> names) {
    known.insert(known.end(), names.begin(), names.end());
  }

  void refuseUnknown() const {
    for (auto &[name, value] : object.items())
      if (std::ranges::find(known, name) == known.end())
        refuse(Reason::InvalidArgument, "unknown field '{}'", name);
  }

  [[noreturn]] static void wrongType(const char *name, const char *expected, const json &got) {
    refuse(Reason::InvalidArgument, "{} must be {}, got {} {}", name, expected,
           got.is_array() || got.is_object() ? "an" : "a", got.type_name());
  }

private:
  json object;
  std::vector<std::string> known;
};

bool isTokenArray(const json &value) {
  return value.is_array() && !value.empty() && std::ranges::all_of(value, &json::is_number_integer);
}

std::vector<int32_t> tokenIds(const json &value) {
  std::vector<int32_t> ids;
  for (const json &id : value) {
    auto wide = id.is_number_unsigned() && id.get<uint64_t>() > INT32_MAX ? -1 : id.get<int64_t>();
    if (wide < 0 || wide > INT32_MAX)
      refuse(Reason::InvalidArgument, "token id {} is outside the vocabulary", id.dump());
    ids.push_back(static_cast<int32_t>(wide));
  }
  return ids;
}

/// A string, an array of ids, or an array that holds one such prompt.
void readPrompt(Fields &fields, ClientRequest &client) {
  const json *prompt = fields.find("prompt");
  if (prompt && prompt->is_array() && !isTokenArray(*prompt)) {
    if (prompt->size() != 1)
      refuse(Reason::InvalidArgument, "prompt must hold one prompt, got {}", prompt->size());
    prompt = &prompt->front();
  }
  if (!prompt)
    return;
  if (prompt->is_string())
    client.prompt = prompt->get<std::string>();
  else if (isTokenArray(*prompt))
    client.tokenIds = tokenIds(*prompt);
  else
    Fields::wrongType("prompt", "a string or an array of token ids", *prompt);
}

/// What completions and chat have in common.
void readCommon(Fields &fields, OpenAiRequest &request, const std::string &model) {
  if (const json *name = fields.find("model")) {
    if (!name->is_string())
      Fields::wrongType("model", "a string", *name);
    if (name->get<std::string>() != model)
      refuse(Reason::InvalidArgument, "model '{}' is not served here, '{}' is",
             name->get<std::string>(), model);
  }
  ClientRequest &client = request.client;
  client.temperature = fields.number("temperature");
  client.topP = fields.number("top_p");
  client.topK = fields.integer("top_k");
  if (auto seed = fields.integer("seed"))
    client.seed = static_cast<uint64_t>(*seed);
  client.stop = fields.strings("stop");
  if (auto timeout = fields.number("timeout")) {
    if (!(*timeout > 0 && *timeout <= 86400))
      refuse(Reason::InvalidArgument, "timeout must be in (0, 86400] seconds, got {}", *timeout);
    client.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                         std::chrono::duration<double>(*timeout));
  }
  request.stream = fields.boolean("stream");
  if (const json *options = fields.find("stream_options")) {
    if (!options->is_object())
      Fields::wrongType("stream_options", "an object", *options);
    auto usage = options->find("include_usage");
    request.includeUsage = usage != options->end() && *usage == true;
  }
  fields.unsupported("n", {1});
  fields.unsupported("presence_penalty", {0, 0.0});
  fields.unsupported("frequency_penalty", {0, 0.0});
  fields.unsupported("logit_bias", {json::object()});
  fields.ignore({"user", "metadata", "store", "service_tier", "safety_identifier"});
}

std::vector<ChatTemplate::Message> readMessages(Fields &fields) {
  const json *messages = fields.find("messages");
  if (!messages || !messages->is_array() || messages->empty())
    refuse(Reason::InvalidArgument, "messages must be an array of at least one message");
  std::vector<ChatTemplate::Message> result;
  for (const json &message : *messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string() ||
        !message.contains("content") || !message["content"].is_string())
      refuse(Reason::InvalidArgument,
             "messages[{}] must be an object with the strings role and content", result.size());
    result.push_back({message["role"], message["content"]});
  }
  return result;
}

} // namespace

OpenAiRequest parseCompletion(const std::string &body, const std::string &model) {
  Fields fields(body);
  OpenAiRequest request;
  readPrompt(fields, request.client);
  readCommon(fields, request, model);
  request.client.maxTokens = fields.integer("max_tokens");
  request.client.logprobs = fields.integer("logprobs");
  fields.unsupported("best_of", {1});
  fields.unsupported("echo", {false});
  fields.unsupported("suffix", {""});
  fields.refuseUnknown();
  return request;
}

OpenAiRequest parseChat(const std::string &body, const std::string &model,
                        const ChatTemplate *chat) {
  if (!chat)
    refuse(Reason::InvalidArgument, "model '{}' has no chat template, use /v1/completions", model);
  Fields fields(body);
  OpenAiRequest request;
  request.chat = true;
  auto messages = readMessages(fields);
  readCommon(fields, request, model);
  request.client.maxTokens = fields.integer("max_completion_tokens");
  if (auto older = fields.integer("max_tokens"); !request.client.maxTokens)
    request.client.maxTokens = older;
  auto top = fields.integer("top_logprobs");
  if (fields.boolean("logprobs"))
    request.client.logprobs = top.value_or(0);
  else if (top)
    refuse(Reason::InvalidArgument, "top_logprobs needs logprobs to be true");
  fields.unsupported("tools", {json::array()});
  fields.unsupported("tool_choice", {"none"});
  fields.unsupported("functions", {json::array()});
  fields.unsupported("response_format", {json{{"type", "text"}}});
  fields.refuseUnknown();
  try {
    request.client.prompt = chat->render(messages);
  } catch (const Error &error) {
    refuse(Reason::InvalidArgument, "messages: {}", error.what());
  }
  return request;
}

} // namespace lmc
