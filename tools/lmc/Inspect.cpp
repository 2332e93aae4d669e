#include "tools/lmc/Commands.h"

#include "frontend/checkpoint/SafetensorsFile.h"
#include "runtime/Error.h"
#include "runtime/Session.h"
#include "train/CheckpointStore.h"

#include <nlohmann/json.hpp>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

Json describeSafetensors(const std::filesystem::path &path) {
  SafetensorsFile file = SafetensorsFile::open(path);
  Json result = {{"kind", "safetensors"}, {"metadata", file.metadata()}};
  int64_t parameters = 0;
  for (const std::string &name : file.names()) {
    const TensorView *view = file.find(name);
    parameters += view->numElements();
    result["tensors"].push_back({{"name", name},
                                 {"type", std::string(nameOf(view->type))},
                                 {"shape", view->shape},
                                 {"bytes", view->bytes.size()}});
  }
  result["parameters"] = parameters;
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
    Json result = describeSafetensors(source.weights / "model.safetensors");
    result["kind"] = "model folder";
    return result;
  }
  if (!std::filesystem::exists(path))
    fail("'{}': no such file", path.string());
  if (path.extension() == ".safetensors")
    return describeSafetensors(path);
  if (path.extension() == ".lmx")
    return describeExecutable(path);
  fail("'{}': not an .lmx, .safetensors file or checkpoint folder", path.string());
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
  app.add_option("FILE", *file, ".lmx, .safetensors, checkpoint or model folder")->required();
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
