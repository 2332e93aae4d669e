#include "tools/lmc/Commands.h"

#include "frontend/checkpoint/GgufFile.h"
#include "frontend/checkpoint/WeightSource.h"
#include "frontend/gguf/GgufModel.h"
#include "runtime/Error.h"
#include "runtime/Session.h"
#include "train/CheckpointStore.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

/// The tensors, how many there are of each type, and the sums of elements and bytes.
class TensorList {
public:
  void add(const std::string &name, const TensorView &view) {
    std::string type(nameOf(view.type));
    rows.push_back(
        {{"name", name}, {"type", type}, {"shape", view.shape}, {"bytes", view.bytes.size()}});
    auto &[tensors, typeBytes] = byType[type];
    ++tensors;
    typeBytes += view.bytes.size();
    parameters += view.numElements();
    bytes += view.bytes.size();
  }
  void addAll(const WeightSource &source) {
    for (const std::string &name : source.names())
      add(name, *source.find(name));
  }
  void describe(Json &result) const {
    result["tensors"] = rows;
    for (const auto &[type, sums] : byType)
      result["types"].push_back({{"type", type}, {"tensors", sums.first}, {"bytes", sums.second}});
    result["parameters"] = parameters;
    result["bytes"] = bytes;
  }

private:
  Json rows = Json::array();
  std::map<std::string, std::pair<int64_t, uint64_t>> byType; // tensors, bytes
  int64_t parameters = 0;
  uint64_t bytes = 0;
};

/// "byte-level BPE", "SentencePiece BPE", "Unigram", ...
std::string tokenizerKind(const Json &file) {
  std::string type = file["model"].value("type", "BPE");
  if (type != "BPE")
    return type;
  if (file["pre_tokenizer"].dump().find("\"ByteLevel\"") != std::string::npos)
    return file["model"]["merges"].empty() ? "bytes" : "byte-level BPE";
  return file["model"].value("byte_fallback", false) ? "SentencePiece BPE" : "BPE of characters";
}

void describeTokenizer(const Tokenizer &tokenizer, Json &model) {
  constexpr size_t shown = 32; // vocabularies have a thousand reserved ones
  Json &result = model["tokenizer"];
  result = {{"kind", tokenizerKind(Json::parse(tokenizer.serialize()))},
            {"tokens", tokenizer.vocabSize()}};
  if (auto bos = tokenizer.bosId())
    result["bos"] = *bos;
  if (auto eos = tokenizer.eosId())
    result["eos"] = *eos;
  std::vector<int32_t> special;
  for (int32_t id = 0; id < tokenizer.vocabSize(); ++id)
    if (tokenizer.isSpecial(id))
      special.push_back(id);
  result["special_tokens"] = special.size();
  special.resize(std::min(special.size(), shown));
  result["special_ids"] = special;
  model["chat_template"] = Json::parse(tokenizer.serializeConfig()).contains("chat_template");
}

/// Architecture, tokenizer and chat template, whatever holds them; what cannot be read is said.
void describeModel(const std::filesystem::path &config, const std::filesystem::path &weights,
                   Json &result) {
  try {
    ModelConfig model = readModelConfig(config);
    result["architecture"] = std::string(architectureName(model.architecture));
    if (model.isLanguageModel())
      result["end_of_text_ids"] = model.eosIds;
    result["spec"] = canonicalSpec(model);
  } catch (const Error &error) {
    result["not_a_model_here"] = error.what();
  }
  try {
    std::string none;
    auto tokenizer = modelTokenizer(weights, &none);
    if (tokenizer)
      describeTokenizer(*tokenizer, result);
    else
      result["tokenizer"] = fmt::format("none: {}", none);
  } catch (const Error &error) {
    result["tokenizer"] = fmt::format("none: {}", error.what());
  }
}

Json describeSafetensors(const std::filesystem::path &path) {
  Json result = {{"kind", "safetensors"}, {"metadata", SafetensorsFile::open(path).metadata()}};
  TensorList tensors;
  tensors.addAll(*openWeights(path));
  tensors.describe(result);
  return result;
}

/// Lists of a tokenizer have a hundred thousand entries; texts may be templates of pages.
std::string briefly(const GgufValue &value) {
  std::string text = valueText(value, 4);
  if (const auto *string = std::get_if<std::string>(&value); !string || string->size() <= 200)
    return text;
  return fmt::format("{}... {} bytes in all", text.substr(0, 120), text.size());
}

