#include "tools/lmc/Commands.h"

#include "frontend/data/BatchLoader.h"
#include "frontend/data/TextReader.h"
#include "frontend/data/TokenizeFile.h"
#include "runtime/Error.h"
#include "runtime/Knobs.h"
#include "runtime/Team.h"
#include "train/Loop.h"
#include "train/SessionModel.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <iostream>
#include <unistd.h>

namespace lmc {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  int64_t steps = 0;
  bool resume = false, plan = false, helpConfig = false;
  CompileSettings settings;
};

ModelConfig modelOf(const TrainConfig &config) {
  if (config.modelSpec.IsDefined() && config.modelSpec.IsMap())
    return readModelSpec(config.modelSpec, config.sourcePath.string());
  return readModelConfig(findModel(config.modelPath).config);
}

/// A checkpoint's copy, so that a resumed run reads the ids it was trained on.
std::shared_ptr<const Tokenizer> savedTokenizer(const TrainConfig &config) {
  std::ifstream stream(config.checkpoint.directory / "latest");
  std::string name;
  if (!std::getline(stream, name))
    return nullptr;
  std::filesystem::path folder = config.checkpoint.directory / name;
  return holdsTokenizer(folder) ? loadTokenizer(folder.string()) : nullptr;
}

std::shared_ptr<const Tokenizer> tokenizerOf(const TrainConfig &config, bool resume) {
  switch (config.tokenizer.kind) {
  case TokenizerConfig::Kind::Bytes:
    return makeByteTokenizer();
  case TokenizerConfig::Kind::File:
    return loadTokenizer(config.tokenizer.file.string());
  case TokenizerConfig::Kind::Model: {
    return modelTokenizer(
        config.modelPath); // null is fine for token files; text needs one and says so
  }
  case TokenizerConfig::Kind::Train:
    if (resume)
      if (auto saved = savedTokenizer(config))
        return saved;
    return trainBpe(readTexts(config.data.train),
                    static_cast<int32_t>(config.tokenizer.trainVocab));
  }
  return nullptr;
}

OptimizerUpdateOptions optimizerOf(const TrainConfig &config) {
  OptimizerUpdateOptions o;
  o.lr = config.optimizer.learningRate;
  o.beta1 = config.optimizer.beta1;
  o.beta2 = config.optimizer.beta2;
  o.eps = config.optimizer.epsilon;
  o.weightDecay = config.optimizer.weightDecay;
  o.gradClip = config.optimizer.gradClip;
  switch (config.schedule.kind) {
  case ScheduleKind::Cosine:
    o.schedule = "cosine";
    break;
  case ScheduleKind::Linear:
    o.schedule = "linear";
    break;
  case ScheduleKind::Constant:
    o.schedule = "constant";
    break;
  case ScheduleKind::Wsd:
    o.schedule = "wsd";
    break;
  }
  o.warmupSteps = config.schedule.warmupSteps;
  o.minLr = config.schedule.minimum;
  o.decaySteps = config.schedule.decaySteps;
  o.steps = config.steps;
  o.accumulate = config.batch.accumulate;
  return o;
}

/// First values of all parameters: a checkpoint's or random ones.
void initialise(SessionModel &model, const TrainConfig &config, const ModelConfig &modelConfig) {
  std::vector<ParameterSpec> parameters = parametersOf(modelConfig);
  if (config.initPath.empty()) {
    for (const ParameterSpec &parameter : parameters)
      initialiseParameter(parameter, config.seed, model.state(parameter.name));
    return;
  }
  std::filesystem::path path = config.initPath;
  if (std::filesystem::is_directory(path))
    path = findModel(path).weights;
  auto source = openModelWeights(path);
  std::vector<const TensorView *> views = matchWeights(*source, modelConfig, parameters);
  for (size_t i = 0; i < parameters.size(); ++i)
    readAsF32(*views[i], model.state(parameters[i].name));
}

