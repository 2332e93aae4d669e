#include "serve/OpenAi.h"

#include "frontend/chat/Text.h"

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

void readModel(Fields &fields, const std::string &model) {
  const json *name = fields.find("model");
  if (!name)
    return;
  if (!name->is_string())
    Fields::wrongType("model", "a string", *name);
  if (name->get<std::string>() != model)
    refuse(Reason::InvalidArgument, "model '{}' is not served here, '{}' is",
           name->get<std::string>(), model);
}

/// What completions and chat have in common.
void readCommon(Fields &fields, OpenAiRequest &request, const std::string &model) {
  readModel(fields, model);
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

/// The fields of a chat request that its template sees, from the body itself: they keep the order of
/// their keys there, which a template may print. The body is known to be an object.
Conversation readConversation(Fields &fields, const std::string &body) {
  chat::Value root = chat::parseJson(body);
  auto take = [&](const char *name) {
    return fields.find(name) ? *root.dict().find(name) : chat::Value();
  };
  auto takeList = [&](const char *name) {
    chat::Value list = take(name);
    if (!list.isNone() && !list.isList())
      fail("{} must be an array, got a {}", name, list.kind());
    return list.truth() ? list : chat::Value();
  };
  Conversation conversation;
  conversation.messages = messagesOf(take("messages"));
  conversation.documents = takeList("documents");
  chat::Value tools = takeList("tools"), choice = take("tool_choice");
  bool isNone = choice.isString() && choice.text() == "none";
  if (!choice.isNone() && !isNone && !(choice.isString() && choice.text() == "auto"))
    fail("tool_choice must be auto or none, others are not supported");
  conversation.tools = isNone ? chat::Value() : tools;
  if (chat::Value ends = take("add_generation_prompt"); !ends.isNone()) {
    if (!ends.isBool())
      fail("add_generation_prompt must be true or false, got a {}", ends.kind());
    conversation.addGenerationPrompt = ends.truth();
  }
  if (chat::Value more = take("chat_template_kwargs"); !more.isNone()) {
    if (!more.isDict())
      fail("chat_template_kwargs must be an object, got a {}", more.kind());
    for (const char *own : {"messages", "tools", "documents", "add_generation_prompt"})
      if (more.dict().find(own))
        fail("chat_template_kwargs must not hold '{}', it is a field of its own", own);
    conversation.variables = more;
  }
  return conversation;
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
    refuse(Reason::InvalidArgument,
           "model '{}' has no chat template; use /v1/completions, or start the server with "
           "--chat-template FILE",
           model);
  Fields fields(body);
  OpenAiRequest request;
  request.chat = true;
  readCommon(fields, request, model);
  request.client.maxTokens = fields.integer("max_completion_tokens");
  if (auto older = fields.integer("max_tokens"); !request.client.maxTokens)
    request.client.maxTokens = older;
  auto top = fields.integer("top_logprobs");
  if (fields.boolean("logprobs"))
    request.client.logprobs = top.value_or(0);
  else if (top)
    refuse(Reason::InvalidArgument, "top_logprobs needs logprobs to be true");
  fields.unsupported("functions", {json::array()});
  fields.unsupported("response_format", {json{{"type", "text"}}});
  try {
    Conversation conversation = readConversation(fields, body);
    fields.refuseUnknown();
    request.client.prompt = chat->render(conversation);
    request.client.promptIsWhole = true;
  } catch (const RequestFailure &) {
    throw;
  } catch (const Error &error) {
    refuse(Reason::InvalidArgument, "{}", error.what());
  }
  return request;
}

EmbeddingRequest parseEmbeddings(const std::string &body, const ModelInfo &model,
                                 const Tokenizer &tokenizer) {
  constexpr size_t mostInputs = 2048; // OpenAI's bound
  Fields fields(body);
  readModel(fields, model.name);
  const json *input = fields.find("input");
  if (!input)
    refuse(Reason::InvalidArgument, "input is missing: the text to embed, or an array of texts");
  EmbeddingRequest request;
  if (const json *format = fields.find("encoding_format")) {
    if (*format != "float" && *format != "base64")
      refuse(Reason::InvalidArgument, "encoding_format must be \"float\" or \"base64\", got {}",
             format->dump());
    request.base64 = *format == "base64";
  }
  fields.unsupported("dimensions", {});
  fields.ignore({"user"});
  fields.refuseUnknown();

  const json whole = json::array({*input});
  bool isOne = input->is_string() || isTokenArray(*input);
  const json &all = isOne ? whole : *input;
  if (!all.is_array() || all.empty() || all.size() > mostInputs)
    refuse(Reason::InvalidArgument,
           "input must be a text, token ids, or an array of 1 to {} of either", mostInputs);
  for (size_t i = 0; i < all.size(); ++i) {
    std::string name = isOne ? "input" : fmt::format("input[{}]", i);
    std::vector<int32_t> tokens;
    if (all[i].is_string())
      tokens = encodeText(tokenizer, all[i].get<std::string>(), /*addSpecial=*/true);
    else if (isTokenArray(all[i]))
      tokens = tokenIds(all[i]);
    else
      Fields::wrongType(name.c_str(), "a text or an array of token ids", all[i]);
    if (tokens.empty() || static_cast<int64_t>(tokens.size()) > model.context)
      refuse(Reason::InvalidArgument, "{} has {} tokens, the model takes 1 to {}", name,
             tokens.size(), model.context);
    checkTokens(tokens, model.vocab);
    request.inputs.push_back(std::move(tokens));
  }
  return request;
}

} // namespace lmc
