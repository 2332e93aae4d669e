// config.json of BERT, and sentence-transformers' modules beside it. Source: transformers, BertConfig;
// sentence-transformers, modules.json and the config.json of its Pooling module.
#include "frontend/ModelLimits.h"
#include "frontend/huggingface/ConfigFile.h"

#include <algorithm>

namespace lmc::huggingface {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr FixedKey bertFixed[] = {{"add_cross_attention", false},
                                  {"is_decoder", false},
                                  {"is_encoder_decoder", false},
                                  {"tie_encoder_decoder", false}};

/// Dropout is for training, which encoders do not have here.
constexpr std::string_view bertKeys[] = {"attention_probs_dropout_prob",
                                         "bos_token_id",
                                         "classifier_dropout",
                                         "eos_token_id",
                                         "hidden_act",
                                         "hidden_dropout_prob",
                                         "hidden_size",
                                         "intermediate_size",
                                         "layer_norm_eps",
                                         "lmc_normalize",
                                         "lmc_pooling",
                                         "max_position_embeddings",
                                         "model_type",
                                         "num_attention_heads",
                                         "num_hidden_layers",
                                         "position_embedding_type",
                                         "tie_word_embeddings",
                                         "type_vocab_size",
                                         "vocab_size"};

/// The one pooling mode that is on, under its names in old and new files.
Pooling readPooling(const ConfigFile &file) {
  std::string mode = file.fields.text("pooling_mode", "");
  for (const auto &[key, value] : file.root.items())
    if (key.starts_with("pooling_mode_") && file.fields.boolean(key, false)) {
      if (!mode.empty())
        file.fields.bad(key, "{}: a text's vector is pooled in one way, and '{}' is on too", key,
                        mode.substr(0, 40));
      mode = key.substr(std::string_view("pooling_mode_").size());
    }
  if (mode == "mean" || mode == "mean_tokens")
    return Pooling::Mean;
  if (mode == "cls" || mode == "cls_token")
    return Pooling::First;
  fail("{}: pooling '{}' is not supported: expected mean_tokens or cls_token", file.name,
       mode.substr(0, 40));
}

/// A string of one of modules.json's entries; "" where it is none.
std::string textOf(const json &module, const char *key) {
  bool given = module.is_object() && module.contains(key) && module.at(key).is_string();
  return given ? module.at(key).get<std::string>() : "";
}

/// modules.json lists what a text goes through: the encoder, pooling, maybe normalisation.
void readModules(EncoderConfig &c, const fs::path &folder) {
  fs::path path = folder / "modules.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    return;
  json modules = readJson(path);
  if (!modules.is_array())
    fail("{}: expected a list of modules", path.string());
  for (const json &module : modules) {
    std::string type = textOf(module, "type"), name = type.substr(type.rfind('.') + 1);
    if (name == "Pooling") {
      fs::path inner = textOf(module, "path");
      if (!inner.is_relative() || std::ranges::find(inner, fs::path("..")) != inner.end())
        fail("{}: the path '{}' of a module leaves the folder", path.string(), inner.string());
      c.pooling = readPooling(readConfigFile(folder / inner / "config.json"));
    } else if (name == "Normalize") {
      c.normalized = true;
    } else if (name != "Transformer") {
      fail("{}: module '{}' is not supported: expected Transformer, Pooling or Normalize",
           path.string(), type.substr(0, 80));
    }
  }
}

} // namespace

ModelConfig readBert(const ConfigFile &file) {
  const SpecFields &fields = file.fields;
  checkKeys(file, {std::begin(bertKeys), std::end(bertKeys)}, bertFixed);
  if (std::string kind = fields.text("position_embedding_type", "absolute"); kind != "absolute")
    fields.bad("position_embedding_type", "position_embedding_type: expected absolute, got '{}'",
               kind.substr(0, 40));
  ModelConfig c;
  c.architecture = Architecture::Bert;
  c.layers = fields.count("num_hidden_layers", 1, maxLayers, 12);
  c.width = fields.count("hidden_size", 1, maxWidth, 768);
  c.heads = fields.count("num_attention_heads", 1, maxWidth, 12);
  c.ffnWidth = fields.count("intermediate_size", 1, 8 * maxWidth, 3072);
  c.vocab = fields.count("vocab_size", 1, maxVocab, 30522);
  c.context = fields.count("max_position_embeddings", 1, maxContext, 512);
  c.normEps = fields.positive("layer_norm_eps", 1e-12);
  c.activation = readActivation(fields, "hidden_act", "gelu");
  c.encoder.tokenTypes = fields.count("type_vocab_size", 1, maxVocab, 2);
  readTokenIds(c, file);
  completeSizes(c, fields,
                {"hidden_size", "num_attention_heads", "num_attention_heads", "num_attention_heads",
                 "vocab_size", "bos_token_id"});
  readModules(c.encoder, fs::path(file.name).parent_path());
  std::string pooling = fields.text("lmc_pooling", "");
  if (pooling == "first")
    c.encoder.pooling = Pooling::First;
  else if (pooling == "mean")
    c.encoder.pooling = Pooling::Mean;
  else if (!pooling.empty())
    fields.bad("lmc_pooling", "lmc_pooling: expected mean or first, got '{}'",
               pooling.substr(0, 40));
  c.encoder.normalized = fields.boolean("lmc_normalize", c.encoder.normalized);
  return c;
}

nlohmann::ordered_json writeBert(const ModelConfig &c) {
  return {{"model_type", "bert"},
          {"architectures", {"BertModel"}},
          {"num_hidden_layers", c.layers},
          {"hidden_size", c.width},
          {"num_attention_heads", c.heads},
          {"intermediate_size", c.ffnWidth},
          {"max_position_embeddings", c.context},
          {"type_vocab_size", c.encoder.tokenTypes},
          {"vocab_size", c.vocab},
          {"layer_norm_eps", c.normEps},
          {"hidden_act", activationName(c.activation)},
          // transformers knows neither; sentence-transformers has files of its own for them.
          {"lmc_pooling", c.encoder.pooling == Pooling::First ? "first" : "mean"},
          {"lmc_normalize", c.encoder.normalized}};
}

} // namespace lmc::huggingface
