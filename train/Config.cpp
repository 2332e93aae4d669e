#include "train/Config.h"

#include "runtime/ByteSize.h"
#include "runtime/NearestWord.h"
#include "train/ConfigValue.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <vector>

namespace lmc {
namespace {

namespace fs = std::filesystem;

/// One row of the table. A fallback in parentheses is prose: the key stays unread when left out.
struct Field {
  std::string_view key;
  std::string kind;
  std::string fallback;
  std::string_view meaning;
  std::function<void(TrainConfig &, const ConfigValue &)> read;
  std::function<YAML::Node(const TrainConfig &)> write; ///< undefined node: left out

  bool required() const { return fallback == "(required)"; }
  /// Otherwise the fallback says in words what happens.
  bool hasDefault() const { return !fallback.starts_with('('); }
};

/// Far above any real setting, and products of two stay far below 2^63.
constexpr int64_t maxCount = int64_t{1} << 30;

// `ref` returns the member as a reference, for a const and a mutable config alike.
template <typename Ref>
Field count(std::string_view key, const char *fallback, int64_t low, Ref ref,
            std::string_view meaning) {
  return {key,
          fmt::format("whole number >= {}", low),
          fallback,
          meaning,
          [=](TrainConfig &c, const ConfigValue &v) {
            ref(c) = readInteger<int64_t>(v, low, maxCount);
          },
          [=](const TrainConfig &c) { return YAML::Node(fmt::format("{}", ref(c))); }};
}

template <typename Ref>
Field number(std::string_view key, const char *fallback, Range range, Ref ref,
             std::string_view meaning) {
  return {key,
          range.text(),
          fallback,
          meaning,
          [=](TrainConfig &c, const ConfigValue &v) { ref(c) = readNumber(v, range); },
          [=](const TrainConfig &c) { return YAML::Node(fmt::format("{}", ref(c))); }};
}

/// The names are in the order of the enumeration's values.
template <typename Ref>
Field choice(std::string_view key, const char *fallback, std::vector<std::string_view> names,
             Ref ref, std::string_view meaning) {
  return {key,
          fmt::format("{}", fmt::join(names, " | ")),
          fallback,
          meaning,
          [=](TrainConfig &c, const ConfigValue &v) {
            std::string expected = fmt::format("one of {}", fmt::join(names, ", "));
            const std::string &word = v.scalar(expected);
            for (size_t i = 0; i < names.size(); ++i)
              if (names[i] == word) {
                using Enum = std::remove_reference_t<decltype(ref(c))>;
                ref(c) = static_cast<Enum>(i);
                return;
              }
            v.bad("expected {}, got {}", expected, v.shown());
          },
          [=](const TrainConfig &c) {
            return YAML::Node(std::string(names[static_cast<size_t>(ref(c))]));
          }};
}

YAML::Node pathNode(const fs::path &path) {
  return path.empty() ? YAML::Node(YAML::NodeType::Undefined) : YAML::Node(path.string());
}

template <typename Ref>
Field dataFile(std::string_view key, const char *fallback, Ref ref, std::string_view meaning) {
  return {key,
          "file",
          fallback,
          meaning,
          [=](TrainConfig &c, const ConfigValue &v) {
            ref(c) = readExistingPath(v, "a .txt, .jsonl or .bin file", false);
          },
          [=](const TrainConfig &c) { return pathNode(ref(c)); }};
}

/// A path that training creates.
template <typename Ref>
Field newPath(std::string_view key, const char *kind, const char *fallback, Ref ref,
              std::string_view meaning) {
  return {key,
          kind,
          fallback,
          meaning,
          [=](TrainConfig &c, const ConfigValue &v) {
            ref(c) = v.source.resolve(v.scalar(fmt::format("a {}", kind)));
          },
          [=](const TrainConfig &c) { return pathNode(ref(c)); }};
}

void readModel(TrainConfig &config, const ConfigValue &value) {
  if (value.node.IsMap())
    config.modelSpec.reset(value.node);
  else
    config.modelPath = readExistingPath(
        value, "a mapping, or a path to a spec, a Hugging Face folder or a .gguf", true);
}

void readInit(TrainConfig &config, const ConfigValue &value) {
  if (value.node.IsScalar() && value.node.Scalar() == "random")
    config.initPath.clear();
  else
    config.initPath =
        readExistingPath(value, "`random`, a safetensors file, a folder or a checkpoint", true);
}

void readTokenizer(TrainConfig &config, const ConfigValue &value) {
  using Kind = TokenizerConfig::Kind;
  TokenizerConfig &tokenizer = config.tokenizer;
  constexpr std::string_view expected =
      "`byte`, `model`, a path to a tokenizer.json or tokenizer.model, or {train: {kind: bpe, "
      "vocab: N}}";
  if (!value.node.IsMap()) {
    const std::string &word = value.scalar(expected);
    tokenizer.kind = word == "byte" ? Kind::Bytes : word == "model" ? Kind::Model : Kind::File;
    if (tokenizer.kind == Kind::File)
      tokenizer.file = readExistingPath(value, expected, true);
    if (tokenizer.kind == Kind::Model && config.modelPath.empty())
      value.bad("an inline model has no tokenizer of its own, expected {}", expected);
    return;
  }
  const ConfigSource &source = value.source;
  auto only = [&](std::string_view key, std::vector<std::string_view> known) {
    YAML::Node node = source.find(key);
    ConfigValue here{source, key, node};
    if (!node.IsMap())
      here.bad("expected a mapping, {}", expected);
    for (const auto &entry : node)
      if (std::string name = entry.first.Scalar();
          std::find(known.begin(), known.end(), name) == known.end())
        fail("{}: unknown key '{}' in '{}'{}",
             source.locate(fmt::format("{}.{}", key, name), entry.first), name, key,
             nearestWord(name, known));
  };
  only("tokenizer", {"train"});
  only("tokenizer.train", {"kind", "vocab"});
  if (YAML::Node kind = source.find("tokenizer.train.kind"); kind.IsDefined())
    if (ConfigValue v{source, "tokenizer.train.kind", kind}; v.scalar("bpe") != "bpe")
      v.bad("expected bpe, got {}", v.shown());
  YAML::Node vocab = source.find("tokenizer.train.vocab");
  if (!vocab.IsDefined())
    value.bad("tokenizer.train.vocab is missing: the number of tokens, at least 257");
  tokenizer.kind = Kind::Train;
  // 256 bytes and at least one merge or special token.
  tokenizer.trainVocab =
      readInteger<int64_t>({source, "tokenizer.train.vocab", vocab}, 257, int64_t{1} << 20);
}

YAML::Node writeTokenizer(const TrainConfig &config) {
  using Kind = TokenizerConfig::Kind;
  switch (config.tokenizer.kind) {
  case Kind::Model:
    return YAML::Node("model");
  case Kind::Bytes:
    return YAML::Node("byte");
  case Kind::File:
    return pathNode(config.tokenizer.file);
  case Kind::Train:
    break;
  }
  YAML::Node node;
  node["train"]["kind"] = "bpe";
  node["train"]["vocab"] = fmt::format("{}", config.tokenizer.trainVocab);
  return node;
}

void readBetas(TrainConfig &config, const ConfigValue &value) {
  if (!value.node.IsSequence() || value.node.size() != 2)
    value.bad("expected two numbers in [0, 1), for example [0.9, 0.95], got {}", value.shown());
  config.optimizer.beta1 = readNumber({value.source, value.key, value.node[0]}, Range::unit());
  config.optimizer.beta2 = readNumber({value.source, value.key, value.node[1]}, Range::unit());
}

/// host:port; the host may be empty (all interfaces) or a bracketed IPv6 address.
void readListen(TrainConfig &config, const ConfigValue &value) {
  constexpr std::string_view expected = "host:port, for example 127.0.0.1:9464";
  const std::string &text = value.scalar(expected);
  size_t colon = text.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    auto [end, code] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    if (code != std::errc() || end != text.data() + text.size())
      port = -1;
  }
  if (port < 0 || port > 65535 || text.find(',') != std::string::npos)
    value.bad("expected {}, got {}", expected, value.shown());
  config.metrics.listen = text;
}

void readMemoryLimit(TrainConfig &config, const ConfigValue &value) {
  std::optional<int64_t> bytes = parseByteSize(value.scalar(kByteSizeForm));
  if (!bytes)
    value.bad("expected {}, got {}", kByteSizeForm, value.shown());
  config.memory.limit = *bytes;
  config.memory.place =
      fmt::format("{}: {}", value.source.locate(value.key, value.node), value.key);
}

#define MEMBER(member) [](auto &c) -> auto & { return c.member; }

const std::vector<Field> &table() {
  auto listenNode = [](const TrainConfig &c) { return pathNode(c.metrics.listen); };
  static const std::vector<Field> fields = {
      {"model", "mapping | path", "(required)",
       "inline spec, a spec file, a Hugging Face folder or a .gguf", readModel,
       [](const TrainConfig &c) {
         return c.modelPath.empty() ? c.modelSpec : pathNode(c.modelPath);
       }},
      {"init", "random | path", "(the model's weights, else random)",
       "first weights: a safetensors file, a folder or a checkpoint", readInit,
       [](const TrainConfig &c) {
         return c.initPath.empty() ? YAML::Node("random") : pathNode(c.initPath);
       }},
      {"seed", "whole number >= 0", "42", "of the first weights, the order of the data and dropout",
       [](TrainConfig &c, const ConfigValue &v) {
         c.seed = readInteger<uint64_t>(v, 0, std::numeric_limits<uint64_t>::max());
       },
       [](const TrainConfig &c) { return YAML::Node(fmt::format("{}", c.seed)); }},
      {"tokenizer", "byte | model | path | {train: {kind: bpe, vocab: N}}",
       "(the model's own, else byte)", "text to token ids", readTokenizer, writeTokenizer},
      dataFile("data.train", "(required)", MEMBER(data.train),
               ".txt (any bytes), .jsonl (UTF-8, field `text`) or .bin (uint16 or uint32 ids)"),
      dataFile("data.val", "(none)", MEMBER(data.val), "held-out data for evaluation"),
      choice("data.order", "shuffled", {"sequential", "shuffled"}, MEMBER(data.order),
             "order in which training reads its sequences"),
      count("batch.sequences", "16", 1, MEMBER(batch.sequences), "sequences of a micro-batch"),
      count("batch.length", "256", 1, MEMBER(batch.length), "tokens of a sequence"),
      count("batch.accumulate", "1", 1, MEMBER(batch.accumulate), "micro-batches of a step"),
      {"optimizer.name", "adamw", "adamw", "decay is decoupled, for tensors of rank >= 2 only",
       [](TrainConfig &, const ConfigValue &v) {
         if (v.scalar("adamw") != "adamw")
           v.bad("expected adamw, got {}", v.shown());
       },
       [](const TrainConfig &) { return YAML::Node("adamw"); }},
      number("optimizer.lr", "3e-4", Range::positive(), MEMBER(optimizer.learningRate),
             "learning rate after the warm-up"),
      {"optimizer.betas", "two numbers in [0, 1)", "[0.9, 0.95]", "decay of the two moments",
       readBetas,
       [](const TrainConfig &c) {
         YAML::Node node(YAML::NodeType::Sequence);
         node.push_back(fmt::format("{}", c.optimizer.beta1));
         node.push_back(fmt::format("{}", c.optimizer.beta2));
         return node;
       }},
      number("optimizer.eps", "1e-8", Range::positive(), MEMBER(optimizer.epsilon),
             "added to the root of the second moment"),
      number("optimizer.weight_decay", "0.1", Range::atLeastZero(), MEMBER(optimizer.weightDecay),
             "of tensors of rank >= 2"),
      number("optimizer.grad_clip", "1", Range::atLeastZero(), MEMBER(optimizer.gradClip),
             "greatest norm of the whole gradient; 0: no clipping"),
      choice("schedule.name", "constant", {"cosine", "linear", "constant", "wsd"},
             MEMBER(schedule.kind), "learning rate after the warm-up"),
      count("schedule.warmup_steps", "0", 0, MEMBER(schedule.warmupSteps),
            "step s of w uses lr * s / w"),
      number("schedule.min_lr", "0", Range::atLeastZero(), MEMBER(schedule.minimum),
             "rate at the last step (not for constant)"),
      count("schedule.decay_steps", "0", 0, MEMBER(schedule.decaySteps),
            "last steps of wsd, in which the rate falls; 0: a fifth of all"),
      number("dropout.embedding", "0", Range::unit(), MEMBER(dropout.embedding),
             "share of what enters the first layer that a step sets to zero (gpt2)"),
      number("dropout.residual", "0", Range::unit(), MEMBER(dropout.residual),
             "share of what each block adds to the residual stream (gpt2)"),
      {"dropout.attention", "0", "0", "of attention's probabilities: not supported yet",
       [](TrainConfig &, const ConfigValue &v) {
         if (readNumber(v, Range::unit()) != 0)
           v.bad("expected 0, got {}: attention's probabilities are never in memory, and cannot be "
                 "dropped yet",
                 v.shown());
       },
       [](const TrainConfig &) { return YAML::Node("0"); }},
      choice("precision", "f32", {"f32", "bf16"}, MEMBER(precision),
             "of what products read and keep; sums, master weights and moments are f32"),
      count("steps", "2000", 1, MEMBER(steps), "optimizer steps (`--steps N`)"),
      count("eval.every", "200", 0, MEMBER(eval.every),
            "steps between evaluations, and one at the end; 0: none"),
      count("eval.batches", "20", 1, MEMBER(eval.batches),
            "micro-batches of data.val read for one"),
      newPath("checkpoint.dir", "folder", "(runs/ and the config's name)",
              MEMBER(checkpoint.directory), "made if missing"),
      count("checkpoint.every", "200", 0, MEMBER(checkpoint.every),
            "steps between checkpoints, and one at the end; 0: only at the end"),
      count("checkpoint.keep", "3", 0, MEMBER(checkpoint.keep), "newest ones kept; 0: all"),
      count("log.every", "1", 1, MEMBER(log.every), "steps between lines of the log"),
      newPath("log.jsonl", "file", "(metrics.jsonl in checkpoint.dir)", MEMBER(log.jsonl),
              "one JSON object a line"),
      {"metrics.listen", "host:port", "(none)", "Prometheus endpoint /metrics", readListen,
       listenNode},
      {"memory.limit", "size, for example 2GiB", "(none)",
       "of the arena that --plan prints; activations are recomputed to keep it", readMemoryLimit,
       [](const TrainConfig &c) {
         return c.memory.limit ? YAML::Node(formatByteSize(c.memory.limit))
                               : YAML::Node(YAML::NodeType::Undefined);
       }},
      choice("target", "auto", {"auto", "cpu", "cuda"}, MEMBER(target),
             "where to train: this processor, or cuda: its NVIDIA GPU; auto is cpu"),
      {"source_path", "path", "(this file)", "set in the copy that a checkpoint keeps",
       [](TrainConfig &c, const ConfigValue &v) {
         c.sourcePath = v.source.resolve(v.scalar("a path"));
       },
       [](const TrainConfig &c) { return pathNode(c.sourcePath); }},
  };
  return fields;
}

#undef MEMBER

/// Walks what the file holds: every key must be a row of the table, or lead to one.
void checkKnown(const ConfigSource &source, const YAML::Node &mapping, const std::string &prefix) {
  for (const auto &entry : mapping) {
    std::string name = entry.first.Scalar();
    std::string key = prefix.empty() ? name : prefix + "." + name;
    std::vector<std::string_view> siblings;
    bool row = false, section = false;
    for (const Field &field : table()) {
      row |= field.key == key;
      section |= field.key.starts_with(key + ".");
      if (field.key.starts_with(prefix)) {
        std::string_view rest = field.key.substr(prefix.empty() ? 0 : prefix.size() + 1);
        siblings.push_back(rest.substr(0, rest.find('.')));
      }
    }
    if (row || entry.second.IsNull())
      continue;
    if (!section)
      fail("{}: unknown key '{}'{}{}", source.locate(key, entry.first), name,
           prefix.empty() ? "" : fmt::format(" in '{}'", prefix), nearestWord(name, siblings));
    if (!entry.second.IsMap())
      fail("{}: {}: expected a mapping, for example {{{}: ...}}", source.locate(key, entry.second),
           key, [&] {
             for (const Field &field : table())
               if (field.key.starts_with(key + "."))
                 return field.key.substr(key.size() + 1);
             return std::string_view();
           }());
    checkKnown(source, entry.second, key);
  }
}

bool folderHolds(const fs::path &folder, std::string_view suffix) {
  std::error_code code;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, code))
    if (entry.path().string().ends_with(suffix))
      return true;
  return false;
}

