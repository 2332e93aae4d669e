#include "frontend/ModelConfig.h"

#include "frontend/ModelLimits.h"
#include "frontend/gguf/GgufModel.h"

#include <array>

namespace lmc {

std::string_view architectureName(Architecture architecture) {
  constexpr std::array<std::string_view, 13> names = {
      "gpt2", "llama",  "mistral", "qwen2", "qwen3",  "qwen3_moe", "mixtral",
      "phi3", "gemma2", "gemma3",  "bert",  "layers", "mlir"};
  return names.at(static_cast<size_t>(architecture));
}

const DecoderStyle *decoderStyle(Architecture architecture) {
  static constexpr DecoderStyle llama, mistral, qwen2 = {.biasedQkv = true, .mixedAttention = true},
                                                qwen3 = {.qkNorm = true, .mixedAttention = true},
                                                phi3 = {.fusedProjections = true};
  static constexpr ExpertStyle mixtralExperts = {".block_sparse_moe", "w1", "w3", "w2", true},
                               qwenExperts = {".mlp", "gate_proj", "up_proj", "down_proj"};
  static constexpr DecoderStyle mixtral = {.experts = &mixtralExperts},
                                qwen3Moe = {.qkNorm = true, .experts = &qwenExperts};
  static constexpr DecoderStyle gemma2 = {.sandwichNorms = true,
                                          .offsetNorms = true,
                                          .scaledEmbedding = true,
                                          .mixedAttention = true,
                                          .caps = true,
                                          .activation = Activation::GeluTanh};
  static constexpr DecoderStyle gemma3 = [] {
    DecoderStyle style = gemma2;
    style.qkNorm = style.localRotation = true;
    return style;
  }();
  switch (architecture) {
  case Architecture::Llama:
    return &llama;
  case Architecture::Mistral:
    return &mistral;
  case Architecture::Qwen2:
    return &qwen2;
  case Architecture::Qwen3:
    return &qwen3;
  case Architecture::Qwen3Moe:
    return &qwen3Moe;
  case Architecture::Mixtral:
    return &mixtral;
  case Architecture::Phi3:
    return &phi3;
  case Architecture::Gemma2:
    return &gemma2;
  case Architecture::Gemma3:
    return &gemma3;
  case Architecture::Gpt2:
  case Architecture::Bert:
  case Architecture::Layers:
  case Architecture::Ir:
    return nullptr;
  }
  return nullptr;
}

void completeSizes(ModelConfig &c, const SpecFields &fields, const SizeNames &names) {
  bool ownHeadDim = c.headDim != 0;
  if (!ownHeadDim) {
    if (c.width % c.heads)
      fields.bad(names.heads, "{} ({}) must divide {} ({})", names.heads, c.heads, names.width,
                 c.width);
    c.headDim = c.width / c.heads;
  }
  if (c.kvHeads == 0)
    c.kvHeads = c.heads;
  if (c.heads % c.kvHeads)
    fields.bad(names.kvHeads, "{} ({}) must divide {} ({})", names.kvHeads, c.kvHeads, names.heads,
               c.heads);
  if (!decoderStyle(c.architecture)) {
    std::string_view name = architectureName(c.architecture);
    if (c.kvHeads != c.heads)
      fields.bad(names.kvHeads, "{} ({}) must equal {} ({}) in {}", names.kvHeads, c.kvHeads,
                 names.heads, c.heads, name);
    if (c.headDim * c.heads != c.width)
      fields.bad(names.headDim, "{} ({}) times {} ({}) must be {} ({}) in {}", names.headDim,
                 c.headDim, names.heads, c.heads, names.width, c.width, name);
  } else if (c.headDim % 2) {
    fields.bad(ownHeadDim ? names.headDim : names.heads,
               "head_dim ({}) must be even for rotary positions", c.headDim);
  }
  if (c.bosId && *c.bosId >= c.vocab)
    fields.bad(names.bos, "{} ({}) is outside the vocabulary of {}", names.bos, *c.bosId, c.vocab);
  for (int64_t id : c.eosIds)
    if (id >= c.vocab)
      fields.bad(names.vocab, "end-of-text id {} is outside the vocabulary of {}", id, c.vocab);
}

ModelConfig readModelConfig(const std::filesystem::path &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (!std::filesystem::exists(path / "config.json", ignored))
      fail("{}: no config.json in this folder", path.string());
    return readHuggingFaceConfig(path / "config.json");
  }
  if (path.extension() == ".json")
    return readHuggingFaceConfig(path);
  if (isGguf(path))
    return readGgufConfig(GgufFile::open(path));
  if (path.extension() == ".mlir") {
    if (!std::filesystem::is_regular_file(path, ignored))
      fail("{}: no such file", path.string());
    ModelConfig config;
    config.architecture = Architecture::Ir;
    config.irFile = path;
    return config;
  }
  YAML::Node root;
  try {
    root = YAML::LoadFile(path.string());
  } catch (const YAML::BadFile &) {
    fail("{}: cannot be read", path.string());
  } catch (const YAML::Exception &error) {
    fail("{}:{}: {}", path.string(), error.mark.line + 1, error.msg);
  }
  return readModelSpec(root, path.string());
}

} // namespace lmc
