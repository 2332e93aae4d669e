// Hugging Face's config.json for GPT-2 and Llama.
//   Source: transformers, GPT2Config and LlamaConfig (field names and defaults).
#include "frontend/ModelLimits.h"

#include <nlohmann/json.hpp>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

namespace lmc {
namespace {

using nlohmann::json;

constexpr size_t maxFileBytes = 4 << 20;

/// Keys that leave the numbers of a forward pass and of training without dropout alone.
constexpr std::string_view ignoredKeys[] = {"_attn_implementation_autoset",
                                            "_name_or_path",
                                            "architectures",
                                            "attention_dropout",
                                            "attn_pdrop",
                                            "auto_map",
                                            "chunk_size_feed_forward",
                                            "dtype",
                                            "embd_pdrop",
                                            "gradient_checkpointing",
                                            "id2label",
                                            "initializer_range",
                                            "is_decoder",
                                            "label2id",
                                            "n_ctx",
                                            "output_attentions",
                                            "output_hidden_states",
                                            "output_past",
                                            "pad_token_id",
                                            "pretraining_tp",
                                            "reorder_and_upcast_attn",
                                            "resid_pdrop",
                                            "return_dict",
                                            "summary_activation",
                                            "summary_first_dropout",
                                            "summary_proj_to_labels",
                                            "summary_type",
                                            "summary_use_proj",
                                            "task_specific_params",
                                            "torch_dtype",
                                            "transformers_version",
                                            "unk_token_id",
                                            "use_cache"};

/// Keys that must have the one value that the graph computes.
struct FixedKey {
  std::string_view key;
  bool value;
};
constexpr FixedKey gpt2Fixed[] = {{"add_cross_attention", false},
                                  {"is_encoder_decoder", false},
                                  {"scale_attn_by_inverse_layer_idx", false},
                                  {"scale_attn_weights", true}};
constexpr FixedKey llamaFixed[] = {
    {"attention_bias", false}, {"is_encoder_decoder", false}, {"mlp_bias", false}};

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
constexpr std::string_view llamaKeys[] = {"bos_token_id",
                                          "eos_token_id",
                                          "head_dim",
                                          "hidden_act",
                                          "hidden_size",
                                          "intermediate_size",
                                          "max_position_embeddings",
                                          "model_type",
                                          "num_attention_heads",
                                          "num_hidden_layers",
                                          "num_key_value_heads",
                                          "rms_norm_eps",
                                          "rope_parameters",
                                          "rope_scaling",
                                          "rope_theta",
                                          "tie_word_embeddings",
                                          "vocab_size"};

struct ActivationName {
  std::string_view name;
  Activation kind;
};
constexpr ActivationName activations[] = {{"gelu_new", Activation::GeluTanh},
                                          {"gelu", Activation::GeluExact},
                                          {"gelu_pytorch_tanh", Activation::GeluTanh},
                                          {"silu", Activation::Silu},
                                          {"swish", Activation::Silu},
                                          {"relu", Activation::Relu}};

/// Characters of a text for the parser, which reads them one after the other; counts lines.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char *;
  using reference = const char &;

  const char *at;
  int *line;

