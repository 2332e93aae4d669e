// config.json of GPT-2. Source: transformers, GPT2Config (field names and defaults).
#include "frontend/ModelLimits.h"
#include "frontend/huggingface/ConfigFile.h"

namespace lmc::huggingface {
namespace {

constexpr FixedKey gpt2Fixed[] = {{"add_cross_attention", false},
                                  {"is_encoder_decoder", false},
                                  {"scale_attn_by_inverse_layer_idx", false},
                                  {"scale_attn_weights", true}};

constexpr std::string_view gpt2Keys[] = {"activation_function",
                                         "bos_token_id",
                                         "eos_token_id",
                                         "layer_norm_epsilon",
                                         "lmc_biases",
                                         "model_type",
                                         "n_embd",
                                         "n_head",
                                         "n_inner",
                                         "n_layer",
                                         "n_positions",
                                         "tie_word_embeddings",
                                         "vocab_size"};

} // namespace

ModelConfig readGpt2(const ConfigFile &file) {
  const SpecFields &fields = file.fields;
  checkKeys(file, {std::begin(gpt2Keys), std::end(gpt2Keys)}, gpt2Fixed);
  ModelConfig c;
  c.architecture = Architecture::Gpt2;
  c.layers = fields.count("n_layer", 1, maxLayers);
  c.width = fields.count("n_embd", 1, maxWidth);
  c.heads = fields.count("n_head", 1, maxWidth);
  c.ffnWidth = fields.count("n_inner", 1, 8 * maxWidth, 4 * c.width);
  c.vocab = fields.count("vocab_size", 1, maxVocab);
  c.context = fields.count("n_positions", 1, maxContext);
  c.normEps = fields.positive("layer_norm_epsilon", 1e-5);
  c.activation = readActivation(fields, "activation_function", "gelu_new");
  c.tiedHead = fields.boolean("tie_word_embeddings", true);
  c.biases = fields.boolean("lmc_biases", true);
  readTokenIds(c, file);
  completeSizes(c, fields, {"n_embd", "n_head", "n_head", "n_head", "vocab_size", "bos_token_id"});
  return c;
}

nlohmann::ordered_json writeGpt2(const ModelConfig &c) {
  nlohmann::ordered_json out = {{"model_type", "gpt2"},
                                {"architectures", {"GPT2LMHeadModel"}},
                                {"n_layer", c.layers},
                                {"n_embd", c.width},
                                {"n_head", c.heads},
                                {"n_inner", c.ffnWidth},
                                {"n_positions", c.context},
                                {"n_ctx", c.context},
                                {"vocab_size", c.vocab},
                                {"layer_norm_epsilon", c.normEps},
                                {"activation_function", activationName(c.activation)}};
  if (!c.biases) // transformers then starts from zero biases, which computes the same
    out["lmc_biases"] = false;
  return out;
}

} // namespace lmc::huggingface
