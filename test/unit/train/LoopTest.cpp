#include "train/Loop.h"

#include "runtime/Error.h"
#include "test/unit/train/TempFolder.h"
#include "test/unit/train/ToyModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <random>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace lmc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::readFile;
using test::TempFolder;
using test::ToyModel;
using testing::HasSubstr;

/// uint16 ids; the next one follows from the one before, with some noise. Some 40 micro-batches.
std::string someTokens() {
  std::mt19937 random(3);
  std::string bytes;
  uint16_t id = 0;
  for (int i = 0; i < 700; ++i) {
    id = static_cast<uint16_t>((id + (random() % 8 == 0 ? 2 : 1)) % ToyModel::vocab);
    bytes += static_cast<char>(id);
    bytes += '\0';
  }
  return bytes;
}

struct LoopTest : testing::Test {
  TrainConfig configOf(const fs::path &folder, std::vector<std::string> overrides = {}) {
    fs::create_directories(folder);
    std::ofstream(folder / "a.bin", std::ios::binary) << tokens;
    std::ofstream(folder / "train.yaml") << "model: {architecture: toy}\n"
                                            "data: {train: a.bin, val: a.bin}\n"
                                            "batch: {sequences: 2, length: 8, accumulate: 3}\n"
                                            "steps: 12\neval: {every: 5, batches: 2}\n"
                                            "checkpoint: {dir: runs, every: 4, keep: 2}\n";
    return loadTrainConfig(folder / "train.yaml", overrides);
  }

  /// One process's run, with a model and data of its own.
  TrainResult run(const TrainConfig &config, bool resume = false) {
    ToyModel model;
    model.nanAtStep = nanAtStep;
    model.onState = onState;
    auto ids = std::make_shared<TokenFile>(config.data.train, TokenWidth::U16);
    BatchLoader data(BatchSource(ids, config.trainBatches(ToyModel::vocab)));
    BatchSource validation(ids, config.validationBatches(ToyModel::vocab));
    TrainHooks hooks;
    hooks.resume = resume;
    hooks.progress.out = &out;
    hooks.afterStep = afterStep;
    return train(config, {model, data, &validation, "{\"model_type\": \"toy\"}", ""}, hooks);
  }

  std::string errorOf(const TrainConfig &config, bool resume = false) {
    try {
      run(config, resume);
    } catch (const Error &error) {
      return error.what();
    }
    return "no error";
  }

  /// The log without what a clock measured.
  static std::vector<json> logOf(const TrainConfig &config) {
    std::vector<json> lines;
    std::istringstream text(readFile(config.log.jsonl));
    for (std::string line; std::getline(text, line);) {
      lines.push_back(json::parse(line));
      lines.back().erase("tokens_per_second");
      lines.back().erase("step_seconds");
    }
    return lines;
  }

  /// The final bits: the two tensor files, and the state less what names the run's folder.
  static std::string finalBits(const TrainConfig &config) {
    std::string name = readFile(config.checkpoint.directory / "latest");
    fs::path checkpoint = config.checkpoint.directory / name.substr(0, name.find('\n'));
    json state = json::parse(readFile(checkpoint / "state.json"));
    for (const char *key : {"source_path", "files", "xxh3"})
      state.erase(key);
    return readFile(checkpoint / "model.safetensors") +
           readFile(checkpoint / "optimizer.safetensors") + state.dump();
  }

  void expectSameRun(const TrainConfig &a, const TrainConfig &b) {
    EXPECT_TRUE(finalBits(a) == finalBits(b)) << "the final checkpoints differ";
    EXPECT_EQ(logOf(a), logOf(b));
  }

  TempFolder folder;
  std::ostringstream out;
  int64_t nanAtStep = -1;
  std::string tokens = someTokens();
  std::function<void()> onState;
  std::function<void(const StepRecord &)> afterStep;
};

