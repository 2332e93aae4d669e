#include "tools/lmc/Commands.h"

#include "frontend/gguf/Quantize.h"
#include "frontend/gguf/WriteFolder.h"
#include "runtime/ByteSize.h"
#include "runtime/Error.h"
#include "runtime/Team.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace lmc {
namespace {

struct Options {
  std::string model, type, output, shardSize = "5GB";
  bool requantize = false;
};

GgufModel readModel(const std::filesystem::path &path) {
  ModelSource source = findModel(path);
  if (source.weights.empty())
    fail("'{}': holds no weights to quantise; give a model folder or a .gguf", path.string());
  return isGguf(source.weights) ? readGgufModel(source.weights) : convertToGguf(source.weights);
}

/// "Q5_0, since rows of 64 are no multiple of 256 (Q4_K)", or the type alone.
std::string describe(const QuantizedTensor &tensor) {
  std::string text(nameOf(tensor.to.type));
  if (tensor.to.wanted) {
    const TensorFormat &wanted = formatOf(*tensor.to.wanted);
    text += fmt::format(", since rows of {} are no multiple of {} ({})", tensor.shape.back(),
                        wanted.blockElements, wanted.name);
  }
  return text;
}

/// A .gguf back to a Hugging Face folder.
int writeFolder(const Options &o, const QuantizationMix &mix) {
  if (!isGguf(o.model) || formatOf(mix.type).isQuantised())
    throw UsageError(fmt::format("--output: '{}' does not end in .gguf; a folder is written from a "
                                 ".gguf, with --type f32, f16 or bf16",
                                 o.output));
  std::optional<int64_t> shardBytes = parseByteSize(o.shardSize);
  if (!shardBytes || *shardBytes <= 0)
    throw UsageError(
        fmt::format("--shard-size: expected {}, got '{}'", kByteSizeForm, o.shardSize));
  std::string why = writeModelFolder(o.model, o.output, mix.type, *shardBytes);
  fmt::print("{}: config.json, weights as {}{}\n", o.output, nameOf(mix.type),
             why.empty() ? ", tokenizer.json" : "");
  if (!why.empty())
    fmt::print(stderr, "warning: '{}': {}; the folder has no tokenizer.json\n", o.model, why);
  return 0;
}

int run(const Options &o, const CommonOptions &common) {
  const QuantizationMix &mix = quantizationMix(o.type);
  if (!isGguf(o.output))
    return writeFolder(o, mix);
  std::error_code none;
  if (std::filesystem::equivalent(o.model, o.output, none))
    fail("'{}' is the model itself; give --output another name", o.output);
  GgufModel model = readModel(o.model);
  std::vector<QuantizedTensor> plan;
  try {
    plan = planQuantization(model, mix, o.requantize);
    quantize(model, mix, plan, o.output, resolveThreads(common.threads),
             [&](const QuantizedTensor &tensor) {
               if (!common.json)
                 fmt::print("{:<32} {:<16} {:>8} -> {}\n", tensor.name, shapeText(tensor.shape),
                            nameOf(tensor.from), describe(tensor));
             });
  } catch (const Error &error) {
    fail("'{}': {}", o.model, error.what());
  }

  uint64_t before = 0, bytes = 0, elements = 0, standIns = 0;
  nlohmann::ordered_json rows;
  for (const QuantizedTensor &tensor : plan) {
    const TensorFormat &format = formatOf(tensor.to.type);
    before += tensor.bytesBefore;
    bytes += tensor.bytes;
    elements += tensor.bytes / format.blockBytes * format.blockElements;
    standIns += tensor.to.wanted.has_value();
    nlohmann::ordered_json row = {{"name", tensor.name},
                                  {"shape", tensor.shape},
                                  {"from", std::string(nameOf(tensor.from))},
                                  {"to", std::string(nameOf(tensor.to.type))},
                                  {"bytes", tensor.bytes}};
    if (tensor.to.wanted)
      row["wanted"] = std::string(nameOf(*tensor.to.wanted));
    rows.push_back(row);
  }
  double bits = elements ? 8.0 * double(bytes) / double(elements) : 0;
  if (common.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"output", o.output},
                                              {"type", std::string(mix.name)},
                                              {"bytes_before", before},
                                              {"bytes", bytes},
                                              {"bits_per_weight", bits},
                                              {"stand_ins", standIns},
                                              {"tensors", rows}}
                           .dump(2));
    return 0;
  }
  fmt::print("{}: {} bytes of weights, {:.2f} bits a weight (before: {} bytes)\n", o.output, bytes,
             bits, before);
  if (standIns)
    fmt::print("{} of {} tensors have another type than {} asks for, as said above\n", standIns,
               plan.size(), mix.name);
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
  app.add_option("-o,--output", o->output,
                 "The .gguf file to write, or a folder for config.json and "
                 "safetensors (from a .gguf; f32, f16 or bf16)")
      ->required();
  app.add_option("--shard-size", o->shardSize,
                 "Most bytes of weights in one safetensors file of a folder")
      ->default_str(o->shardSize);
  app.add_flag("--allow-requantize", o->requantize,
               "Also quantise what is quantised already; the errors add up");
  addCommon(app, common, true);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
