// Hugging Face's config.json, by model_type.
#include "frontend/huggingface/ConfigFile.h"

#include <fmt/ranges.h>

namespace lmc {

using namespace huggingface;

ModelConfig readHuggingFaceConfig(const std::filesystem::path &path) {
  ConfigFile file = readConfigFile(path);
  const SpecFields &fields = file.fields;
  std::string type = fields.text("model_type");
  if (type == "gpt2")
    return readGpt2(file);
  if (type == "bert")
    return readBert(file);
  if (std::optional<Architecture> architecture = decoderOf(type))
    return readDecoder(file, *architecture);
  if (type == "gemma3")
    fields.bad("model_type", "model_type 'gemma3' is text and images; the text model alone has "
                             "model_type 'gemma3_text'");
  if (type != "lmc")
    fields.bad("model_type", "model_type '{}' is not supported: expected one of gpt2, bert, {}",
               type.substr(0, 40), fmt::join(decoderTypes(), ", "));
  try {
    return readModelSpec(YAML::Load(fields.text("lmc_spec")), file.name);
  } catch (const YAML::Exception &error) {
    fields.bad("lmc_spec", "lmc_spec: {}", error.msg);
  }
}

std::string huggingFaceConfig(const ModelConfig &c) {
  nlohmann::ordered_json out;
  if (!c.takesTokens()) {
    out = {{"model_type", "lmc"}, {"lmc_spec", canonicalSpec(c)}};
    return out.dump(2) + "\n";
  }
  if (c.isEncoder())
    out = writeBert(c);
  else
    out = decoderStyle(c.architecture) ? writeDecoder(c) : writeGpt2(c);
  out["tie_word_embeddings"] = c.tiedHead;
  out["bos_token_id"] = c.bosId ? nlohmann::ordered_json(*c.bosId) : nlohmann::ordered_json();
  if (c.eosIds.size() == 1)
    out["eos_token_id"] = c.eosIds.front();
  else
    out["eos_token_id"] =
        c.eosIds.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(c.eosIds);
  out["torch_dtype"] = "float32";
  return out.dump(2) + "\n";
}

} // namespace lmc
