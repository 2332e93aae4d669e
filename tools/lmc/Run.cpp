#include "tools/lmc/Commands.h"

#include "ir/Evaluator.h"
#include "runtime/Error.h"
#include "runtime/Npy.h"
#include "runtime/Session.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace lmc {
namespace {

struct Options {
  std::string model, output;
  std::vector<int32_t> tokens;
  bool reference = false;
  CompileSettings settings;
};

void check(const Options &o, const ModelInfo &info) {
  if (o.tokens.empty())
    throw UsageError("--tokens needs at least one id");
  if (static_cast<int64_t>(o.tokens.size()) > info.context)
    fail("{} tokens do not fit into the model's context of {}", o.tokens.size(), info.context);
  for (int32_t token : o.tokens)
    if (token < 0 || token >= info.vocab)
      fail("token {} is outside the vocabulary of {}", token, info.vocab);
}

/// Logits [T, V] from the compiled program; of an encoder hidden states [T, C].
std::vector<float> runCompiled(const Options &o, const LoadedModel &model, int threads) {
  Session session(model.executable, {threads, 1});
  std::ranges::copy(o.tokens, session.i32("tokens").begin());
  session.run("forward", session.dimsWith("T", static_cast<int64_t>(o.tokens.size())));
  std::span<const float> all = session.f32(model.config.isEncoder() ? "hidden" : "logits");
  size_t width = all.size() / session.i32("tokens").size();
  auto rows = all.first(o.tokens.size() * width);
  return {rows.begin(), rows.end()};
}

/// The same in float64, op by op.
std::vector<float> runReference(const Options &o, ModelInfo &info, bool &isEncoder) {
  ModelSource source = findModel(o.model);
  if (source.isExecutable)
    fail("'{}': --reference needs a model folder; an executable holds kernels, not the graph",
         o.model);
  ModelConfig config = readModelConfig(source.config);
  info.vocab = config.vocab;
  info.context = config.context;
  isEncoder = config.isEncoder();
  check(o, info);
  CompileSettings settings = o.settings;
  settings.keep = {"forward"};
  settings.programs.training = false;
  settings.pipeline.stopAfter = "import";
  settings.pipeline.bindings = {fmt::format("T={}", o.tokens.size())};
  mlir::MLIRContext context;
  auto module = planModel(context, config, settings);
  auto forward = module->lookupSymbol<mlir::func::FuncOp>("forward");
  Weights weights(config, source.weights);
  ParameterData data = weights.data();
  llvm::SmallVector<lm::Tensor> arguments;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    auto type = mlir::cast<mlir::RankedTensorType>(forward.getArgument(i).getType());
    lm::Tensor tensor(type.getShape());
    if (hasRole(forward, i, "parameter")) {
      auto bytes = data(forward.getArgAttrOfType<mlir::StringAttr>(i, kName).str(), {})->bytes;
      const auto *values = reinterpret_cast<const float *>(bytes.data());
      std::copy_n(values, tensor.size(), tensor.data.begin());
    } else {
      std::ranges::copy(o.tokens, tensor.data.begin());
    }
    arguments.push_back(std::move(tensor));
  }
  auto results = lm::evaluate(forward, arguments);
  if (mlir::failed(results))
    fail("the reference evaluator refused the program");
  return {results->front().data.begin(), results->front().data.end()};
}

int run(Options &o, const CommonOptions &common) {
  std::vector<float> logits; // of an encoder hidden states
  ModelInfo info;
  bool isEncoder = false;
  if (o.reference) {
    logits = runReference(o, info, isEncoder);
  } else {
    o.settings.keep = {"forward"};
    o.settings.programs.training = false;
    LoadedModel model = loadModel(o.model, o.settings);
    info = model.info;
    isEncoder = model.config.isEncoder();
    check(o, info);
    logits = runCompiled(o, model, common.threads);
  }
  auto rows = static_cast<int64_t>(o.tokens.size());
  auto width = static_cast<int64_t>(logits.size()) / rows;
  if (!o.output.empty())
    writeNpy(o.output, logits, rows, width);
  if (isEncoder) {
    if (common.json)
      printJson({{"tokens", rows}, {"width", width}, {"output", o.output}});
    else
      fmt::print("hidden states [{}, {}]{}\n", rows, width,
                 o.output.empty() ? "" : " -> " + o.output);
    return 0;
  }
  auto last = std::span(logits).last(info.vocab);
  auto best = std::ranges::max_element(last) - last.begin();
  if (common.json)
    printJson({{"tokens", rows},
               {"vocab", info.vocab},
               {"argmax", best},
               {"logit", last[best]},
               {"output", o.output}});
  else
    fmt::print("logits [{}, {}]{}; after the last token the most likely id is {} (logit {})\n",
               rows, info.vocab, o.output.empty() ? "" : " -> " + o.output, best, last[best]);
  return 0;
}

} // namespace

Command addRun(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder, checkpoint or .lmx")->required();
  app.add_option("--tokens", o->tokens, "Token ids, separated by commas")
      ->required()
      ->delimiter(',');
  app.add_option(
      "--output", o->output,
      "Write float32 logits [tokens, vocab] to this .npy file; of an encoder hidden states");
  app.add_flag("--reference", o->reference,
               "Use the reference evaluator (float64, slow) instead of kernels");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
