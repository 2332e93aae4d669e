#include "tools/lmc/Commands.h"

#include "frontend/data/BatchSource.h"
#include "frontend/data/TokenizeFile.h"
#include "runtime/Error.h"
#include "runtime/PagePool.h"
#include "runtime/Session.h"
#include "train/Divergence.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

struct Options {
  std::string model, data, against;
  int64_t length = 0;
  CompileSettings settings;
};

/// One sequence a batch, the whole data in order.
BatchSource batchesOf(const Options &o, const LoadedModel &model, int64_t length) {
  DataFileOptions files;
  files.tokenizer = model.tokenizer.get();
  files.vocab = model.info.vocab;
  BatchOptions batches;
  batches.sequences = 1;
  batches.length = length;
  batches.vocab = model.info.vocab;
  batches.order = DataOrder::Sequential;
  return {openDataFile(o.data, files), batches};
}

int evaluateLoss(Options &o, const CommonOptions &common) {
  // One sequence a run, as long as the context, so that each token but the first has a past.
  o.settings.keep = {"eval"};
  o.settings.programs.inference = false;
  o.settings.programs.length = o.length;
  LoadedModel model = loadModel(o.model, o.settings);
  if (model.executable->findProgram("eval") < 0)
    fail("'{}' has no eval program; give the model's folder", o.model);
  Session session(model.executable, {common.threads, 1});
  std::span<int32_t> tokens = session.i32("tokens"), targets = session.i32("targets");
  auto length = static_cast<int64_t>(tokens.size());
  BatchSource source = batchesOf(o, model, length);
  double sum = 0;
  for (int64_t i = 0; i < source.batchesPerEpoch(); ++i) {
    Batch batch = source.read(i);
    std::ranges::copy(batch.tokens, tokens.begin());
    std::ranges::copy(batch.targets, targets.begin());
    session.run("eval");
    sum += session.f32("loss")[0];
  }
  double loss = sum / static_cast<double>(source.batchesPerEpoch());
  int64_t count = source.batchesPerEpoch() * length;
  if (common.json)
    printJson({{"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", count}});
  else
    fmt::print("loss {:.5f} nats a token, perplexity {:.3f}, over {} tokens\n", loss,
               std::exp(loss), count);
  return 0;
}

/// Runs @forward, or @verify on an empty cache, for windows of one length.
class LogitsOf {
public:
  LogitsOf(const LoadedModel &model, std::string program, int64_t length, int threads)
      : session(model.executable, {threads, 1}), program(std::move(program)) {
    if (model.executable->findProgram(this->program) < 0)
      fail("'{}' has no {} program; give the model's folder", model.info.name, this->program);
    usePagesInOrder(session);
    dims = session.dimsWith(this->program == "verify" ? "draft" : "T", length);
    count = length * model.info.vocab;
  }
  /// [T, V]; valid until the next call.
  std::span<const float> run(const std::vector<int32_t> &tokens) {
    std::ranges::copy(tokens, session.i32("tokens").begin());
    session.run(program, dims);
    return session.f32("logits").first(count);
  }

private:
  Session session;
  std::string program;
  std::vector<int64_t> dims;
  size_t count;
};

void print(const DivergenceReport &r, const std::string &model, const std::string &other,
           bool json) {
  double perplexity = std::exp(r.loss), reference = std::exp(r.referenceLoss);
  if (json) {
    nlohmann::ordered_json kl = {{"mean", r.mean},     {"mean_error", r.meanError},
                                 {"median", r.median}, {"p90", r.p90},
                                 {"p99", r.p99},       {"max", r.max}};
    nlohmann::ordered_json against = {{"loss", r.referenceLoss}, {"perplexity", reference}};
    printJson({{"loss", r.loss},
               {"perplexity", perplexity},
               {"tokens", r.tokens},
               {"against", against},
               {"perplexity_ratio", perplexity / reference},
               {"kl", kl},
               {"same_top", r.sameTop},
               {"rms_probability_change", r.rmsProbabilityChange}});
    return;
  }
  fmt::print("over {} tokens\n", r.tokens);
  fmt::print("perplexity          {:.4f}, of '{}' {:.4f}, ratio {:.5f}\n", perplexity, other,
             reference, perplexity / reference);
  fmt::print("KL('{}' || '{}')  mean {:.6f} +- {:.6f}, median {:.6f}, 90% {:.6f}, 99% {:.6f}, max "
             "{:.6f} nats\n",
             other, model, r.mean, r.meanError, r.median, r.p90, r.p99, r.max);
  fmt::print("same top token      {:.3f} %\n", 100 * r.sameTop);
  fmt::print("change of the next token's probability  {:.3f} % (root mean square)\n",
             100 * r.rmsProbabilityChange);
}

/// Loads a model whose attention reads keys and values from a cache in the format chosen, as that of
/// generated tokens does: @verify of a whole window.
LoadedModel loadWithCache(const Options &o, CompileSettings settings) {
  settings.keep = {"verify"};
  ModelSource source = findModel(o.model);
  if (o.length != 0)
    settings.programs.draft = o.length;
  else if (!source.isExecutable)
    settings.programs.draft = readModelConfig(source.config).context;
  settings.programs.cacheLength = settings.programs.draft;
  return loadModel(o.model, settings);
}

int evaluateDivergence(Options &o, const CommonOptions &common) {
  o.settings.keep = {"forward"};
  o.settings.programs.training = false;
  o.settings.programs.length = o.length;
  bool hasCache = !o.settings.pipeline.cacheFormat.empty();
  CompileSettings otherSettings = o.settings;
  otherSettings.pipeline.cacheFormat.clear();
  LoadedModel model = hasCache ? loadWithCache(o, o.settings) : loadModel(o.model, o.settings);
  LoadedModel other = loadModel(o.against, otherSettings);
  if (model.info.vocab != other.info.vocab)
    fail("'{}' has a vocabulary of {}, '{}' one of {}; their distributions cannot be compared",
         model.info.name, model.info.vocab, other.info.name, other.info.vocab);
  requireSameTokens(model, other);
  int64_t longest = std::min(model.info.context, other.info.context);
  int64_t length = o.length == 0 ? longest : o.length;
  if (length < 1 || length > longest)
    fail("--length: expected 1 to {} tokens (the shorter context), got {}", longest, length);
  BatchSource source = batchesOf(o, model, length);
  LogitsOf logits(model, hasCache ? "verify" : "forward", length, common.threads);
  LogitsOf reference(other, "forward", length, common.threads);
  // Logits of one window of each model, [T, V] f32, are all that is held.
  Divergence divergence;
  for (int64_t i = 0; i < source.batchesPerEpoch(); ++i) {
    Batch batch = source.read(i);
    divergence.add(logits.run(batch.tokens), reference.run(batch.tokens), batch.targets);
  }
  print(divergence.report(), model.info.name, other.info.name, common.json);
  return 0;
}

} // namespace

Command addEval(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder or checkpoint")->required();
  app.add_option("--data", o->data, "Text (.txt, .jsonl) or token ids (.bin)")->required();
  app.add_option("--length", o->length, "Tokens of one sequence (default: the model's context)");
  app.add_option("--against", o->against,
                 "Another model with the same vocabulary: reports how far MODEL's next-token "
                 "distributions are from its");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addCache(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] {
    if (o->against.empty() && !o->settings.pipeline.cacheFormat.empty())
      fail("--kv-cache is for --against: the loss alone is computed without a cache");
    return o->against.empty() ? evaluateLoss(*o, common) : evaluateDivergence(*o, common);
  };
}

} // namespace lmc
