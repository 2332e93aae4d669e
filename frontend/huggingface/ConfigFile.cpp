#include "frontend/huggingface/ConfigFile.h"

#include "frontend/ModelLimits.h"

#include <array>
#include <fstream>
#include <iterator>

namespace lmc::huggingface {
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

} // namespace

ConfigFile readConfigFile(const std::filesystem::path &file) {
  std::string name = file.string();
  Document document = parse(readText(file), name);
  if (!document.root.is_object())
    fail("{}: expected a JSON object", name);
  ConfigFile config{std::move(document.root), SpecFields(name), name};
  for (const auto &[key, value] : config.root.items())
    config.fields.add(key, valueOf(value, document.lines[key]));
  return config;
}

nlohmann::json readJson(const std::filesystem::path &file) {
  return parse(readText(file), file.string()).root;
}

SpecFields nestedFields(const ConfigFile &config, const json &object, std::string_view holder) {
  SpecFields fields(fmt::format("{}: {}", config.fields.where(holder), holder));
  for (const auto &[key, value] : object.items())
    fields.add(key, valueOf(value, 0));
  return fields;
}

void checkKeys(const ConfigFile &config, std::vector<std::string_view> known,
               std::span<const FixedKey> fixed) {
  const SpecFields &fields = config.fields;
  for (const FixedKey &entry : fixed) {
    known.push_back(entry.key);
    if (fields.boolean(entry.key, entry.value) != entry.value)
      fields.bad(entry.key, "{} = {} is not supported", entry.key, !entry.value);
  }
  known.insert(known.end(), std::begin(ignoredKeys), std::end(ignoredKeys));
  fields.checkKnown(known);
}

Activation readActivation(const SpecFields &fields, std::string_view key,
                          std::string_view fallback) {
  std::string name = fields.text(key, std::string(fallback));
  for (const ActivationName &entry : activations)
    if (entry.name == name)
      return entry.kind;
  fields.bad(key, "{}: activation '{}' is not supported", key, name.substr(0, 40));
}

std::string_view activationName(Activation kind) {
  for (const ActivationName &entry : activations)
    if (entry.kind == kind)
      return entry.name;
  return "";
}

void readTokenIds(ModelConfig &c, const ConfigFile &file) {
  const SpecFields &fields = file.fields;
  if (fields.has("bos_token_id"))
    c.bosId = fields.count("bos_token_id", 0, maxVocab);
  if (!fields.has("eos_token_id"))
    return;
  const json &eos = file.root.at("eos_token_id");
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

} // namespace lmc::huggingface
