#include "tools/lmc/Commands.h"
#include "tools/lmc/DeviceMemory.h"

#include "runtime/Error.h"
#include "serve/Failure.h"
#include "serve/Generator.h"
#include "serve/SessionEngine.h"
#include "tools/lmc/Speculate.h"

#include <nlohmann/json.hpp>

#include <chrono>

namespace lmc {
namespace {

struct Options {
  std::string model;
  ClientRequest request;
  std::string prompt, chat, system, chatTemplate;
  std::vector<int32_t> tokens;
  int64_t maxTokens = 128;
  double temperature = 1, topP = 1;
  int64_t topK = 0;
  uint64_t seed = 0;
  std::string speculate;
  CompileSettings settings;
};

/// In place of the tokenizer that a model came without: texts are token ids, "17 4 ".
class IdTokenizer : public Tokenizer {
public:
  explicit IdTokenizer(int64_t vocab) : vocab(static_cast<int32_t>(vocab)) {}

  std::vector<int32_t> encode(std::string_view, bool) const override {
    fail("there is no tokenizer that knows texts");
  }
  std::string tokenBytes(int32_t id) const override { return std::to_string(id) + ' '; }
  int32_t vocabSize() const override { return vocab; }
  std::string serialize() const override { fail("token ids are no tokenizer to write"); }

private:
  int32_t vocab;
};

/// The prompt of one message, as the model's chat template writes it.
std::string chatPrompt(const Options &o, const LoadedModel &model) {
  auto chat = chatTemplateOf(model, o.chatTemplate);
  if (!chat)
    fail("'{}' has no chat template; give one with --chat-template FILE, or use --prompt",
         model.info.name);
  return chat->render(conversationOf(o.system, o.chat));
}

int run(Options &o, const CommonOptions &common) {
  o.settings.keep = {"prefill", "decode"};
  o.settings.programs.training = false;
  auto speculation = parseSpeculation(o.speculate);
  CompileSettings draftSettings = o.settings;
  if (speculation)
    addVerify(o.settings, *speculation);
  LoadedModel model = loadModel(o.model, o.settings);
  requireMemory(model, common.threads, 1);
  const IdTokenizer ids(model.info.vocab);
  const bool isText = model.tokenizer || o.tokens.empty();
  const Tokenizer &tokenizer = isText ? requireTokenizer(model) : ids;
  SessionEngine engine(model.executable, model.info, tokenizer.vocabSize(), common.threads, 1);

  ClientRequest request;
  // An empty prompt starts from the beginning of a text.
  if (!o.tokens.empty())
    request.tokenIds = o.tokens;
  else if (!o.chat.empty())
    request.prompt = chatPrompt(o, model), request.promptIsWhole = true;
  else if (o.prompt.empty() && model.info.bos)
    request.tokenIds = {*model.info.bos};
  else
    request.prompt = o.prompt;
  request.maxTokens = o.maxTokens;
  request.temperature = o.temperature;
  request.topP = o.topP;
  request.topK = o.topK;
  request.seed = o.seed;

  std::unique_ptr<Drafter> drafter;
  DrafterSource drafters;
  GenerationRequest resolved = resolve(request, engine.info(), tokenizer);
  if (speculation) {
    drafters = drafterSource(*speculation, model, engine, draftSettings, common.threads, 1);
    drafter = drafters(resolved.sampling);
  }

  auto start = std::chrono::steady_clock::now();
  if (!common.json && o.chat.empty())
    fmt::print("{}", o.tokens.empty() ? o.prompt : decodeTokens(tokenizer, resolved.tokens));
  auto show = [&](const Piece &piece) {
    if (common.json)
      return;
    fmt::print("{}", piece.text);
    std::fflush(stdout);
  };
  Generated answer = generate(engine, tokenizer, resolved, show, std::move(drafter));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!common.json) {
    fmt::print("\n");
    return 0;
  }
  nlohmann::ordered_json result = {
      {"text", isText ? nlohmann::ordered_json(answer.text) : nullptr},
      {"token_ids", answer.tokens},
      {"prompt_tokens", answer.promptTokens},
      {"completion_tokens", answer.tokens.size()},
      {"finish_reason", std::string(nameOf(answer.finish))},
      {"seconds", seconds},
      {"tokens_per_second", static_cast<double>(answer.tokens.size()) / seconds}};
  if (speculation) {
    result["drafted_tokens"] = answer.drafted;
    result["accepted_tokens"] = answer.accepted;
  }
  printJson(result);
  return 0;
}

} // namespace

Command addGenerate(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder, checkpoint or .lmx")->required();
  auto *prompt =
      app.add_option("--prompt", o->prompt, "Text to continue (default: the beginning of a text)");
  app.add_option(
         "--tokens", o->tokens,
         "The prompt as token ids, comma-separated, taken as they are; without a tokenizer the "
         "answer is ids too")
      ->delimiter(',')
      ->excludes(prompt);
  auto *chat = app.add_option("--chat", o->chat,
                              "A message to answer, written as the model's chat template says")
                   ->excludes(prompt);
  app.add_option("--system", o->system, "System text of --chat")->needs(chat);
  app.add_option("--chat-template", o->chatTemplate,
                 "Jinja file in place of the model's own chat template")
      ->needs(chat);
  app.add_option("--max-tokens", o->maxTokens, "Longest answer")->capture_default_str();
  app.add_option("--temperature", o->temperature, "0 is greedy")->capture_default_str();
  app.add_option("--top-k", o->topK, "Keep this many most likely tokens; 0 keeps all")
      ->capture_default_str();
  app.add_option("--top-p", o->topP, "Keep the most likely tokens up to this probability")
      ->capture_default_str();
  app.add_option("--seed", o->seed, "Of sampling")->capture_default_str();
  app.add_option("--speculate", o->speculate, kSpeculateHelp);
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addLength(app, o->settings);
  addCache(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
