#include "train/Checkpoint.h"

#include "frontend/checkpoint/SafetensorsFile.h"
#include "frontend/checkpoint/StackedNames.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

namespace lmc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char *modelFile = "model.safetensors";
constexpr const char *optimizerFile = "optimizer.safetensors";

/// Names of a model's state in one of the two tensor files, with their shapes.
std::vector<ParameterInfo> tensorsOf(const TrainableModel &model, std::string_view file) {
  std::vector<ParameterInfo> parameters = model.parameters();
  if (file == modelFile)
    return parameters;
  std::vector<ParameterInfo> moments;
  for (const char *moment : {"adamw.m.", "adamw.v."})
    for (const ParameterInfo &parameter : parameters)
      moments.push_back({moment + parameter.name, parameter.shape});
  return moments;
}

void writeTensors(const fs::path &folder, const char *file, TrainableModel &model) {
  std::vector<NamedTensor> tensors;
  for (const ParameterInfo &info : tensorsOf(model, file))
    addStored(tensors,
              {info.name, {TensorType::F32, info.shape, std::as_bytes(model.state(info.name))}});
  writeSafetensors(folder / file, std::move(tensors));
}

/// A tensor file of a checkpoint whose tensors are those of the model.
class TensorFile {
public:
  TensorFile(const fs::path &path, const TrainableModel &model)
      : expected(tensorsOf(model, path.filename().string())), file(SafetensorsFile::open(path)) {
    size_t count = 0;
    for (const ParameterInfo &info : expected)
      for (const std::string &name : storedNames(info.name, info.shape)) {
        ++count;
        const TensorView *found = file.find(name);
        if (!found)
          fail("'{}': no tensor '{}', which the model trains; is it a checkpoint of another model?",
               path.string(), name);
        if (!std::ranges::equal(found->shape, storedShape(info.name, info.shape)))
          fail("'{}': tensor '{}' is {}, the model expects {}", path.string(), name,
               shapeText(found->shape), shapeText(storedShape(info.name, info.shape)));
      }
    if (file.names().size() != count)
      fail("'{}': has {} tensors, the model trains {}; is it a checkpoint of another model?",
           path.string(), file.names().size(), count);
  }

  void copyInto(TrainableModel &model) const {
    for (const ParameterInfo &info : expected) {
      std::vector<std::string> names = storedNames(info.name, info.shape);
      std::span<float> values = model.state(info.name);
      size_t each = values.size() / names.size();
      for (size_t i = 0; i < names.size(); ++i)
        readAsF32(*file.find(names[i]), values.subspan(i * each, each));
    }
  }

private:
  std::vector<ParameterInfo> expected;
  SafetensorsFile file;
};

void writeText(const fs::path &file, const std::string &text) {
  if (text.empty())
    return;
  AtomicFile out(file);
  out.write(text);
  out.commit();
}

/// A field of state.json; its checksum was right, so a wrong type means another version wrote it.
template <typename T> T field(const json &state, const char *key, const fs::path &checkpoint) {
  try {
    return state.at(key).get<T>();
  } catch (const json::exception &) {
    fail("'{}': no usable field '{}'; this lmc ({}) did not write it",
         (checkpoint / "state.json").string(), key, LMC_VERSION);
  }
}

} // namespace

fs::path saveCheckpoint(CheckpointStore &store, TrainableModel &model, const TrainState &state,
                        const CheckpointTexts &texts) {
  json evaluations = json::array();
  for (const Evaluation &evaluation : state.evaluations)
    evaluations.push_back({{"step", evaluation.step}, {"val_loss", double{evaluation.loss}}});
  json description = {{"step", state.step},
                      {"tokens", state.tokens},
                      {"data_position", state.dataPosition},
                      {"seed", state.seed},
                      {"evaluations", evaluations},
                      {"source_path", texts.sourcePath.string()},
                      {"lmc_version", LMC_VERSION}};
  auto writeFiles = [&](const fs::path &folder) {
    writeTensors(folder, modelFile, model);
    writeTensors(folder, optimizerFile, model);
    writeText(folder / "config.json", texts.configJson);
    writeText(folder / "tokenizer.json", texts.tokenizerJson);
    writeText(folder / "tokenizer_config.json", texts.tokenizerConfigJson);
    writeText(folder / "train.yaml", texts.trainYaml);
  };
  return store.save(state.step, writeFiles, std::move(description));
}

TrainState restoreCheckpoint(const CheckpointStore &store, const fs::path &checkpoint,
                             TrainableModel &model) {
  json description = store.open(checkpoint);
  TrainState state;
  state.step = field<int64_t>(description, "step", checkpoint);
  state.tokens = field<int64_t>(description, "tokens", checkpoint);
  state.dataPosition = field<int64_t>(description, "data_position", checkpoint);
  state.seed = field<uint64_t>(description, "seed", checkpoint);
  for (const json &evaluation : field<json>(description, "evaluations", checkpoint))
    state.evaluations.push_back({field<int64_t>(evaluation, "step", checkpoint),
                                 field<float>(evaluation, "val_loss", checkpoint)});
  // Both files are read and compared before the model changes.
  TensorFile weights(checkpoint / modelFile, model), moments(checkpoint / optimizerFile, model);
  weights.copyInto(model);
  moments.copyInto(model);
  model.setStep(state.step);
  return state;
}

} // namespace lmc
