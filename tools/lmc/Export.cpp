// Models between the forms that lmc reads: Hugging Face folders, GGUF files, checkpoints of lmc train.
#include "tools/lmc/Commands.h"
#include "tools/lmc/WriteModel.h"

#include "runtime/Error.h"
#include "runtime/Team.h"

namespace lmc {
namespace {

struct Options {
  std::string model, format = "safetensors", type, output, shardSize = "5GB";
};

int run(const Options &o, const CommonOptions &common) {
  if (o.format == "gguf") {
    if (!isGguf(o.output))
      throw UsageError(fmt::format("--output: '{}' does not end in .gguf", o.output));
    GgufJob job{o.model, o.output, o.type.empty() ? nullptr : &quantizationMix(o.type)};
    job.json = common.json;
    job.threads = resolveThreads(common.threads);
    writeGguf(job);
    return 0;
  }
  if (isGguf(o.output))
    throw UsageError(
        fmt::format("--output: '{}' is to be a folder; lmc export --format gguf writes "
                    "GGUF files",
                    o.output));
  FolderJob job{o.model, o.output, {}, o.shardSize, common.json};
  if (!o.type.empty()) {
    job.type = quantizationMix(o.type).type;
    if (formatOf(*job.type).isQuantised())
      throw UsageError(
          fmt::format("--type: '{}' is for GGUF files; folders have f32, f16 or bf16", o.type));
  }
  writeFolder(job);
  return 0;
}

void addShared(CLI::App &app, const std::shared_ptr<Options> &o, CommonOptions &common) {
  app.add_option("--type", o->type,
                 "Of the weights: f32, f16 or bf16 (default: what they are stored as)");
  app.add_option("--shard-size", o->shardSize,
                 "Most bytes of weights in one safetensors file of a folder")
      ->default_str(o->shardSize);
  addCommon(app, common, true);
}

} // namespace

Command addExport(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder, checkpoint or .gguf")->required();
  app.add_option("--format", o->format, "gguf, or safetensors: a Hugging Face folder")
      ->check(CLI::IsMember({"gguf", "safetensors"}))
      ->required();
  app.add_option("-o,--output", o->output, "The .gguf file or the folder to write")->required();
  addShared(app, o, common);
  return [o, &common] { return run(*o, common); };
}

Command addImport(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("IN", o->model, "A .gguf, a Hugging Face folder or a checkpoint")->required();
  app.add_option("-o,--output", o->output,
                 "The folder to write: config.json, safetensors, tokenizer.json")
      ->required();
  addShared(app, o, common);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
