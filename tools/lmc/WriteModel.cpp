#include "tools/lmc/WriteModel.h"

#include "frontend/WriteFolder.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "frontend/gguf/Quantize.h"
#include "runtime/ByteSize.h"
#include "runtime/Error.h"
#include "tools/lmc/Commands.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace lmc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

ModelSource findWeights(const fs::path &model, const fs::path &output) {
  ModelSource source = findModel(model);
  if (source.isExecutable)
    fail("'{}': is compiled, its weights are packed; give the model that it was compiled from",
         model.string());
  if (source.weights.empty())
    fail("'{}': holds no weights; give a model folder or a .gguf", model.string());
  std::error_code none;
  if (fs::equivalent(source.weights, output, none) || fs::equivalent(model, output, none))
    fail("'{}' is the model itself; give --output another name", output.string());
  return source;
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

/// The mix that keeps the largest tensor as it is.
const QuantizationMix &storedMix(const GgufModel &model) {
  const auto &largest = *std::ranges::max_element(
      model.tensors, {}, [](const auto &tensor) { return tensor.view.sizeBytes(); });
  if (formatOf(largest.view.type).isQuantised())
    fail("tensor '{}' is {} already; lmc quantize --allow-requantize makes another type of it",
         largest.name, nameOf(largest.view.type));
  std::string name(nameOf(largest.view.type));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return quantizationMix(name);
}

struct Sums {
  uint64_t before = 0, bytes = 0, elements = 0, standIns = 0;

  explicit Sums(const std::vector<QuantizedTensor> &plan) {
    for (const QuantizedTensor &tensor : plan) {
      const TensorFormat &format = formatOf(tensor.to.type);
      before += tensor.bytesBefore;
      bytes += tensor.bytes;
      elements += tensor.bytes / format.blockBytes * format.blockElements;
      standIns += tensor.to.wanted.has_value();
    }
  }
  double bits() const { return elements ? 8.0 * double(bytes) / double(elements) : 0; }
};

Json rowOf(const QuantizedTensor &tensor) {
  Json row = {{"name", tensor.name},
              {"shape", tensor.shape},
              {"from", std::string(nameOf(tensor.from))},
              {"to", std::string(nameOf(tensor.to.type))},
              {"bytes", tensor.bytes}};
  if (tensor.to.wanted)
    row["wanted"] = std::string(nameOf(*tensor.to.wanted));
  return row;
}

/// What of a model the new form has no place for, a line each.
using Lost = std::vector<std::string>;

void warn(const fs::path &model, const Lost &lost) {
  for (const std::string &part : lost)
    fmt::print(stderr, "warning: '{}': {} is not in the result\n", model.string(), part);
}

/// Keys under "general." that a folder has no place for.
std::vector<std::string> lostKeys(const GgufMetadata &metadata) {
  constexpr std::string_view kept[] = {"general.architecture", "general.type", "general.alignment",
                                       "general.file_type", "general.quantization_version"};
  std::vector<std::string> keys;
  for (const auto &[key, value] : metadata.entries())
    if (key.starts_with("general.") && std::ranges::find(kept, key) == std::end(kept))
      keys.push_back(key);
  return keys;
}

/// Files of a folder that are not read.
std::vector<std::string> unreadFiles(const fs::path &folder) {
  constexpr std::string_view read[] = {"config.json",
                                       "tokenizer.json",
                                       "tokenizer.model",
                                       "tokenizer_config.json",
                                       "chat_template.jinja",
                                       "model.safetensors.index.json",
                                       "special_tokens_map.json"};
  std::vector<std::string> files;
  for (const auto &entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && std::ranges::find(read, name) == std::end(read) &&
        !name.starts_with('.') && !name.ends_with(".safetensors"))
      files.push_back(name);
  }
  std::ranges::sort(files);
  return files;
}

Lost lostOfFolder(const fs::path &folder) {
  if (fs::exists(folder / "state.json"))
    return {"the state of training (moments, step, place in the data)"};
  if (auto files = unreadFiles(folder); !files.empty())
    return {fmt::format("what other files say ({})", fmt::join(files, ", "))};
  return {};
}

