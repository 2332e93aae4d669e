// A training state as a checkpoint folder: what is in which file.
//
//   model.safetensors      parameters by their names, f32, for others to load
//   optimizer.safetensors  adamw.m.<name>, adamw.v.<name>
//   config.json            the model's; tokenizer.json and tokenizer_config.json: the tokenizer's
//                          (where there is one)
//   train.yaml             the config with every default, for reading and for --resume
//   state.json             the rest; see CheckpointStore.h
#pragma once

#include "train/CheckpointStore.h"
#include "train/TrainableModel.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lmc {

struct Evaluation {
  int64_t step = 0;
  float loss = 0;
};

/// What a run needs beside the model's state to go on to the bit. Random numbers are counted, not
/// drawn from a moving state: seed and step are the random state.
struct TrainState {
  int64_t step = 0;
  int64_t tokens = 0;       ///< trained on so far
  int64_t dataPosition = 0; ///< of the training data's loader, in micro-batches
  uint64_t seed = 0;
  std::vector<Evaluation> evaluations;
};

/// Texts that a checkpoint carries; an empty one is left out.
struct CheckpointTexts {
  std::string configJson, tokenizerJson, tokenizerConfigJson, trainYaml;
  std::filesystem::path sourcePath;
};

/// Throws Error (full disk, ...) and leaves the older checkpoints.
std::filesystem::path saveCheckpoint(CheckpointStore &store, TrainableModel &model,
                                     const TrainState &state, const CheckpointTexts &texts);

/// Checks the whole checkpoint, then fills the model's state and its step number. Throws Error for
/// a damaged file and for tensors that are not the model's; the model is then unchanged.
TrainState restoreCheckpoint(const CheckpointStore &store, const std::filesystem::path &checkpoint,
                             TrainableModel &model);

} // namespace lmc
