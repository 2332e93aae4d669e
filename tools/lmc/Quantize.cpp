#include "tools/lmc/Commands.h"
#include "tools/lmc/WriteModel.h"

#include "runtime/Error.h"
#include "runtime/Team.h"

namespace lmc {
namespace {

struct Options {
  std::string model, type, output;
  bool requantize = false;
};

int run(const Options &o, const CommonOptions &common) {
  GgufJob job{o.model, o.output, &quantizationMix(o.type)};
  if (!isGguf(job.output))
    throw UsageError(fmt::format("--output: '{}' does not end in .gguf; lmc export --format "
                                 "safetensors writes folders",
                                 o.output));
  job.requantize = o.requantize;
  job.json = common.json;
  job.threads = resolveThreads(common.threads);
  writeGguf(job);
  return 0;
}

} // namespace

Command addQuantize(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder, checkpoint or .gguf")->required();
  std::string known;
  for (const QuantizationMix &mix : quantizationMixes())
    known += fmt::format("{}{}", known.empty() ? "" : ", ", mix.name);
  app.add_option("--type", o->type, known)->required();
  app.add_option("-o,--output", o->output, "The .gguf file to write")->required();
  app.add_flag("--allow-requantize", o->requantize,
               "Also quantise what is quantised already; the errors add up");
  addCommon(app, common, true);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
