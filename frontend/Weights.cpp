#include "frontend/Weights.h"

#include "frontend/checkpoint/StackedNames.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/models/Blocks.h"
#include "runtime/Error.h"
#include "runtime/Philox.h"

#include <xxhash.h>

#include <algorithm>
#include <set>

namespace lmc {
namespace {

constexpr const char *headName = "lm_head.weight";

/// The checkpoint's spelling of a parameter's name.
std::string spelling(const WeightSource &source, const ModelFamily &family, const std::string &name,
                     std::span<const int64_t> shape) {
  auto has = [&](const std::string &name) {
    return source.find(name) || source.find(storedNames(name, shape).front());
  };
  llvm::StringRef bare = name;
  if (!has(name) && bare.consume_front(family.optionalPrefix) && has(bare.str()))
    return bare.str();
  return name;
}

bool isBuffer(const ModelFamily &family, llvm::StringRef name) {
  return llvm::any_of(family.bufferSuffixes,
                      [&](llvm::StringRef suffix) { return name.ends_with(suffix); });
}

} // namespace

void initialiseParameter(const ParameterSpec &parameter, uint64_t seed, std::span<float> values) {
  auto mean = static_cast<float>(parameter.initMean);
  if (parameter.initDeviation == 0) {
    std::fill(values.begin(), values.end(), mean);
    return;
  }
  // The stream is the name's hash: other parameters coming or going change nothing here.
  Philox(seed, XXH3_64bits(parameter.name.data(), parameter.name.size())).fillNormal(values);
  for (float &value : values)
    value = mean + static_cast<float>(parameter.initDeviation) * value;
}

std::unique_ptr<WeightSource> openModelWeights(const std::filesystem::path &path) {
  return isGguf(path) ? openGgufWeights(path) : openWeights(path);
}

std::vector<const TensorView *> matchWeights(const WeightSource &source, const ModelConfig &config,
                                             std::span<const ParameterSpec> parameters) {
  const ModelFamily &family = familyOf(config.architecture);
  std::vector<const TensorView *> views;
  std::set<std::string> used;
  for (const ParameterSpec &parameter : parameters) {
    std::string name = spelling(source, family, parameter.name, parameter.shape);
    views.push_back(&source.require(name, parameter.shape));
    used.insert(name);
    for (const std::string &part : storedNames(name, parameter.shape))
      used.insert(part);
  }
  for (const std::string &name : source.names()) {
    if (used.contains(name) || isBuffer(family, name))
      continue;
    if (name != headName || !config.isLanguageModel() || !config.tiedHead)
      fail("'{}': the model has no parameter for tensor '{}'", source.describe(name), name);
    const TensorView &head = *source.find(name);
    const TensorView &table = *source.find(spelling(source, family, family.embedding.str(), {}));
    if (head.type != table.type || !std::ranges::equal(head.bytes, table.bytes))
      fail("'{}': tensor '{}' differs from the embedding, but the config ties them",
           source.describe(name), name);
  }
  return views;
}

} // namespace lmc
