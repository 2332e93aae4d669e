#include "tools/lmc/Commands.h"

#include "runtime/Error.h"
#include "runtime/Session.h"
#include "runtime/Team.h"
#include "serve/Server.h"
#include "serve/SessionEngine.h"
#include "tools/lmc/DeviceMemory.h"
#include "tools/lmc/Speculate.h"

namespace lmc {
namespace {

struct Options {
  std::string model;
  ServeOptions serve;
  int slots = 4;
  bool plan = false;
  std::string chatTemplate, speculate;
  CompileSettings settings;
};

int run(Options &o, const CommonOptions &common) {
  if (o.serve.grpc.empty() && o.serve.http.empty())
    o.serve.http = "127.0.0.1:8080", o.serve.grpc = "127.0.0.1:50051";
  o.settings.keep = {"prefill", "decode"};
  o.settings.programs.training = false;
  auto speculation = parseSpeculation(o.speculate);
  CompileSettings draftSettings = o.settings;
  if (speculation)
    addVerify(o.settings, *speculation);
  LoadedModel model = loadModel(o.model, o.settings);
  if (o.plan) {
    printLedger(memoryLedger(*model.executable, resolveThreads(common.threads), o.slots),
                common.json);
    return 0;
  }
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
  app.add_option("MODEL", o->model, "Model folder, checkpoint or .lmx")->required();
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
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