int run(Options &o, const CommonOptions &common) {
  if (o.helpConfig) {
    fmt::print("{}", configHelp());
    return 0;
  }
  if (o.config.empty())
    throw UsageError("CONFIG is missing: lmc train CONFIG.yaml");
  if (o.steps > 0)
    o.overrides.push_back(fmt::format("steps={}", o.steps));
  TrainConfig config = loadTrainConfig(o.config, o.overrides);
  if (config.target == TargetChoice::Cuda)
    chooseTarget(o.settings.codegen, "cuda", true);
  ModelConfig modelConfig = modelOf(config);
  requireLoss(modelConfig);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!o.plan)
    tokenizer = tokenizerOf(config, o.resume);
  if (tokenizer && tokenizer->vocabSize() > modelConfig.vocab)
    fail("{}: the tokenizer has {} tokens, the model's vocabulary {}; give the model at least as "
         "many",
         config.sourcePath.string(), tokenizer->vocabSize(), modelConfig.vocab);

  o.settings.codegen.mode = "train";
  o.settings.programs.batch = config.batch.sequences;
  o.settings.programs.length = config.batch.length;
  o.settings.programs.inference = false;
  o.settings.programs.dropout = {config.dropout.embedding, config.dropout.residual};
  o.settings.pipeline.train = optimizerOf(config);
  o.settings.pipeline.bf16 = config.precision == Precision::Bf16;
  if (config.memory.limit)
    o.settings.limitMemory(config.memory.limit, resolveThreads(common.threads),
                           config.memory.place);
  std::map<std::string, std::string> metadata = {{"spec", canonicalSpec(modelConfig)},
                                                 {"source_path", config.sourcePath.string()}};
  auto executable = compileModel(modelConfig, o.settings, metadata, {});
  if (o.plan) {
    printLedger(memoryLedger(*executable, resolveThreads(common.threads), 1), common.json);
    return 0;
  }

  SessionModel model(executable, config.batch.accumulate, common.threads, config.seed);
  initialise(model, config, modelConfig);

  DataFileOptions files;
  files.tokenizer = tokenizer.get();
  files.vocab = modelConfig.vocab;
  BatchLoader data(
      BatchSource(openDataFile(config.data.train, files), config.trainBatches(modelConfig.vocab)));
  std::optional<BatchSource> validation;
  if (!config.data.val.empty())
    validation.emplace(openDataFile(config.data.val, files),
                       config.validationBatches(modelConfig.vocab));

  TrainHooks hooks;
  hooks.resume = o.resume;
  if (!config.metrics.listen.empty())
    hooks.gpu = monitorOf(*executable);
  if (!common.json)
    hooks.progress = ProgressOutput::of(std::cout, STDOUT_FILENO);
  TrainInputs inputs{model,
                     data,
                     validation ? &*validation : nullptr,
                     huggingFaceConfig(modelConfig),
                     tokenizer ? tokenizer->serialize() : std::string(),
                     tokenizer ? tokenizer->serializeConfig() : std::string()};
  TrainResult result = train(config, inputs, hooks);
  if (common.json) {
    nlohmann::ordered_json json = {
        {"step", result.step}, {"tokens", result.tokens}, {"seconds", result.seconds}};
    if (result.loss)
      json["loss"] = *result.loss;
    if (result.valLoss)
      json["val_loss"] = *result.valLoss;
    json["checkpoint"] = result.checkpoint.string();
    json["arena_bytes"] = model.runtime().arenaBytes();
    json["arena_peak_bytes"] = model.runtime().arenaPeakBytes();
    json["source_path"] = config.sourcePath.string();
    printJson(json);
  }
  return 0;
}

} // namespace

Command addTrain(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("CONFIG", o->config, "Train config (YAML)");
  app.add_option("--set", o->overrides,
                 "key=value over the config, dotted: --set optimizer.lr=1e-3 (repeatable)");
  app.add_option("--steps", o->steps, "Number of steps over the config's")
      ->check(CLI::PositiveNumber);
  app.add_flag("--resume", o->resume, "Go on from the latest checkpoint, to the bit");
  app.add_flag("--plan", o->plan, "Print the memory ledger and exit");
  app.add_flag("--help-config", o->helpConfig, "Print every key of the config with its default");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