TEST_F(LoopTest, TrainsLogsEvaluatesAndSaves) {
  TrainConfig config = configOf(folder.root);
  TrainResult result = run(config);
  EXPECT_EQ(result.step, 12);
  EXPECT_EQ(result.tokens, 12 * 2 * 8 * 3);
  EXPECT_EQ(result.stopSignal, 0);
  EXPECT_EQ(result.checkpoint, folder / "runs/step-00000012");
  EXPECT_EQ(readFile(folder / "runs/latest"), "step-00000012\n");
  EXPECT_TRUE(fs::exists(folder / "runs/step-00000008"));
  EXPECT_FALSE(fs::exists(folder / "runs/step-00000004")) << "keep: 2";

  std::vector<json> lines = logOf(config);
  ASSERT_EQ(lines.size(), 12u + 3u); // evaluations at 5, 10 and the end
  EXPECT_EQ(lines[0]["step"], 1);
  EXPECT_NEAR(lines[0]["loss"].get<double>(), std::log(5.0), 0.1);
  EXPECT_LT(lines[13]["loss"].get<double>(), lines[0]["loss"].get<double>());
  EXPECT_EQ(lines[0]["tokens"], 48);
  EXPECT_EQ(lines[5], (json{{"step", 5}, {"val_loss", lines[5]["val_loss"]}}));
  EXPECT_EQ(lines[14]["val_loss"].get<float>(), *result.valLoss);
  EXPECT_LT(lines[14]["val_loss"], lines[5]["val_loss"]);

  json state = json::parse(readFile(result.checkpoint / "state.json"));
  EXPECT_EQ(state["step"], 12);
  EXPECT_EQ(state["data_position"], 36);
  EXPECT_EQ(state["seed"], 42);
  EXPECT_EQ(state["source_path"], (folder / "train.yaml").string());
  EXPECT_EQ(state["evaluations"].size(), 3u);
  EXPECT_EQ(readFile(result.checkpoint / "config.json"), "{\"model_type\": \"toy\"}");
  EXPECT_EQ(readFile(result.checkpoint / "train.yaml"), resolvedYaml(config));

  EXPECT_THAT(out.str(), HasSubstr("step 1/12  loss "));
  EXPECT_THAT(out.str(), HasSubstr("step 5/12  val_loss "));
  EXPECT_THAT(out.str(), HasSubstr("trained 12 steps, 576 tokens, in "));
  EXPECT_THAT(out.str(), HasSubstr("checkpoint " + result.checkpoint.string()));
}

TEST_F(LoopTest, ResumeContinuesToTheBit) {
  TrainConfig whole = configOf(folder / "whole"), parts = configOf(folder / "parts");
  run(whole);
  run(configOf(folder / "parts", {"steps=8", "eval.every=0"}));
  // A log that got further than the checkpoint, as after a kill.
  std::ofstream(parts.log.jsonl, std::ios::app) << "{\"step\":9,\"loss\":1}\n{\"step\":10,\"lo";
  run(configOf(folder / "parts"), true);
  EXPECT_EQ(readFile(parts.checkpoint.directory / "step-00000012/model.safetensors"),
            readFile(whole.checkpoint.directory / "step-00000012/model.safetensors"));
  EXPECT_EQ(readFile(parts.checkpoint.directory / "step-00000012/optimizer.safetensors"),
            readFile(whole.checkpoint.directory / "step-00000012/optimizer.safetensors"));
  EXPECT_THAT(out.str(), HasSubstr("steps is now 12, it was 8 until step 8"));
  EXPECT_EQ(logOf(parts).size(), 12u + 2u) << "no step twice";
  // At the end there is nothing left to do, and nothing is written again.
  auto written = fs::last_write_time(parts.checkpoint.directory / "latest");
  EXPECT_EQ(run(configOf(folder / "parts"), true).step, 12);
  EXPECT_EQ(fs::last_write_time(parts.checkpoint.directory / "latest"), written);
}

TEST_F(LoopTest, ResumeWithoutACheckpointStartsAtTheBeginning) {
  TrainConfig whole = configOf(folder / "whole"), late = configOf(folder / "late");
  run(whole);
  fs::create_directories(late.log.jsonl.parent_path());
  std::ofstream(late.log.jsonl)
      << "{\"step\":1,\"loss\":9}\n"; // killed before its first checkpoint
  run(late, true);
  EXPECT_THAT(out.str(), HasSubstr("no checkpoint in " + late.checkpoint.directory.string() +
                                   " yet: starting from step 0"));
  expectSameRun(whole, late);
}