  reference operator*() const { return *at; }
  CountingIterator &operator++() {
    *line += *at++ == '\n';
    return *this;
  }
  bool operator==(const CountingIterator &other) const { return at == other.at; }
  bool operator!=(const CountingIterator &other) const { return at != other.at; }
};

struct Document {
  json root;
  std::map<std::string, int> lines; // of the top-level keys
};

Document parse(const std::string &text, const std::string &file) {
  Document document;
  int line = 1;
  auto onEvent = [&](int depth, json::parse_event_t event, json &value) {
    if (event == json::parse_event_t::key && depth == 1)
      if (!document.lines.emplace(value.get<std::string>(), line).second)
        fail("{}:{}: '{}' is given twice", file, line, value.get<std::string>());
    return true;
  };
  try {
    document.root = json::parse(CountingIterator{text.data(), &line},
                                CountingIterator{text.data() + text.size(), &line}, onEvent);
  } catch (const json::exception &) {
    fail("{}:{}: not valid JSON", file, line);
  }
  if (!document.root.is_object())
    fail("{}: expected a JSON object", file);
  return document;
}

SpecFields::Value valueOf(const json &value, int line) {
  using Kind = SpecFields::Value::Kind;
  if (value.is_null())
    return {Kind::Null, "", line};
  if (value.is_structured())
    return {Kind::Nested, "", line};
  if (value.is_string())
    return {Kind::Quoted, value.get<std::string>(), line};
  return {Kind::Plain, value.dump(), line};
}

template <size_t N, size_t M>
void checkKeys(const SpecFields &fields, const std::string_view (&understood)[N],
               const FixedKey (&fixed)[M]) {
  std::vector<std::string_view> known(std::begin(understood), std::end(understood));
  for (const FixedKey &entry : fixed) {
    known.push_back(entry.key);
    if (fields.boolean(entry.key, entry.value) != entry.value)
      fields.bad(entry.key, "{} = {} is not supported", entry.key, !entry.value);
  }
  known.insert(known.end(), std::begin(ignoredKeys), std::end(ignoredKeys));
  fields.checkKnown(known);
}

Activation readActivation(const SpecFields &fields, std::string_view key, const char *fallback) {
  std::string name = fields.text(key, fallback);
  for (const ActivationName &entry : activations)
    if (entry.name == name)
      return entry.kind;
  fields.bad(key, "{}: activation '{}' is not supported", key, name.substr(0, 40));
}

/// eos_token_id is a number or a list of them.
void readTokenIds(ModelConfig &c, const SpecFields &fields, const json &root) {
  if (fields.has("bos_token_id"))
    c.bosId = fields.count("bos_token_id", 0, maxVocab);
  if (!fields.has("eos_token_id"))
    return;
  const json &eos = root.at("eos_token_id");
  if (!eos.is_array()) {
    c.eosIds = {fields.count("eos_token_id", 0, maxVocab)};
    return;
  }
  for (const json &id : eos) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= uint64_t{maxVocab})
      fields.bad("eos_token_id", "eos_token_id: expected ids in [0, {}), got {}", c.vocab,
                 id.dump().substr(0, 40));
    c.eosIds.push_back(id.get<int64_t>());
  }
}

ModelConfig gpt2(const SpecFields &fields, const json &root) {
  checkKeys(fields, gpt2Keys, gpt2Fixed);
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
  readTokenIds(c, fields, root);
  completeSizes(c, fields, {"n_embd", "n_head", "n_head", "n_head", "vocab_size", "bos_token_id"});
  return c;
}

/// The plain kind of rotary positions, in the spelling of transformers 4 or 5.
double readRopeTheta(const SpecFields &fields, const json &root) {
  double theta = fields.positive("rope_theta", 10000);
  for (const char *key : {"rope_scaling", "rope_parameters"}) {
    if (!fields.has(key))
      continue;
    const json &rope = root.at(key);
    if (!rope.is_object())
      fields.bad(key, "{}: expected an object or null", key);
    for (const auto &[name, value] : rope.items()) {
      if ((name == "rope_type" || name == "type") && value == "default")
        continue;
      if (name != "rope_theta" || !value.is_number())
        fields.bad(key, "{}: {} = {} is not supported", key, name, value.dump().substr(0, 40));
      SpecFields nested(fields.where(key));
      nested.add(name, valueOf(value, 0));
      theta = nested.positive(name);
    }
  }
  return theta;
}