/// Of a folder that becomes `written`.
Lost lostInGguf(const fs::path &folder, const GgufMetadata &written) {
  Lost lost = lostOfFolder(folder);
  GgufTokenizer tokenizer = readGgufTokenizer(written);
  if (!tokenizer.huggingFaceJson.empty() && tokenizer.model.empty())
    lost.emplace_back("a tokenizer for other programs than lmc, which have no name for its kind or "
                      "its way to cut text");
  return lost;
}

/// Of a model that becomes a folder.
Lost lostInFolder(const fs::path &weights) {
  if (!isGguf(weights))
    return lostOfFolder(weights);
  if (auto keys = lostKeys(GgufFile::open(weights).metadata()); !keys.empty())
    return {fmt::format("metadata ({})", fmt::join(keys, ", "))};
  return {};
}

} // namespace

void writeGguf(const GgufJob &job) {
  ModelSource source = findWeights(job.model, job.output);
  GgufModel model =
      isGguf(source.weights) ? readGgufModel(source.weights) : convertToGguf(source.weights);
  std::vector<QuantizedTensor> plan;
  const QuantizationMix *mix = job.mix;
  try {
    mix = mix ? mix : &storedMix(model);
    plan = planQuantization(model, *mix, job.requantize);
    quantize(model, *mix, plan, job.output, job.threads, [&](const QuantizedTensor &tensor) {
      if (!job.json)
        fmt::print("{:<32} {:<16} {:>8} -> {}\n", tensor.name, shapeText(tensor.shape),
                   nameOf(tensor.from), describe(tensor));
    });
  } catch (const Error &error) {
    fail("'{}': {}", job.model.string(), error.what());
  }
  Lost lost = isGguf(source.weights) ? Lost() : lostInGguf(source.weights, model.metadata);
  warn(job.model, lost);
  Sums sums(plan);
  if (job.json) {
    Json rows;
    for (const QuantizedTensor &tensor : plan)
      rows.push_back(rowOf(tensor));
    printJson(Json{{"output", job.output.string()},
                   {"type", std::string(mix->name)},
                   {"bytes_before", sums.before},
                   {"bytes", sums.bytes},
                   {"bits_per_weight", sums.bits()},
                   {"stand_ins", sums.standIns},
                   {"lost", lost},
                   {"tensors", rows}},
              2);
    return;
  }
  fmt::print("{}: {} bytes of weights, {:.2f} bits a weight (before: {} bytes)\n",
             job.output.string(), sums.bytes, sums.bits(), sums.before);
  if (sums.standIns)
    fmt::print("{} of {} tensors have another type than {} asks for, as said above\n",
               sums.standIns, plan.size(), mix->name);
}

void writeFolder(const FolderJob &job) {
  std::optional<int64_t> shardBytes = parseByteSize(job.shardSize);
  if (!shardBytes || *shardBytes <= 0)
    throw UsageError(
        fmt::format("--shard-size: expected {}, got '{}'", kByteSizeForm, job.shardSize));
  ModelSource source = findWeights(job.model, job.output);
  ModelConfig config = readModelConfig(source.config);
  auto weights = openModelWeights(source.weights);
  std::string noTokenizer;
  auto tokenizer = modelTokenizer(source.weights, &noTokenizer);
  try {
    writeModelFolder(config, *weights, tokenizer.get(), job.output, job.type, *shardBytes);
  } catch (const Error &error) {
    fail("'{}': {}", job.model.string(), error.what());
  }
  Lost lost = lostInFolder(source.weights);
  if (!tokenizer)
    lost.push_back(fmt::format("a tokenizer ({})", noTokenizer));
  warn(job.model, lost);
  std::string type(job.type ? nameOf(*job.type) : "stored");
  if (job.json)
    printJson(Json{{"output", job.output.string()},
                   {"architecture", std::string(architectureName(config.architecture))},
                   {"type", type},
                   {"tokenizer", tokenizer != nullptr},
                   {"lost", lost}},
              2);
  else
    fmt::print("{}: config.json, weights as {}{}\n", job.output.string(), type,
               tokenizer ? ", tokenizer.json" : "");
}

} // namespace lmc
