#include "tools/lmc/Commands.h"

#include "frontend/checkpoint/GgufFile.h"
#include "frontend/checkpoint/WeightSource.h"
#include "frontend/gguf/GgufModel.h"
#include "runtime/Error.h"
#include "runtime/Session.h"
#include "train/CheckpointStore.h"

#include <nlohmann/json.hpp>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

/// Adds the tensors and how many elements they have.
void describeTensors(const WeightSource &source, Json &result) {
  int64_t parameters = 0;
  for (const std::string &name : source.names()) {
    const TensorView *view = source.find(name);
    parameters += view->numElements();
    result["tensors"].push_back({{"name", name},
                                 {"type", std::string(nameOf(view->type))},
                                 {"shape", view->shape},
                                 {"bytes", view->bytes.size()}});
  }
  result["parameters"] = parameters;
}

Json describeSafetensors(const std::filesystem::path &path) {
  Json result = {{"kind", "safetensors"}, {"metadata", SafetensorsFile::open(path).metadata()}};
  describeTensors(*openWeights(path), result);
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
  int64_t parameters = 0;
  uint64_t bytes = 0;
  std::map<std::string, std::pair<int64_t, uint64_t>> byType; // tensors, bytes
  for (const auto &[name, view] : file.tensors()) {
    parameters += view.numElements();
    bytes += view.bytes.size();
    auto &[tensors, typeBytes] = byType[std::string(nameOf(view.type))];
    ++tensors;
    typeBytes += view.bytes.size();
    result["tensors"].push_back({{"name", name},
                                 {"type", std::string(nameOf(view.type))},
                                 {"shape", view.shape},
                                 {"bytes", view.bytes.size()}});
  }
  for (const auto &[type, sums] : byType)
    result["types"].push_back({{"type", type}, {"tensors", sums.first}, {"bytes", sums.second}});
  result["parameters"] = parameters;
  result["bytes"] = bytes;
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
    result["tensors"].push_back(row);
  }
  result["kernels"] = message.kernels_size();
  result["code_bytes"] = message.code_bytes();
  for (const auto &[key, value] : message.metadata())
    result["metadata"][key] = value.size() > 200 ? fmt::format("({} bytes)", value.size()) : value;
  return result;
}

Json describe(const std::filesystem::path &path) {
  if (std::filesystem::is_directory(path)) {
    ModelSource source = findModel(path);
    if (std::filesystem::exists(source.weights / "state.json")) {
      Json result = {{"kind", "checkpoint"}, {"folder", source.weights.string()}};
      result["state"] = verifyCheckpoint(source.weights);
      return result;
    }
    Json result;
    if (std::filesystem::exists(source.weights / "model.safetensors.index.json"))
      describeTensors(*openWeights(source.weights), result);
    else
      result = describeSafetensors(source.weights / "model.safetensors");
    result["kind"] = "model folder";
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

/// Lists of objects as lines, the rest as `key: value`.
void print(const Json &value) {
  for (const auto &[key, entry] : value.items()) {
    if (!entry.is_array() || entry.empty() || !entry.front().is_object()) {
      fmt::print("{}: {}\n", key, entry.is_string() ? entry.get<std::string>() : entry.dump());
      continue;
    }
    fmt::print("{}:\n", key);
    for (const auto &row : entry) {
      std::string line;
      for (const auto &[name, field] : row.items())
        line += (line.empty() ? "  " : "  " + name + " ") +
                (field.is_string() ? field.get<std::string>() : field.dump());
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
      fmt::print("{}\n", result.dump(2));
    else
      print(result);
    return 0;
  };
}

} // namespace lmc
