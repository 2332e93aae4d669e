#include "frontend/ModelConfig.h"

#include "frontend/ModelLimits.h"

namespace lmc {

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
  if (c.architecture == Architecture::Gpt2) {
    if (c.kvHeads != c.heads)
      fields.bad(names.kvHeads, "{} ({}) must equal {} ({}) in gpt2", names.kvHeads, c.kvHeads,
                 names.heads, c.heads);
    if (c.headDim * c.heads != c.width)
      fields.bad(names.headDim, "{} ({}) times {} ({}) must be {} ({}) in gpt2", names.headDim,
                 c.headDim, names.heads, c.heads, names.width, c.width);
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
