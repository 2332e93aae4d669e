#include "train/Checkpoint.h"

#include "runtime/Error.h"
#include "test/unit/train/TempFolder.h"
#include "test/unit/train/ToyModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace lmc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::readFile;
using test::TempFolder;
using test::ToyModel;
using testing::HasSubstr;

const TrainState someState{7, 700, 21, 18446744073709551615u, {{3, 2.5f}, {6, 1.0f / 3}}};

/// A model whose values all differ, with bits that a careless copy loses.
ToyModel filled(std::vector<ParameterInfo> infos) {
  ToyModel model(infos);
  uint32_t bits = 0x00000001; // denormals first
  for (const char *prefix : {"", "adamw.m.", "adamw.v."})
    for (const ParameterInfo &info : infos)
      for (float &value : model.state(prefix + info.name)) {
        std::memcpy(&value, &bits, sizeof value);
        bits = bits * 2654435761u + 12345;
      }
  model.setStep(7);
  return model;
}

const std::vector<ParameterInfo> infos = {{"transformer.wte.weight", {5, 3}},
                                          {"b", {7}},
                                          {"scalar", {}},
                                          {"a.very.deep.name", {1, 2, 3}}};

TEST(Checkpoint, RestoresEveryBit) {
  TempFolder folder;
  CheckpointStore store(folder.root, 3);
  ToyModel model = filled(infos), other(infos);
  fs::path checkpoint = saveCheckpoint(store, model, someState,
                                       {.configJson = "{}",
                                        .tokenizerJson = "{\"tok\": 1}",
                                        .tokenizerConfigJson = "{\"bos_token\": \"<s>\"}",
                                        .trainYaml = "steps: 7\n",
                                        .sourcePath = "/x/train.yaml"});
  TrainState state = restoreCheckpoint(store, checkpoint, other);
  EXPECT_EQ(other.step(), 7);
  EXPECT_EQ(state.step, 7);
  EXPECT_EQ(state.tokens, 700);
  EXPECT_EQ(state.dataPosition, 21);
  EXPECT_EQ(state.seed, 18446744073709551615u);
  ASSERT_EQ(state.evaluations.size(), 2u);
  EXPECT_EQ(state.evaluations[1].step, 6);
  EXPECT_EQ(state.evaluations[1].loss, 1.0f / 3);
  for (const char *prefix : {"", "adamw.m.", "adamw.v."})
    for (const ParameterInfo &info : infos) {
      std::span<float> a = model.state(prefix + info.name), b = other.state(prefix + info.name);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << prefix << info.name;
    }
  EXPECT_EQ(readFile(checkpoint / "config.json"), "{}");
  EXPECT_EQ(readFile(checkpoint / "tokenizer.json"), "{\"tok\": 1}");
  EXPECT_EQ(readFile(checkpoint / "tokenizer_config.json"), "{\"bos_token\": \"<s>\"}");
  EXPECT_EQ(readFile(checkpoint / "train.yaml"), "steps: 7\n");
}

// By the published layout: 8 bytes of length, JSON, data.
TEST(Checkpoint, TensorFilesAreSafetensors) {
  TempFolder folder;
  CheckpointStore store(folder.root, 3);
  ToyModel model = filled(infos);
  fs::path checkpoint = saveCheckpoint(store, model, someState, {});
  EXPECT_FALSE(fs::exists(checkpoint / "tokenizer.json")) << "an empty text is left out";
  std::string bytes = readFile(checkpoint / "model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  json header = json::parse(bytes.substr(8, length));
  header.erase("__metadata__");
  EXPECT_EQ(header.size(), infos.size());
  json entry = header["transformer.wte.weight"];
  EXPECT_EQ(entry["dtype"], "F32");
  EXPECT_EQ(entry["shape"], (json{5, 3}));
  EXPECT_EQ(std::memcmp(bytes.data() + 8 + length + entry["data_offsets"][0].get<size_t>(),
                        model.state("transformer.wte.weight").data(), 60),
            0);
}

TEST(Checkpoint, AnotherModelsCheckpointChangesNothing) {
  struct Case {
    std::vector<ParameterInfo> model;
    std::string error;
  };
  const std::vector<Case> cases = {
      {{{"a", {2, 3}}, {"c", {4}}},
       "model.safetensors': no tensor 'c', which the model trains; is it a checkpoint of another "
       "model?"},
      {{{"a", {3, 2}}, {"b", {4}}},
       "model.safetensors': tensor 'a' is [2, 3], the model expects [3, 2]"},
      {{{"a", {2, 3}}, {"b", {1}}}, "model.safetensors': tensor 'b' is [4], the model expects [1]"},
      {{{"a", {2, 3}}},
       "model.safetensors': has 2 tensors, the model trains 1; is it a checkpoint of another "
       "model?"},
  };
  TempFolder folder;
  CheckpointStore store(folder.root, 3);
  ToyModel model = filled({{"a", {2, 3}}, {"b", {4}}});
  fs::path checkpoint = saveCheckpoint(store, model, someState, {});
  for (const Case &c : cases) {
    ToyModel other(c.model);
    std::vector<float> before(other.state("a").begin(), other.state("a").end());
    try {
      restoreCheckpoint(store, checkpoint, other);
      ADD_FAILURE() << "no error, expected " << c.error;
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr(c.error));
    }
    EXPECT_EQ(before, std::vector<float>(other.state("a").begin(), other.state("a").end()));
    EXPECT_EQ(other.step(), 0);
  }
}

// The store finds every damage; here that a restore goes through it, for each file.
TEST(Checkpoint, DamageInAnyFileStopsTheRestore) {
  for (const char *name : {"model.safetensors", "optimizer.safetensors", "config.json",
                           "tokenizer.json", "train.yaml", "state.json"})
    for (const char *damage : {"flip", "truncate", "remove"}) {
      TempFolder folder;
      CheckpointStore store(folder.root, 3);
      ToyModel model = filled(infos), other(infos);
      fs::path checkpoint = saveCheckpoint(store, model, someState,
                                           {"{\"a\": 1}", "{\"b\": 2}", "{}", "steps: 7\n", "/x"});
      fs::path file = checkpoint / name;
      std::string bytes = readFile(file);
      if (damage == std::string("remove")) {
        fs::remove(file);
      } else if (damage == std::string("truncate")) {
        fs::resize_file(file, bytes.size() / 2);
      } else {
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
        std::ofstream(file, std::ios::binary) << bytes;
      }
      try {
        restoreCheckpoint(store, checkpoint, other);
        ADD_FAILURE() << "no error: " << damage << " " << name;
      } catch (const Error &error) {
        EXPECT_THAT(error.what(), HasSubstr(std::string(name) + "' is ")) << damage;
      }
      EXPECT_EQ(other.step(), 0);
    }
}

} // namespace
} // namespace lmc
