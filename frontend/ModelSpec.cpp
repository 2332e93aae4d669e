// Model specs in YAML.
#include "frontend/DecoderSpec.h"
#include "frontend/ModelLimits.h"
#include "runtime/NearestWord.h"

#include <algorithm>
#include <array>
#include <span>

namespace lmc {
namespace {

using Kind = LayerSpec::Kind;

constexpr std::array<std::string_view, 15> languageKeys = {
    "architecture", "layers",     "width",  "heads",   "kv_heads",
    "head_dim",     "ffn_width",  "vocab",  "context", "norm_eps",
    "tied_head",    "activation", "biases", "bos_id",  "eos_id"};
constexpr std::array<std::string_view, 6> layerKeys = {"architecture", "layers",   "inputs",
                                                       "classes",      "norm_eps", "loss"};
constexpr std::array<std::string_view, 3> encoderKeys = {"token_types", "pooling", "normalize"};
constexpr std::array<std::string_view, 2> irKeys = {"architecture", "file"};

constexpr std::array<std::string_view, 4> activationNames = {"gelu", "gelu_tanh", "silu", "relu"};
constexpr std::array<std::string_view, 2> poolingNames = {"mean", "first"};
constexpr std::array<std::string_view, 7> layerNames = {
    "linear", "layer_norm", "rms_norm", "gelu", "gelu_tanh", "silu", "relu"};

int lineOf(const YAML::Node &node) { return node.Mark().line >= 0 ? node.Mark().line + 1 : 0; }

SpecFields::Value valueOf(const YAML::Node &key, const YAML::Node &node) {
  using FieldKind = SpecFields::Value::Kind;
  // Null and block-style nodes have no useful mark of their own.
  int line = node.IsScalar() ? lineOf(node) : lineOf(key);
  if (node.IsNull())
    return {FieldKind::Null, "", line};
  if (!node.IsScalar())
    return {FieldKind::Nested, "", line};
  return {node.Tag() == "!" ? FieldKind::Quoted : FieldKind::Plain, node.Scalar(), line};
}

SpecFields fieldsOf(const YAML::Node &mapping, const std::string &file) {
  if (!mapping.IsDefined() || !mapping.IsMap())
    fail("{}: expected a mapping of keys such as 'architecture' and 'width'", file);
  SpecFields fields(file);
  for (const auto &entry : mapping) {
    if (!entry.first.IsScalar())
      fail("{}:{}: a key must be a plain word", file, lineOf(entry.first));
    fields.add(entry.first.Scalar(), valueOf(entry.first, entry.second));
  }
  return fields;
}

size_t choose(const SpecFields &fields, std::string_view key, std::string word,
              std::span<const std::string_view> names) {
  auto it = std::find(names.begin(), names.end(), word);
  if (it == names.end())
    fields.bad(key, "{}: expected one of {}, got '{}'{}", key, fmt::join(names, ", "),
               word.substr(0, 40), nearestWord(word, names));
  return static_cast<size_t>(it - names.begin());
}

std::vector<int64_t> readIds(const SpecFields &fields, const YAML::Node &node, int64_t vocab,
                             const std::string &file) {
  if (!fields.has("eos_id"))
    return {};
  if (!node.IsSequence())
    return {fields.count("eos_id", 0, vocab - 1)};
  std::vector<int64_t> ids;
  for (const YAML::Node &element : node) {
    SpecFields one(file);
    one.add("eos_id", valueOf(element, element));
    ids.push_back(one.count("eos_id", 0, vocab - 1));
  }
  return ids;
}

void readEncoder(EncoderConfig &c, const SpecFields &fields) {
  c.tokenTypes = fields.count("token_types", 1, maxVocab, c.tokenTypes);
  c.pooling =
      static_cast<Pooling>(choose(fields, "pooling", fields.text("pooling", "mean"), poolingNames));
  c.normalized = fields.boolean("normalize", c.normalized);
}

/// Of a model that takes tokens.
ModelConfig tokenModel(const SpecFields &fields, const YAML::Node &mapping, const std::string &file,
                       Architecture which) {
  const DecoderStyle *style = decoderStyle(which);
  std::vector<std::string_view> known(languageKeys.begin(), languageKeys.end());
  for (std::string_view key : decoderSpecKeys()) {
    if (style)
      known.push_back(key);
    else if (fields.has(key))
      fields.bad(key, "{}: {} has learned positions, and attention over all of them", key,
                 architectureName(which));
  }
  bool encoder = which == Architecture::Bert;
  if (encoder)
    known.insert(known.end(), encoderKeys.begin(), encoderKeys.end());
  fields.checkKnown(known);
  ModelConfig c;
  c.architecture = which;
  c.layers = fields.count("layers", 1, maxLayers);
  c.width = fields.count("width", 1, maxWidth);
  c.heads = fields.count("heads", 1, maxWidth);
  c.kvHeads = fields.count("kv_heads", 1, maxWidth, 0);
  c.headDim = fields.count("head_dim", 1, maxWidth, 0);
  // Llama's own rule: two thirds of 4 C, rounded up (Shazeer 2020 keeps the parameter count so).
  int64_t ffn = style ? (8 * c.width / 3 + 31) / 32 * 32 : 4 * c.width;
  c.ffnWidth = fields.count("ffn_width", 1, 8 * maxWidth, ffn);
  c.vocab = fields.count("vocab", 1, maxVocab);
  c.context = fields.count("context", 1, maxContext);
  c.normEps = fields.positive("norm_eps", encoder ? 1e-12 : 1e-5);
  c.tiedHead = fields.boolean("tied_head", !style || style->scaledEmbedding);
  Activation fallback = style     ? style->activation
                        : encoder ? Activation::GeluExact
                                  : Activation::GeluTanh;
  std::string_view own = activationNames[static_cast<size_t>(fallback)];
  c.activation = static_cast<Activation>(
      choose(fields, "activation", fields.text("activation", std::string(own)), activationNames));
  if (style && c.activation != fallback)
    fields.bad("activation", "activation: {} has {}, got '{}'", architectureName(which), own,
               fields.text("activation"));
  c.biases = fields.boolean("biases", !style);
  if (style && c.biases)
    fields.bad("biases",
               "biases: {} has none in its norms and head; see attention_biases and "
               "mlp_biases",
               architectureName(which));
  if (encoder && !c.biases)
    fields.bad("biases", "biases: bert has them everywhere");
  if (fields.has("bos_id"))
    c.bosId = fields.count("bos_id", 0, c.vocab - 1);
  c.eosIds = readIds(fields, mapping["eos_id"], c.vocab, file);
  completeSizes(c, fields, {"width", "heads", "kv_heads", "head_dim", "vocab", "bos_id"});
  if (style) {
    readDecoderSpec(c, fields, mapping);
    checkDecoder(c, file);
  }
  if (encoder)
    readEncoder(c.encoder, fields);
  return c;
}

/// "relu", or {linear: {width: 64, bias: false}}.
LayerSpec readLayer(const YAML::Node &node, const std::string &file) {
  YAML::Node name = node, options;
  if (node.IsMap() && node.size() == 1) {
    name.reset(node.begin()->first); // assignment would write into the document
    options.reset(node.begin()->second);
  }
  SpecFields one(file);
  one.add("layers", valueOf(name, name));
  LayerSpec layer;
  layer.kind = static_cast<Kind>(choose(one, "layers", one.text("layers"), layerNames));
  if (layer.kind != Kind::Linear) {
    if (options.IsDefined() && !options.IsNull())
      one.bad("layers", "layers: {} takes no options", one.text("layers"));
    return layer;
  }
  if (!options.IsDefined() || !options.IsMap())
    one.bad("layers", "layers: linear needs a width, as in {{linear: {{width: 64}}}}");
  SpecFields fields = fieldsOf(options, file);
  constexpr std::array<std::string_view, 2> known = {"width", "bias"};
  fields.checkKnown(known);
  layer.width = fields.count("width", 1, maxWidth);
  layer.bias = fields.boolean("bias", true);
  return layer;
}

ModelConfig layerNetwork(const SpecFields &fields, const YAML::Node &mapping,
                         const std::string &file) {
  fields.checkKnown(layerKeys);
  ModelConfig c;
  c.architecture = Architecture::Layers;
  c.inputs = fields.count("inputs", 1, maxWidth);
  c.classes = fields.count("classes", 1, maxWidth);
  c.normEps = fields.positive("norm_eps", 1e-5);
  if (std::string loss = fields.text("loss", "cross_entropy"); loss != "cross_entropy")
    fields.bad("loss", "loss: expected cross_entropy, got '{}'", loss);
  const YAML::Node list = mapping["layers"];
  if (list.size() > static_cast<size_t>(maxLayers))
    fields.bad("layers", "layers: at most {}, got {}", maxLayers, list.size());
  for (const YAML::Node &node : list)
    c.layerList.push_back(readLayer(node, file));
  return c;
}

std::string layerText(const LayerSpec &layer) {
  std::string_view name = layerNames[static_cast<size_t>(layer.kind)];
  if (layer.kind != Kind::Linear)
    return std::string(name);
  return fmt::format("linear: {{width: {}, bias: {}}}", layer.width, layer.bias);
}

} // namespace

ModelConfig readModelSpec(const YAML::Node &mapping, const std::string &file) {
  SpecFields fields = fieldsOf(mapping, file);
  std::vector<std::string_view> architectures;
  for (size_t i = 0; i <= static_cast<size_t>(Architecture::Ir); ++i)
    architectures.push_back(architectureName(static_cast<Architecture>(i)));
  bool list = mapping["layers"].IsDefined() && mapping["layers"].IsSequence();
  if (!fields.has("architecture") && !list)
    fail("{}: 'architecture' is missing: expected one of {}", file, fmt::join(architectures, ", "));
  auto which = static_cast<Architecture>(
      choose(fields, "architecture", fields.text("architecture", "layers"), architectures));
  if (which == Architecture::Layers) {
    if (!list)
      fields.bad("layers", "layers: expected a list such as [linear: {{width: 64}}, relu]");
    return layerNetwork(fields, mapping, file);
  }
  if (which != Architecture::Ir)
    return tokenModel(fields, mapping, file, which);
  fields.checkKnown(irKeys);
  ModelConfig config;
  config.architecture = Architecture::Ir;
  config.irFile = std::filesystem::path(file).parent_path() / fields.text("file");
  return config;
}

std::string canonicalSpec(const ModelConfig &c) {
  if (c.architecture == Architecture::Ir) {
    YAML::Emitter file;
    file << YAML::DoubleQuoted << std::filesystem::absolute(c.irFile).string();
    return fmt::format("architecture: mlir\nfile: {}\n", file.c_str());
  }
  if (c.architecture == Architecture::Layers) {
    std::string text =
        fmt::format("architecture: layers\ninputs: {}\nclasses: {}\nnorm_eps: {}\n"
                    "loss: cross_entropy\nlayers:{}\n",
                    c.inputs, c.classes, c.normEps, c.layerList.empty() ? " []" : "");
    for (const LayerSpec &layer : c.layerList)
      text += "  - " + layerText(layer) + "\n";
    return text;
  }
  std::string text = fmt::format(
      "architecture: {}\nlayers: {}\nwidth: {}\nheads: {}\nkv_heads: {}\nhead_dim: {}\n"
      "ffn_width: {}\nvocab: {}\ncontext: {}\nnorm_eps: {}\ntied_head: {}\nactivation: {}\n"
      "biases: {}\n",
      architectureName(c.architecture), c.layers, c.width, c.heads, c.kvHeads, c.headDim,
      c.ffnWidth, c.vocab, c.context, c.normEps, c.tiedHead,
      activationNames[static_cast<size_t>(c.activation)], c.biases);
  if (decoderStyle(c.architecture))
    text += decoderSpecText(c);
  if (c.isEncoder())
    text += fmt::format("token_types: {}\npooling: {}\nnormalize: {}\n", c.encoder.tokenTypes,
                        poolingNames[static_cast<size_t>(c.encoder.pooling)], c.encoder.normalized);
  if (c.bosId)
    text += fmt::format("bos_id: {}\n", *c.bosId);
  if (!c.eosIds.empty())
    text += fmt::format("eos_id: [{}]\n", fmt::join(c.eosIds, ", "));
  return text;
}

} // namespace lmc
