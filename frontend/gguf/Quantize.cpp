#include "frontend/gguf/Quantize.h"

#include "runtime/Error.h"
#include "runtime/Team.h"

#include <algorithm>
#include <cmath>

namespace lmc {
namespace {

/// The largest f16, in which blocks keep their scales.
constexpr float maxHalf = 65504;

void checkWeights(std::string_view name, TensorType type, std::span<const float> values) {
  bool narrow = type != TensorType::F32 && type != TensorType::BF16;
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]) || (narrow && std::fabs(values[i]) > maxHalf))
      fail("tensor '{}': element {} is {}, which {} cannot hold", name, i, values[i], nameOf(type));
}

/// Blocks of all values, each worker a share of them.
std::vector<std::byte> quantised(TensorType type, std::span<const float> values, Team &team) {
  const TensorFormat &format = formatOf(type);
  int64_t numBlocks = int64_t(values.size()) / format.blockElements;
  std::vector<std::byte> blocks(numBlocks * format.blockBytes);
  team.parallel([&](int worker) {
    int64_t begin = numBlocks * worker / team.size(), end = numBlocks * (worker + 1) / team.size();
    format.quantise(values.data() + begin * format.blockElements, end - begin,
                    blocks.data() + begin * format.blockBytes);
  });
  return blocks;
}

bool isTied(const GgufModel &model) {
  return std::ranges::none_of(model.tensors,
                              [](const auto &tensor) { return tensor.name == "output.weight"; });
}

} // namespace

std::vector<QuantizedTensor> planQuantization(const GgufModel &model, const QuantizationMix &mix,
                                              bool requantize) {
  MixFacts facts = mixFactsOf(model.metadata, isTied(model));
  std::vector<QuantizedTensor> plan;
  for (const auto &[name, view] : model.tensors) {
    TensorChoice to = chooseType(mix, facts, name, view.shape, view.type);
    if (to.type != view.type) {
      if (!formatOf(view.type).dequantise)
        fail("tensor '{}' is {}, which cannot be read as F32", name, nameOf(view.type));
      if (formatOf(view.type).isQuantised() && !requantize)
        fail("tensor '{}' is {} already, and quantising twice adds up errors; take the original "
             "model, or give --allow-requantize",
             name, nameOf(view.type));
    }
    uint64_t elements = view.numElements();
    const TensorFormat &format = formatOf(to.type);
    plan.push_back({name, view.shape, view.type, to, view.sizeBytes(),
                    elements / format.blockElements * format.blockBytes});
  }
  return plan;
}

void quantize(const GgufModel &model, const QuantizationMix &mix,
              const std::vector<QuantizedTensor> &plan, const std::filesystem::path &output,
              int threads, const std::function<void(const QuantizedTensor &)> &onTensor) {
  GgufMetadata metadata = model.metadata;
  metadata.set("general.file_type", mix.fileType);
  metadata.set("general.quantization_version", uint32_t(2));
  std::vector<GgufTensorInfo> infos;
  for (const QuantizedTensor &tensor : plan)
    infos.push_back({tensor.name, tensor.to.type, tensor.shape});
  GgufWriter writer(output, std::move(metadata), std::move(infos));
  Team team(threads);
  std::vector<float> values;
  for (size_t i = 0; i < plan.size(); ++i) {
    const TensorView &view = model.tensors[i].view;
    if (onTensor)
      onTensor(plan[i]);
    if (plan[i].to.type == view.type && view.isPlain()) {
      writer.write(view.bytes);
      continue;
    }
    values.resize(view.numElements());
    readAsF32(view, values);
    checkWeights(plan[i].name, plan[i].to.type, values);
    writer.write(quantised(plan[i].to.type, values, team));
  }
  writer.commit();
}

} // namespace lmc