/// Runs until the child is killed or done; true when it was done.
bool runInChild(const std::function<void()> &action, int killAfterMicroseconds = -1) {
  pid_t child = fork();
  if (child == 0) {
    try {
      action();
    } catch (const std::exception &error) {
      fprintf(stderr, "child: %s\n", error.what());
      _exit(1);
    }
    _exit(0);
  }
  if (killAfterMicroseconds >= 0) {
    usleep(static_cast<useconds_t>(killAfterMicroseconds));
    kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "the child failed";
  return WIFEXITED(status);
}

TEST_F(LoopTest, KilledTenTimesAtRandomTheFinalBitsAreTheSame) {
  std::vector<std::string> long_{"steps=60"};
  TrainConfig whole = configOf(folder / "whole", long_);
  auto begin = std::chrono::steady_clock::now();
  run(whole);
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
                    std::chrono::steady_clock::now() - begin)
                    .count();
  TrainConfig killed = configOf(folder / "killed", long_);
  std::mt19937 random(7);
  int kills = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    // By turns at a step, and at a moment: within a write, a sync or a rename.
    auto lastStep = static_cast<int64_t>(random() % 7 + 1);
    auto moment = static_cast<int>(random() % static_cast<unsigned>(micros / 8 + 1));
    int64_t count = 0;
    afterStep = [&](const StepRecord &) {
      if (attempt % 2 == 0 && ++count == lastStep)
        kill(getpid(), SIGKILL);
    };
    kills += !runInChild([&] { run(killed, true); }, attempt % 2 == 0 ? -1 : moment);
  }
  EXPECT_GE(kills, 5);
  afterStep = nullptr;
  run(killed, true);
  expectSameRun(whole, killed);
}

// A checkpoint of the toy model asks for its state six times: places to die in its first, second
// and third checkpoint.
TEST_F(LoopTest, KilledWithinACheckpointTheFinalBitsAreTheSame) {
  TrainConfig whole = configOf(folder / "whole");
  run(whole);
  TrainConfig killed = configOf(folder / "killed");
  for (int place : {2, 9, 5, 12, 1, 6}) {
    int count = 0;
    bool writing = false;
    afterStep = [&](const StepRecord &) { writing = true; };
    onState = [&] {
      if (writing && ++count == place)
        kill(getpid(), SIGKILL);
    };
    EXPECT_FALSE(runInChild([&] { run(killed, true); })) << place;
  }
  onState = nullptr;
  afterStep = nullptr;
  run(killed, true);
  expectSameRun(whole, killed);
}

TEST_F(LoopTest, ASignalSavesAndReturns) {
  TrainConfig whole = configOf(folder / "whole");
  run(whole);
  for (int signal : {SIGTERM, SIGINT}) {
    TrainConfig stopped = configOf(folder / ("stopped-" + std::to_string(signal)));
    auto before = std::signal(signal, SIG_IGN);
    afterStep = [&](const StepRecord &record) {
      if (record.step == 7)
        raise(signal);
    };
    TrainResult result = run(stopped);
    EXPECT_EQ(result.stopSignal, signal);
    EXPECT_EQ(result.step, 7);
    EXPECT_EQ(result.checkpoint.filename(), "step-00000007");
    EXPECT_EQ(std::signal(signal, before), SIG_IGN) << "the handler of before is back";
    afterStep = nullptr;
    EXPECT_EQ(run(stopped, true).stopSignal, 0);
    expectSameRun(whole, stopped);
  }
  EXPECT_THAT(out.str(), HasSubstr("stopped by SIGTERM at step 7 of 12; go on with --resume"));
}