Json describeGguf(const std::filesystem::path &path) {
  GgufFile file = GgufFile::open(path);
  Json result = {{"kind", "gguf"},
                 {"version", file.version()},
                 {"architecture", file.metadata().text("general.architecture", "unknown")}};
  for (const auto &[key, value] : file.metadata().entries())
    result["metadata"].push_back(
        {{"key", key}, {"type", typeText(value)}, {"value", briefly(value)}});
  TensorList tensors;
  for (const auto &[name, view] : file.tensors())
    tensors.add(name, view);
  tensors.describe(result);
  describeModel(path, path, result);
  return result;
}

Json describeExecutable(const std::filesystem::path &path) {
  auto executable = Executable::load(path);
  const auto &message = executable->message();
  Json result = {{"kind", "lmx"},
                 {"target", message.target()},
                 {"compiler", message.compiler()},
                 {"mode", message.mode()}};
  for (const auto &dim : message.dims())
    result["dims"].push_back({{"name", dim.name()}, {"min", dim.min()}, {"max", dim.max()}});
  for (const auto &program : message.programs())
    result["programs"].push_back({{"name", program.name()},
                                  {"launches", program.launches_size()},
                                  {"transient_bytes", program.transient_bytes()}});
  for (const auto &tensor : message.tensors()) {
    auto list = [](const auto &extents) {
      return std::vector<int64_t>(extents.begin(), extents.end());
    };
    Json row = {{"name", tensor.name()},
                {"role", executable::Role_Name(tensor.role())},
                {"type", std::string(nameOf(tensor.dtype()))},
                {"shape", list(tensor.has_packing() ? tensor.packing().shape() : tensor.shape())},
                {"bytes", tensor.bytes()}};
    if (tensor.has_packing())
      row["panels"] = list(tensor.shape());
    if (tensor.role() == executable::CACHE && tensor.dtype() == executable::U8)
      row["blocks"] = "q8_0"; // the last extent counts bytes
    result["tensors"].push_back(row);
  }
  result["kernels"] = message.kernels_size();
  result["code_bytes"] = message.code_bytes();
  auto text = [&](const char *key) {
    auto found = message.metadata().find(key);
    return found == message.metadata().end() ? std::string() : found->second;
  };
  if (std::string json = text("tokenizer.json"); !json.empty())
    describeTokenizer(*parseTokenizer(json, text("tokenizer_config.json"), path.string()), result);
  for (const auto &[key, value] : message.metadata())
    result["metadata"][key] = value.size() > 200 ? fmt::format("({} bytes)", value.size()) : value;
  return result;
}

Json describe(const std::filesystem::path &path) {
  if (std::filesystem::is_directory(path)) {
    ModelSource source = findModel(path);
    Json result = {{"kind", "model folder"}, {"folder", source.weights.string()}};
    if (std::filesystem::exists(source.weights / "state.json")) {
      result["kind"] = "checkpoint";
      result["state"] = verifyCheckpoint(source.weights);
    }
    TensorList tensors;
    tensors.addAll(*openWeights(source.weights));
    tensors.describe(result);
    describeModel(source.config, source.weights, result);
    return result;
  }
  if (!std::filesystem::exists(path))
    fail("'{}': no such file", path.string());
  if (path.extension() == ".safetensors")
    return describeSafetensors(path);
  if (isGguf(path))
    return describeGguf(path);
  if (path.extension() == ".lmx")
    return describeExecutable(path);
  fail("'{}': not an .lmx, .gguf, .safetensors file or checkpoint folder", path.string());
}

std::vector<std::string> linesOf(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

std::string textOf(const Json &value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Lists of objects as lines, texts of several lines below their key, the rest as `key: value`.
void print(const Json &value) {
  for (const auto &[key, entry] : value.items()) {
    if (entry.is_string() && entry.get<std::string>().find('\n') != std::string::npos) {
      fmt::print("{}:\n  {}\n", key, fmt::join(linesOf(entry.get<std::string>()), "\n  "));
      continue;
    }
    if (!entry.is_array() || entry.empty() || !entry.front().is_object()) {
      fmt::print("{}: {}\n", key, textOf(entry));
      continue;
    }
    fmt::print("{}:\n", key);
    for (const auto &row : entry) {
      std::string line;
      for (const auto &[name, field] : row.items())
        line += (line.empty() ? "  " : "  " + name + " ") + textOf(field);
      fmt::print("{}\n", line);
    }
  }
}

} // namespace

Command addInspect(CLI::App &app, CommonOptions &common) {
  auto file = std::make_shared<std::string>();
  app.add_option("FILE", *file, ".lmx, .gguf, .safetensors, checkpoint or model folder")
      ->required();
  app.add_flag("--json", common.json, "Print the result as JSON");
  return [file, &common] {
    Json result = describe(*file);
    if (common.json)
      printJson(result, 2);
    else
      print(result);
    return 0;
  };
}

} // namespace lmc