/// Defaults that follow from other keys.
void deriveDefaults(TrainConfig &config, const ConfigSource &source) {
  const fs::path &model = config.modelPath;
  bool gguf = model.extension() == ".gguf";
  if (!source.find("init").IsDefined() && (gguf || folderHolds(model, ".safetensors")))
    config.initPath = model;
  if (!source.find("tokenizer").IsDefined() &&
      (gguf || folderHolds(model, "tokenizer.json") || folderHolds(model, "tokenizer.model")))
    config.tokenizer.kind = TokenizerConfig::Kind::Model;
  if (!source.find("eval").IsDefined() && config.data.val.empty())
    config.eval.every = 0;
  if (config.sourcePath.empty())
    config.sourcePath = source.path();
  if (config.checkpoint.directory.empty())
    config.checkpoint.directory = source.resolve("runs/" + source.path().stem().string());
  if (config.log.jsonl.empty())
    config.log.jsonl = config.checkpoint.directory / "metrics.jsonl";
}

/// Rules between keys.
void checkTogether(const TrainConfig &config, const ConfigSource &source) {
  auto at = [&](std::string_view key) { return ConfigValue{source, key, source.find(key)}; };
  auto given = [&](std::string_view key) { return source.find(key).IsDefined(); };
  // Buffers of a step are indexed with 64 bits; ids in them with 32.
  if (config.batch.sequences > maxCount / config.batch.length ||
      config.batch.tokensPerMicroBatch() > maxCount / config.batch.accumulate)
    at("batch").bad("{} sequences of {} tokens, {} times, is more than {} tokens a step",
                    config.batch.sequences, config.batch.length, config.batch.accumulate, maxCount);
  bool decays = config.schedule.kind != ScheduleKind::Constant;
  if (decays && config.schedule.minimum > config.optimizer.learningRate)
    at("schedule.min_lr")
        .bad("{} is above optimizer.lr ({})", config.schedule.minimum,
             config.optimizer.learningRate);
  for (std::string_view key : {"schedule.min_lr", "schedule.decay_steps"})
    if (given(key) && !given("schedule.name"))
      at(key).bad("has no meaning without schedule.name (cosine, linear or wsd)");
  if (given("eval") && config.eval.every > 0 && config.data.val.empty())
    at("eval").bad("there is nothing to evaluate on: give data.val, or leave `eval` out");
}

} // namespace

