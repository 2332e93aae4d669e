// A config.json of Hugging Face, read strictly, and what the readers of all families share.
#pragma once

#include "frontend/ModelConfig.h"
#include "frontend/SpecFields.h"

#include <nlohmann/json.hpp>

#include <span>

namespace lmc::huggingface {

/// The top level with the lines of its keys, and the whole as JSON for values that are nested.
struct ConfigFile {
  nlohmann::json root;
  SpecFields fields;
  std::string name; ///< in errors
};

/// Throws Error for what cannot be read, is no JSON object or gives a key twice.
ConfigFile readConfigFile(const std::filesystem::path &file);

/// A whole JSON file of any kind. Throws Error with file:line.
nlohmann::json readJson(const std::filesystem::path &file);

/// Fields of a nested object, with the line of the key that holds it. `holder` names it in errors.
SpecFields nestedFields(const ConfigFile &config, const nlohmann::json &object,
                        std::string_view holder);

/// A key that must have the one value that the graph computes.
struct FixedKey {
  std::string_view key;
  bool value;
};

/// Throws Error for keys that are in none of the lists and not known to leave the numbers alone.
void checkKeys(const ConfigFile &config, std::vector<std::string_view> understood,
               std::span<const FixedKey> fixed);

/// An activation by the name that transformers has for it.
Activation readActivation(const SpecFields &fields, std::string_view key,
                          std::string_view fallback);
std::string_view activationName(Activation kind);

/// bos_token_id, and eos_token_id, a number or a list of them.
void readTokenIds(ModelConfig &config, const ConfigFile &file);

/// Of model_type gpt2; throws Error.
ModelConfig readGpt2(const ConfigFile &file);
nlohmann::ordered_json writeGpt2(const ModelConfig &config);

/// Of model_type bert, with what sentence-transformers' files beside it say of pooling; throws Error.
ModelConfig readBert(const ConfigFile &file);
nlohmann::ordered_json writeBert(const ModelConfig &config);

/// Of a model_type with a DecoderStyle; throws Error.
ModelConfig readDecoder(const ConfigFile &file, Architecture architecture);
nlohmann::ordered_json writeDecoder(const ModelConfig &config);
/// The architecture of a model_type; nullopt where it is no decoder with a DecoderStyle.
std::optional<Architecture> decoderOf(std::string_view modelType);
/// All of them.
std::vector<std::string_view> decoderTypes();

/// rope_theta, rope_scaling and rope_parameters, in the spellings of transformers 4 and 5, into
/// config.rope and localRopeTheta. headDim and context must be set. Throws Error.
void readRope(ModelConfig &config, const ConfigFile &file, double defaultTheta);
/// The keys that it reads, and what writes them as transformers 4 has them.
std::vector<std::string_view> ropeKeys(const DecoderStyle &style);
void writeRope(const ModelConfig &config, nlohmann::ordered_json &out);

} // namespace lmc::huggingface
