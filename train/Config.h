// The train config (YAML): every key, default and range stands in one table in Config.cpp, from
// which reading, `lmc train --help-config` and the resolved copy in a checkpoint are made.
#pragma once

#include "frontend/data/BatchSource.h"
#include "train/Schedule.h"

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lmc {

enum class Precision { F32, Bf16 };
enum class TargetChoice { Auto, Cpu, Cuda };

/// Where the tokenizer comes from.
struct TokenizerConfig {
  enum class Kind {
    Model, ///< the model's own (its folder or .gguf has one)
    Bytes, ///< one token a byte
    File,  ///< a tokenizer.json or tokenizer.model, or a folder that holds one
    Train, ///< byte-level BPE trained on data.train
  };
  Kind kind = Kind::Bytes;
  std::filesystem::path file; ///< Kind::File
  int64_t trainVocab = 0;     ///< Kind::Train
};

struct TrainConfig {
  /// The config the user wrote, absolute. A config that a checkpoint keeps names the original one.
  std::filesystem::path sourcePath;
  /// What `model:` says: an inline mapping (its marks point into `modelFile`), or a path.
  YAML::Node modelSpec;            ///< defined and a mapping, or undefined
  std::filesystem::path modelPath; ///< absolute; empty for an inline mapping
  std::filesystem::path initPath;  ///< weights to start from; empty: random
  uint64_t seed = 0;
  TokenizerConfig tokenizer;

  struct Data {
    std::filesystem::path train, val; ///< val may be empty
    DataOrder order = DataOrder::Shuffled;
  } data;
  struct Batch {
    int64_t sequences = 0, length = 0, accumulate = 0; ///< B, T and micro-batches a step
    int64_t tokensPerMicroBatch() const { return sequences * length; }
    int64_t tokensPerStep() const { return sequences * length * accumulate; }
  } batch;
  struct Optimizer { // AdamW, decoupled; decay for tensors of rank >= 2 only
    double learningRate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weightDecay = 0;
    double gradClip = 0; ///< 0: no clipping
  } optimizer;
  struct {
    ScheduleKind kind = ScheduleKind::Constant;
    int64_t warmupSteps = 0;
    double minimum = 0;
    int64_t decaySteps = 0;
  } schedule;
  struct Dropout { // shares in [0, 1) of training steps; evaluation drops nothing
    double embedding = 0, residual = 0;
  } dropout;
  Precision precision = Precision::F32;
  int64_t steps = 0;
  struct {
    int64_t every = 0, batches = 0; ///< every 0: never
  } eval;
  struct {
    std::filesystem::path directory;
    int64_t every = 0, keep = 0; ///< every 0: only at the end; keep 0: all
  } checkpoint;
  struct {
    int64_t every = 0;
    std::filesystem::path jsonl;
  } log;
  struct {
    std::string listen; ///< "host:port"; empty: no endpoint
  } metrics;
  struct {
    int64_t limit = 0; ///< bytes of the arena; 0: as many as it takes
    std::string place; ///< where the limit was given, for errors: "train.yaml:9: memory.limit"
  } memory;
  TargetChoice target = TargetChoice::Auto;

  Schedule learningRate() const;
  /// Micro-batches of data.train, and of data.val in its own order; vocab: the model's.
  BatchOptions trainBatches(int64_t vocab) const;
  BatchOptions validationBatches(int64_t vocab) const;
};

/// Reads a config strictly. overrides: "optimizer.lr=1e-3" (`--set`; `--steps N` is "steps=N").
/// Throws Error with file:line or the --set text: unreadable file, bad YAML, unknown key (with the
/// nearest known one), wrong type, value out of range, file that is missing or empty.
TrainConfig loadTrainConfig(const std::filesystem::path &file,
                            std::span<const std::string> overrides = {});

/// The config with every default filled in and every path absolute; loadTrainConfig reads it again.
std::string resolvedYaml(const TrainConfig &config);

/// One key whose value differs, each side as YAML.
struct ConfigChange {
  std::string key, before, now;
};

/// What a resolved copy in a checkpoint says differently, of the keys that shape the training
/// itself (not where it logs, evaluates, saves or runs). A key that the copy lacks had its default.
/// Throws Error where the copy cannot be read.
std::vector<ConfigChange> changesSince(const std::filesystem::path &resolvedCopy,
                                       const TrainConfig &config);

/// The table of keys: key, kind, default, meaning (`lmc train --help-config`).
std::string configHelp();

} // namespace lmc
