#include "frontend/gguf/GgufModel.h"

#include "frontend/Weights.h"
#include "frontend/gguf/GgufFamily.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "runtime/Error.h"
#include "runtime/FilePages.h"

namespace lmc {
namespace {

class GgufWeights : public WeightSource {
public:
  explicit GgufWeights(const std::filesystem::path &path) : file(GgufFile::open(path)) {
    ModelConfig config = readGgufConfig(file);
    const GgufFamily &family = ggufFamilyOf(file.metadata());
    for (const auto &[name, view] : file.tensors()) {
      GgufNameMatch match = huggingFaceNameOf(family, name);
      if (isGgufTable(name))
        continue; // the config has it
      if (!match.entry)
        views.emplace(name, view);
      else
        try {
          views.emplace(match.name, fromGguf(*match.entry, config, view));
        } catch (const Error &error) {
          fail("'{}': {}", path.string(), error.what());
        }
    }
  }

  void forget(const TensorView &view) const override { forgetPages(view.bytes); }
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
  if (config.eosIds.size() > 3)
    fail("'{}': has {} ids that end a text, GGUF has keys for three", folder.string(),
         config.eosIds.size());
  std::optional<int64_t> *ends[] = {&tokenizer.eos, &tokenizer.eot, &tokenizer.eom};
  for (size_t i = 0; i < config.eosIds.size(); ++i)
    *ends[i] = config.eosIds[i];
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
  GgufModel model{GgufMetadata(path.string()), file->tensors(), {file}};
  for (const auto &[key, value] : file->metadata().entries())
    if (!key.starts_with("split.")) // what is written is one file
      model.metadata.set(key, value);
  return model;
}

GgufModel convertToGguf(const std::filesystem::path &folder) {
  ModelConfig config = readModelConfig(folder);
  const GgufFamily &family = ggufFamilyOf(config.architecture);
  std::shared_ptr<const WeightSource> source = openWeights(folder);
  std::vector<ParameterSpec> parameters = parametersOf(config);
  std::vector<const TensorView *> views = matchWeights(*source, config, parameters);
  std::string name = std::filesystem::weakly_canonical(folder).filename().string();
  GgufConfig written = writeGgufConfig(config, name);
  auto tables = std::make_shared<std::vector<GgufTable>>(std::move(written.tables));
  GgufModel model{std::move(written.metadata), {}, {source, tables}};
  for (const GgufTable &table : *tables)
    model.tensors.push_back({table.name,
                             {TensorType::F32,
                              {int64_t(table.values.size())},
                              std::as_bytes(std::span(table.values))}});
  for (size_t i = 0; i < parameters.size(); ++i) {
    GgufNameMatch match = ggufNameOf(family, parameters[i].name);
    if (!match.entry)
      fail("'{}': GGUF has no name for tensor '{}'", folder.string(), parameters[i].name);
    model.tensors.push_back({match.name, toGguf(*match.entry, config, *views[i])});
  }
  writeGgufTokenizer(tokenizerOf(folder, config), model.metadata);
  return model;
}

} // namespace lmc
