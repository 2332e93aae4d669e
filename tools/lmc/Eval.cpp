#include "tools/lmc/Commands.h"

#include "frontend/data/BatchSource.h"
#include "frontend/data/TokenizeFile.h"
#include "runtime/Error.h"
#include "runtime/Session.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

struct Options {
  std::string model, data;
  int64_t length = 0;
  CompileSettings settings;
};

int run(Options &o, const CommonOptions &common) {
  // One sequence a run, as long as the context, so that each token but the first has a past.
  o.settings.keep = {"eval"};
  o.settings.programs.inference = false;
  o.settings.programs.length = o.length;
  LoadedModel model = loadModel(o.model, o.settings);
  if (model.executable->findProgram("eval") < 0)
    fail("'{}' has no eval program; give the model's folder", o.model);
  Session session(model.executable, {common.threads, 1});
  std::span<int32_t> tokens = session.i32("tokens"), targets = session.i32("targets");
  DataFileOptions files;
  files.tokenizer = model.tokenizer.get();
  files.vocab = model.info.vocab;
  BatchOptions batches;
  batches.sequences = 1;
  batches.length = static_cast<int64_t>(tokens.size());
  batches.vocab = model.info.vocab;
  batches.order = DataOrder::Sequential;
  BatchSource source(openDataFile(o.data, files), batches);
  double sum = 0;
  for (int64_t i = 0; i < source.batchesPerEpoch(); ++i) {
    Batch batch = source.read(i);
    std::ranges::copy(batch.tokens, tokens.begin());
    std::ranges::copy(batch.targets, targets.begin());
    session.run("eval");
    sum += session.f32("loss")[0];
  }
  double loss = sum / static_cast<double>(source.batchesPerEpoch());
  int64_t count = source.batchesPerEpoch() * batches.length;
  if (common.json)
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", count}}
            .dump());
  else
    fmt::print("loss {:.5f} nats a token, perplexity {:.3f}, over {} tokens\n", loss,
               std::exp(loss), count);
  return 0;
}

} // namespace

Command addEval(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder or checkpoint")->required();
  app.add_option("--data", o->data, "Text (.txt, .jsonl) or token ids (.bin)")->required();
  app.add_option("--length", o->length, "Tokens of one sequence (default: the model's context)");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
