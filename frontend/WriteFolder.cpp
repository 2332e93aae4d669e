#include "frontend/WriteFolder.h"

#include "frontend/Weights.h"
#include "frontend/checkpoint/SafetensorsFile.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <cassert>

namespace lmc {
namespace {

void writeText(const std::filesystem::path &path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::vector<std::byte> converted(const TensorView &view, TensorType type) {
  const TensorFormat &format = formatOf(type);
  assert(format.inSafetensors && format.quantise);
  std::vector<float> values(view.numElements());
  readAsF32(view, values);
  std::vector<std::byte> bytes(values.size() * format.blockBytes);
  format.quantise(values.data(), int64_t(values.size()), bytes.data());
  return bytes;
}

} // namespace

void writeModelFolder(const ModelConfig &config, const WeightSource &weights,
                      const Tokenizer *tokenizer, const std::filesystem::path &folder,
                      std::optional<TensorType> type, uint64_t maxShardBytes) {
  std::vector<ParameterSpec> parameters = parametersOf(config);
  std::vector<const TensorView *> views = matchWeights(weights, config, parameters);
  std::vector<std::vector<std::byte>> contents; // where they are not as they lie
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < views.size(); ++i) {
    TensorType stored = views[i]->type;
    if (!type && formatOf(stored).isQuantised())
      fail("tensor '{}' is {}; give the type that quantised weights become (f32, f16 or bf16)",
           parameters[i].name, nameOf(stored));
    TensorView view = *views[i];
    if (type.value_or(stored) != stored || !view.isPlain()) {
      contents.push_back(converted(view, type.value_or(stored)));
      view = {type.value_or(stored), parameters[i].shape, contents.back()};
    }
    addStored(tensors, {parameters[i].name, view});
  }
  std::filesystem::create_directories(folder);
  writeModelSafetensors(folder, std::move(tensors), maxShardBytes);
  writeText(folder / "config.json", huggingFaceConfig(config));
  if (tokenizer) {
    writeText(folder / "tokenizer.json", tokenizer->serialize());
    writeText(folder / "tokenizer_config.json", tokenizer->serializeConfig());
  }
}

} // namespace lmc