TEST_F(LoopTest, ASecondSignalEndsTheProcessAtOnce) {
  TrainConfig config = configOf(folder.root);
  pid_t child = fork();
  if (child == 0) {
    afterStep = [](const StepRecord &) {
      raise(SIGTERM);
      raise(SIGINT);
    };
    run(config);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
  EXPECT_FALSE(fs::exists(folder / "runs/latest"));
}

TEST_F(LoopTest, ANonFiniteLossStopsWithItsPlace) {
  TrainConfig config = configOf(folder.root);
  nanAtStep = 7;
  EXPECT_EQ(errorOf(config),
            "step 7: loss is nan, gradient norm is 1: lm.matmul at 'layers.3.attn.q_proj' is the "
            "first op with such a result; try a lower optimizer.lr, a longer warm-up or a smaller "
            "optimizer.grad_clip; the last checkpoint is '" +
                (folder / "runs/step-00000004").string() + "'");
  EXPECT_EQ(logOf(config).back()["step"], 6);
  EXPECT_EQ(readFile(folder / "runs/latest"), "step-00000004\n");
  nanAtStep = 1;
  EXPECT_THAT(errorOf(configOf(folder / "other")), HasSubstr("no checkpoint was written yet"));
}

TEST_F(LoopTest, OldCheckpointsAreNeverOverwritten) {
  TrainConfig config = configOf(folder.root, {"steps=4"});
  run(config);
  std::string before = finalBits(config), log = readFile(config.log.jsonl);
  EXPECT_EQ(errorOf(config), "'" + (folder / "runs").string() +
                                 "' already holds checkpoints (the latest is step-00000004): go on "
                                 "with --resume, or choose another checkpoint.dir");
  EXPECT_EQ(finalBits(config), before);
  EXPECT_EQ(readFile(config.log.jsonl), log);
}

TEST_F(LoopTest, ResumeRefusesOtherBatches) {
  run(configOf(folder.root, {"steps=4"}));
  for (const auto &[text, error] : std::map<std::string, std::string>{
           {"seed=43", "another seed: it was 42, now it is 43; set it back, or begin again"},
           {"data.order=sequential", "another data.order: it was shuffled, now it is sequential"},
           {"batch.sequences=1", "another batch.sequences: it was 2, now it is 1"},
           {"batch.length=16", "another batch.length: it was 8, now it is 16"}})
    EXPECT_THAT(errorOf(configOf(folder.root, {text}), true), HasSubstr(error));
  run(configOf(folder.root, {"optimizer.lr=1e-5", "checkpoint.keep=1", "steps=5"}), true);
  EXPECT_THAT(out.str(), HasSubstr("optimizer.lr is now 1e-05, it was 0.0003 until step 4"));
  EXPECT_THAT(out.str(), testing::Not(HasSubstr("checkpoint.keep is now")));
}

TEST_F(LoopTest, ADamagedCheckpointStopsTheResume) {
  TrainConfig config = configOf(folder.root);
  run(config);
  fs::path file = folder / "runs/step-00000012/optimizer.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  std::string error = errorOf(configOf(folder.root, {"steps=20"}), true);
  EXPECT_THAT(error, HasSubstr("optimizer.safetensors' is damaged: it has "));
  EXPECT_THAT(error, HasSubstr("write 'step-00000008' into"));
  // Going back as it says ends in the same bits as never having been there.
  std::ofstream(folder / "runs/latest") << "step-00000008\n";
  run(configOf(folder.root, {"steps=20"}), true);
  TrainConfig whole = configOf(folder / "whole", {"steps=20"});
  run(whole);
  EXPECT_EQ(readFile(folder / "runs/step-00000020/model.safetensors"),
            readFile(folder / "whole/runs/step-00000020/model.safetensors"));
}

TEST_F(LoopTest, AnErrorOfTheDataStopsAndKeepsTheCheckpoint) {
  TrainConfig config = configOf(folder.root, {"data.order=sequential"});
  tokens[2 * 16 * 3 * 5 + 20] = ToyModel::vocab; // read by step 6
  configOf(folder.root);
  EXPECT_THAT(errorOf(config), HasSubstr("a.bin"));
  EXPECT_EQ(readFile(folder / "runs/latest"), "step-00000004\n");
}

TEST_F(LoopTest, AMetricsAddressThatCannotBeBoundIsFoundFirst) {
  EXPECT_THAT(errorOf(configOf(folder.root, {"metrics.listen=203.0.113.1:9464"})),
              HasSubstr("metrics.listen: cannot listen on '203.0.113.1:9464'"));
  EXPECT_FALSE(fs::exists(folder / "runs")) << "nothing is written";
}

} // namespace
} // namespace lmc
