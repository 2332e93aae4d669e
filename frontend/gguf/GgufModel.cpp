#include "frontend/gguf/GgufModel.h"

#include "frontend/Weights.h"
#include "frontend/gguf/GgufFamily.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "runtime/Error.h"

namespace lmc {
namespace {

class GgufWeights : public WeightSource {
public:
  explicit GgufWeights(const std::filesystem::path &path) : file(GgufFile::open(path)) {
    ModelConfig config = readGgufConfig(file);
    const GgufFamily &family = ggufFamilyOf(file.metadata());
    for (const auto &[name, view] : file.tensors()) {
      GgufNameMatch match = huggingFaceNameOf(family, name);
      if (!match.entry)
        views.emplace(name, view);
      else
        try {
          views.emplace(match.name, fromGgufOrder(*match.entry, config, view));
        } catch (const Error &error) {
          fail("'{}': {}", path.string(), error.what());
        }
    }
  }

  void forget(const TensorView &view) const override { MappedFile::forget(view.bytes); }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &[name, view] : views)
      result.push_back(name);
    return result;
  }
  const TensorView *find(const std::string &name) const override {
    auto found = views.find(name);
    return found == views.end() ? nullptr : &found->second;
  }
  std::string describe(const std::string &) const override { return file.path().string(); }

private:
  GgufFile file;
  std::map<std::string, TensorView> views;
};

/// The folder's tokenizer with the config's ids, which decide, and a token for each row of the
/// embedding: readers take the vocabulary's size from their number.
GgufTokenizer tokenizerOf(const std::filesystem::path &folder, const ModelConfig &config) {
  GgufTokenizer tokenizer = convertTokenizer(folder);
  if (config.bosId)
    tokenizer.bos = config.bosId;
  if (config.eosIds.size() > 2)
    fail("'{}': has {} ids that end a text, GGUF has keys for two", folder.string(),
         config.eosIds.size());
  if (!config.eosIds.empty())
    tokenizer.eos = config.eosIds.front();
  if (config.eosIds.size() > 1)
    tokenizer.eot = config.eosIds[1];
  while (!tokenizer.tokens.empty() && tokenizer.tokens.size() < size_t(config.vocab)) {
    tokenizer.tokens.push_back(fmt::format("[PAD{}]", tokenizer.tokens.size()));
    tokenizer.types.push_back(GgufTokenizer::Unused);
    if (!tokenizer.scores.empty())
      tokenizer.scores.push_back(0);
  }
  return tokenizer;
}

} // namespace

std::unique_ptr<WeightSource> openGgufWeights(const std::filesystem::path &path) {
  return std::make_unique<GgufWeights>(path);
}

GgufModel readGgufModel(const std::filesystem::path &path) {
  auto file = std::make_shared<GgufFile>(GgufFile::open(path));
  return {file->metadata(), file->tensors(), file};
}

GgufModel convertToGguf(const std::filesystem::path &folder) {
  ModelConfig config = readModelConfig(folder);
  const GgufFamily &family = ggufFamilyOf(config.architecture);
  std::shared_ptr<const WeightSource> source = openWeights(folder);
  std::vector<ParameterSpec> parameters = parametersOf(config);
  std::vector<const TensorView *> views = matchWeights(*source, config, parameters);
  std::string name = std::filesystem::weakly_canonical(folder).filename().string();
  GgufModel model{writeGgufConfig(config, name), {}, source};
  for (size_t i = 0; i < parameters.size(); ++i) {
    GgufNameMatch match = ggufNameOf(family, parameters[i].name);
    if (!match.entry)
      fail("'{}': GGUF has no name for tensor '{}'", folder.string(), parameters[i].name);
    model.tensors.push_back({match.name, toGgufOrder(*match.entry, config, *views[i])});
  }
  writeGgufTokenizer(tokenizerOf(folder, config), model.metadata);
  return model;
}

} // namespace lmc