Schedule TrainConfig::learningRate() const {
  return {schedule.kind, optimizer.learningRate, schedule.minimum,
          steps,         schedule.warmupSteps,   schedule.decaySteps};
}

BatchOptions TrainConfig::trainBatches(int64_t vocab) const {
  return {batch.sequences, batch.length, vocab, data.order, seed};
}

BatchOptions TrainConfig::validationBatches(int64_t vocab) const {
  return {batch.sequences, batch.length, vocab, DataOrder::Sequential, 0};
}

TrainConfig loadTrainConfig(const fs::path &file, std::span<const std::string> overrides) {
  ConfigSource source(file, overrides);
  checkKnown(source, source.root(), "");
  TrainConfig config;
  config.modelSpec.reset(YAML::Node(YAML::NodeType::Undefined));
  for (const Field &field : table()) {
    YAML::Node node = source.find(field.key);
    if (node.IsDefined())
      field.read(config, {source, field.key, node});
    else if (field.required())
      fail("{}: '{}' is missing ({}: {})", source.name(), field.key, field.kind, field.meaning);
    else if (field.hasDefault())
      field.read(config, {source, field.key, YAML::Load(field.fallback)});
  }
  deriveDefaults(config, source);
  checkTogether(config, source);
  return config;
}

std::string resolvedYaml(const TrainConfig &config) {
  YAML::Node root;
  for (const Field &field : table()) {
    YAML::Node value = field.write(config);
    if (!value.IsDefined())
      continue;
    size_t dot = field.key.find('.');
    if (dot == std::string_view::npos)
      root[std::string(field.key)] = value;
    else
      root[std::string(field.key.substr(0, dot))][std::string(field.key.substr(dot + 1))] = value;
  }
  YAML::Emitter out;
  out << root;
  return std::string(out.c_str()) + "\n";
}