ModelConfig llama(const SpecFields &fields, const json &root) {
  checkKeys(fields, llamaKeys, llamaFixed);
  ModelConfig c;
  c.architecture = Architecture::Llama;
  c.layers = fields.count("num_hidden_layers", 1, maxLayers);
  c.width = fields.count("hidden_size", 1, maxWidth);
  c.heads = fields.count("num_attention_heads", 1, maxWidth);
  c.kvHeads = fields.count("num_key_value_heads", 1, maxWidth, 0);
  c.headDim = fields.count("head_dim", 1, maxWidth, 0);
  c.ffnWidth = fields.count("intermediate_size", 1, 8 * maxWidth);
  c.vocab = fields.count("vocab_size", 1, maxVocab);
  c.context = fields.count("max_position_embeddings", 1, maxContext);
  c.normEps = fields.positive("rms_norm_eps", 1e-6);
  c.ropeTheta = readRopeTheta(fields, root);
  c.activation = readActivation(fields, "hidden_act", "silu");
  if (c.activation != Activation::Silu)
    fields.bad("hidden_act", "hidden_act: expected silu, got '{}'", fields.text("hidden_act"));
  c.tiedHead = fields.boolean("tie_word_embeddings", false);
  c.biases = false;
  readTokenIds(c, fields, root);
  completeSizes(c, fields,
                {"hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim",
                 "vocab_size", "bos_token_id"});
  return c;
}

std::string readText(const std::filesystem::path &file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(maxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (stream.bad() || (!stream.eof() && text.empty()))
    fail("{}: cannot be read", file.string());
  if (text.size() > maxFileBytes)
    fail("{}: too large for a config.json", file.string());
  return text;
}

const char *huggingFaceName(Activation kind) {
  for (const ActivationName &entry : activations)
    if (entry.kind == kind)
      return entry.name.data();
  return "";
}

} // namespace

ModelConfig readHuggingFaceConfig(const std::filesystem::path &file) {
  std::string name = file.string();
  Document document = parse(readText(file), name);
  SpecFields fields(name);
  for (const auto &[key, value] : document.root.items())
    fields.add(key, valueOf(value, document.lines[key]));
  std::string type = fields.text("model_type");
  if (type == "gpt2")
    return gpt2(fields, document.root);
  if (type == "llama")
    return llama(fields, document.root);
  if (type != "lmc")
    fields.bad("model_type", "model_type '{}' is not supported: expected gpt2 or llama",
               type.substr(0, 40));
  try {
    return readModelSpec(YAML::Load(fields.text("lmc_spec")), name);
  } catch (const YAML::Exception &error) {
    fields.bad("lmc_spec", "lmc_spec: {}", error.msg);
  }
}

std::string huggingFaceConfig(const ModelConfig &c) {
  nlohmann::ordered_json out;
  if (c.architecture == Architecture::Gpt2) {
    out = {{"model_type", "gpt2"},
           {"architectures", {"GPT2LMHeadModel"}},
           {"n_layer", c.layers},
           {"n_embd", c.width},
           {"n_head", c.heads},
           {"n_inner", c.ffnWidth},
           {"n_positions", c.context},
           {"n_ctx", c.context},
           {"vocab_size", c.vocab},
           {"layer_norm_epsilon", c.normEps},
           {"activation_function", huggingFaceName(c.activation)}};
    if (!c.biases) // transformers then starts from zero biases, which computes the same
      out["lmc_biases"] = false;
  } else if (c.architecture == Architecture::Llama) {
    out = {{"model_type", "llama"},
           {"architectures", {"LlamaForCausalLM"}},
           {"num_hidden_layers", c.layers},
           {"hidden_size", c.width},
           {"num_attention_heads", c.heads},
           {"num_key_value_heads", c.kvHeads},
           {"head_dim", c.headDim},
           {"intermediate_size", c.ffnWidth},
           {"max_position_embeddings", c.context},
           {"vocab_size", c.vocab},
           {"rms_norm_eps", c.normEps},
           {"rope_theta", c.ropeTheta},
           {"hidden_act", "silu"},
           {"attention_bias", false},
           {"mlp_bias", false}};
  } else {
    out = {{"model_type", "lmc"}, {"lmc_spec", canonicalSpec(c)}};
    return out.dump(2) + "\n";
  }
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
