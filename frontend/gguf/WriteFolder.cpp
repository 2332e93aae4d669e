#include "frontend/gguf/WriteFolder.h"

#include "frontend/Weights.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <cassert>

namespace lmc {

static void writeText(const std::filesystem::path &path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::string writeModelFolder(const std::filesystem::path &gguf, const std::filesystem::path &folder,
                             TensorType type, uint64_t maxShardBytes) {
  const TensorFormat &format = formatOf(type);
  assert(format.inSafetensors && format.quantise);
  GgufFile file = GgufFile::open(gguf);
  ModelConfig config = readGgufConfig(file);
  std::vector<ParameterSpec> parameters = parametersOf(config);
  auto source = openGgufWeights(gguf);
  std::vector<const TensorView *> views = matchWeights(*source, config, parameters);

  std::vector<std::vector<std::byte>> contents;
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < views.size(); ++i) {
    std::vector<float> values(views[i]->numElements());
    readAsF32(*views[i], values);
    std::vector<std::byte> &bytes = contents.emplace_back(values.size() * format.blockBytes);
    format.quantise(values.data(), int64_t(values.size()), bytes.data());
    tensors.push_back({parameters[i].name, {type, parameters[i].shape, bytes}});
  }
  std::filesystem::create_directories(folder);
  writeModelSafetensors(folder, std::move(tensors), maxShardBytes);
  writeText(folder / "config.json", huggingFaceConfig(config));
  GgufTokenizer tokenizer = readGgufTokenizer(file.metadata());
  try {
    TokenizerTexts texts = tokenizerTexts(tokenizer);
    writeText(folder / "tokenizer.json", texts.json);
    writeText(folder / "tokenizer_config.json", texts.configJson);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

} // namespace lmc