std::vector<ConfigChange> changesSince(const fs::path &resolvedCopy, const TrainConfig &config) {
  ConfigSource before(resolvedCopy, {});
  std::vector<ConfigChange> changes;
  // Through text and back, so that both sides have the same style.
  auto textOf = [](const YAML::Node &node) {
    return node.IsDefined() ? YAML::Dump(YAML::Load(YAML::Dump(node))) : std::string("(none)");
  };
  // A copy lacks a key with a default only if it is older than the key; then what was done is what
  // the default says.
  auto valueBefore = [&](const Field &field) {
    YAML::Node node = before.find(field.key);
    if (node.IsDefined() || !field.hasDefault())
      return node;
    TrainConfig defaults;
    field.read(defaults, {before, field.key, YAML::Load(field.fallback)});
    return field.write(defaults);
  };
  for (const Field &field : table()) {
    bool shapesTraining = field.key != "source_path" && field.key != "target";
    for (std::string_view section : {"eval.", "checkpoint.", "log.", "metrics.", "memory."})
      shapesTraining &= !field.key.starts_with(section);
    std::string was = textOf(valueBefore(field)), is = textOf(field.write(config));
    if (shapesTraining && was != is)
      changes.push_back({std::string(field.key), was, is});
  }
  return changes;
}

std::string configHelp() {
  size_t keyWidth = 0, kindWidth = 0, fallbackWidth = 0;
  for (const Field &field : table()) {
    keyWidth = std::max(keyWidth, field.key.size());
    kindWidth = std::max(kindWidth, field.kind.size());
    fallbackWidth = std::max(fallbackWidth, field.fallback.size());
  }
  std::string text = fmt::format("{:{}}  {:{}}  {:{}}  meaning\n", "key", keyWidth, "kind",
                                 kindWidth, "default", fallbackWidth);
  for (const Field &field : table())
    text += fmt::format("{:{}}  {:{}}  {:{}}  {}\n", field.key, keyWidth, field.kind, kindWidth,
                        field.fallback, fallbackWidth, field.meaning);
  return text + "\nRelative paths are meant from the config's own folder, also in --set.\n";
}

} // namespace lmc
