#include "tools/lmc/Commands.h"

#include "runtime/Error.h"
#include "runtime/Session.h"
#include "runtime/Team.h"
#include "serve/Embedder.h"
#include "serve/Server.h"
#include "serve/SessionEngine.h"
#include "tools/lmc/DeviceMemory.h"
#include "tools/lmc/Speculate.h"

namespace lmc {
namespace {

constexpr const char *kDefaultHttp = "127.0.0.1:8080", *kDefaultGrpc = "127.0.0.1:50051";

struct Options {
  std::string model;
  ServeOptions serve;
  int slots = 4;
  bool plan = false;
  std::string chatTemplate, speculate;
  CompileSettings settings;
};

/// An encoder: vectors of texts, over HTTP.
int runEncoder(Options &o, LoadedModel &model, const CommonOptions &common) {
  if (!o.speculate.empty() || !o.chatTemplate.empty())
    throw UsageError("--speculate and --chat-template are for models that predict tokens");
  if (o.serve.http.empty() && o.serve.grpc.empty())
    o.serve.http = kDefaultHttp;
  requireTokenizer(model);
  const EncoderConfig &config = model.config.encoder;
  auto embedder = std::make_shared<Embedder>(
      model.executable, model.info.vocab,
      EmbedderOptions{config.pooling == Pooling::First, config.normalized}, common.threads);
  ModelInfo info = model.info;
  info.context = embedder->longest();
  o.serve.gpu = monitorOf(*model.executable);
  return serveEncoder(
      [embedder](std::span<const int32_t> tokens) { return embedder->embed(tokens); }, info,
      model.tokenizer, o.serve);
}

int run(Options &o, const CommonOptions &common) {
  o.settings.keep = {"prefill", "decode"};
  if (ModelSource source = findModel(o.model);
      !source.isExecutable && readModelConfig(source.config).isEncoder())
    o.settings.keep = {"forward"};
  o.settings.programs.training = false;
  auto speculation = parseSpeculation(o.speculate);
  CompileSettings draftSettings = o.settings;
  if (speculation)
    addVerify(o.settings, *speculation);
  if (o.settings.programs.decodeBatch)
    o.settings.keep.insert("decode_batch");
  LoadedModel model = loadModel(o.model, o.settings);
  if (o.plan) {
    printLedger(memoryLedger(*model.executable, resolveThreads(common.threads), o.slots),
                common.json);
    return 0;
  }
  if (model.config.isEncoder())
    return runEncoder(o, model, common);
  if (o.serve.grpc.empty() && o.serve.http.empty())
    o.serve.http = kDefaultHttp, o.serve.grpc = kDefaultGrpc;
  requireMemory(model, common.threads, o.slots);
  const Tokenizer &tokenizer = requireTokenizer(model);
  try {
    o.serve.chat = chatTemplateOf(model, o.chatTemplate);
  } catch (const Error &error) {
    if (!o.chatTemplate.empty())
      throw;
    // Completions need no template, so the model is served without chat.
    fmt::print(stderr,
               "warning: {}; chat requests are refused, --chat-template FILE gives another\n",
               error.what());
  }
  auto engine = std::make_shared<SessionEngine>(model.executable, model.info, tokenizer.vocabSize(),
                                                common.threads, o.slots);
  if (speculation)
    o.serve.scheduler.drafter =
        drafterSource(*speculation, model, *engine, draftSettings, common.threads, o.slots);
  o.serve.gpu = monitorOf(*model.executable);
  return serve(engine, model.tokenizer, o.serve);
}

} // namespace

Command addServe(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option(
         "MODEL", o->model,
         "Model folder, .gguf, checkpoint or .lmx; of an encoder (bert) /v1/embeddings over "
         "HTTP is served")
      ->required();
  app.add_option("--grpc", o->serve.grpc,
                 "host:port or unix:PATH (default 127.0.0.1:50051 where no address is given)");
  app.add_option("--http", o->serve.http,
                 "host:port (default 127.0.0.1:8080 where no address is given)");
  app.add_option("--metrics", o->serve.metrics, "host:port for /metrics alone");
  app.add_option("--slots", o->slots, "Sequences that are generated side by side")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--queue", o->serve.scheduler.queueBound,
                 "Requests that may wait; one more is refused")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("--chat-template", o->chatTemplate,
                 "Jinja file in place of the model's own chat template");
  app.add_option("--speculate", o->speculate, kSpeculateHelp);
  app.add_flag("--plan", o->plan, "Print the memory ledger and exit");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addLength(app, o->settings);
  addCache(app, o->settings);
  addPages(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
