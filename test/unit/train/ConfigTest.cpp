#include "train/Config.h"

#include "runtime/Error.h"
#include "test/unit/train/TempFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {
namespace {

using test::TempFolder;
using testing::HasSubstr;

struct ConfigTest : testing::Test {
  ConfigTest() {
    folder.write("model.yaml", "architecture: gpt2\n");
    folder.write("a.txt", "text\n");
    folder.write("b.txt", "text\n");
    folder.write("empty.txt", "");
  }

  TrainConfig load(const std::string &text, std::vector<std::string> overrides = {}) {
    return loadTrainConfig(folder.write("train.yaml", text), overrides);
  }

  /// The error without the temporary folder's name.
  std::string errorOf(const std::string &text, std::vector<std::string> overrides = {}) {
    try {
      load(text, overrides);
    } catch (const Error &error) {
      std::string message = error.what(), root = folder.root.string() + "/";
      for (size_t at; (at = message.find(root)) != std::string::npos;)
        message.erase(at, root.size());
      return message;
    }
    return "no error";
  }

  TempFolder folder;
  const std::string minimal = "model: model.yaml\ndata: {train: a.txt, val: b.txt}\n";
};

TEST_F(ConfigTest, ReadsTheContractsExample) {
  TrainConfig c = load(R"(model: model.yaml
init: random
seed: 7
tokenizer: {train: {kind: bpe, vocab: 1024}}
data: {train: a.txt, val: b.txt, order: sequential}
batch: {sequences: 12, length: 64, accumulate: 2}
optimizer: {name: adamw, lr: 1.5e-4, betas: [0.8, 0.95], eps: 1.0e-6, weight_decay: 0.2, grad_clip: 0.5}
schedule: {name: cosine, warmup_steps: 100, min_lr: 3.0e-5}
precision: bf16
steps: 500
eval: {every: 50, batches: 10}
checkpoint: {dir: runs/x, every: 25, keep: 2}
log: {every: 5, jsonl: runs/x/m.jsonl}
metrics: {listen: "127.0.0.1:9464"}
target: cpu
)");
  EXPECT_EQ(c.sourcePath, folder / "train.yaml");
  EXPECT_EQ(c.modelPath, folder / "model.yaml");
  EXPECT_TRUE(c.initPath.empty());
  EXPECT_EQ(c.seed, 7u);
  EXPECT_EQ(c.tokenizer.kind, TokenizerConfig::Kind::Train);
  EXPECT_EQ(c.tokenizer.trainVocab, 1024);
  EXPECT_EQ(c.data.train, folder / "a.txt");
  EXPECT_EQ(c.data.val, folder / "b.txt");
  EXPECT_EQ(c.data.order, DataOrder::Sequential);
  EXPECT_EQ(c.batch.sequences, 12);
  EXPECT_EQ(c.batch.tokensPerStep(), 12 * 64 * 2);
  EXPECT_EQ(c.optimizer.learningRate, 1.5e-4);
  EXPECT_EQ(c.optimizer.beta1, 0.8);
  EXPECT_EQ(c.optimizer.beta2, 0.95);
  EXPECT_EQ(c.optimizer.epsilon, 1e-6);
  EXPECT_EQ(c.optimizer.weightDecay, 0.2);
  EXPECT_EQ(c.optimizer.gradClip, 0.5);
  EXPECT_EQ(c.schedule.kind, ScheduleKind::Cosine);
  EXPECT_EQ(c.learningRate().warmupSteps, 100);
  EXPECT_EQ(c.learningRate().minimum, 3e-5);
  EXPECT_EQ(c.precision, Precision::Bf16);
  EXPECT_EQ(c.steps, 500);
  EXPECT_EQ(c.eval.every, 50);
  EXPECT_EQ(c.eval.batches, 10);
  EXPECT_EQ(c.checkpoint.directory, folder / "runs/x");
  EXPECT_EQ(c.checkpoint.every, 25);
  EXPECT_EQ(c.checkpoint.keep, 2);
  EXPECT_EQ(c.log.every, 5);
  EXPECT_EQ(c.log.jsonl, folder / "runs/x/m.jsonl");
  EXPECT_EQ(c.metrics.listen, "127.0.0.1:9464");
  EXPECT_EQ(c.target, TargetChoice::Cpu);
}

TEST_F(ConfigTest, FillsInDefaults) {
  TrainConfig c = load("model: {architecture: gpt2, layers: 2}\ndata: {train: a.txt}\n");
  ASSERT_TRUE(c.modelSpec.IsMap());
  EXPECT_EQ(c.modelSpec["layers"].Scalar(), "2");
  EXPECT_TRUE(c.modelPath.empty());
  EXPECT_EQ(c.tokenizer.kind, TokenizerConfig::Kind::Bytes);
  EXPECT_EQ(c.data.order, DataOrder::Shuffled);
  EXPECT_EQ(c.schedule.kind, ScheduleKind::Constant);
  EXPECT_EQ(c.optimizer.beta2, 0.95);
  EXPECT_EQ(c.checkpoint.directory, folder / "runs/train");
  EXPECT_EQ(c.log.jsonl, folder / "runs/train/metrics.jsonl");
  EXPECT_EQ(c.metrics.listen, "");
  EXPECT_EQ(c.eval.every, 0) << "nothing to evaluate on";
  EXPECT_EQ(load(minimal).eval.every, 200);
  EXPECT_EQ(load(minimal + "eval:\nmetrics: ~\n").eval.every, 200) << "null is left out";
}

TEST_F(ConfigTest, AModelFolderBringsItsWeightsAndTokenizer) {
  folder.write("hf/config.json", "{}");
  std::string text = "model: hf/\ndata: {train: a.txt}\n";
  EXPECT_TRUE(load(text).initPath.empty());
  EXPECT_EQ(load(text).tokenizer.kind, TokenizerConfig::Kind::Bytes);
  folder.write("hf/model.safetensors", "x");
  folder.write("hf/tokenizer.json", "{}");
  EXPECT_EQ(load(text).initPath, folder / "hf");
  EXPECT_EQ(load(text).tokenizer.kind, TokenizerConfig::Kind::Model);
  EXPECT_TRUE(load(text, {"init=random"}).initPath.empty());
  EXPECT_EQ(load(text, {"tokenizer=byte"}).tokenizer.kind, TokenizerConfig::Kind::Bytes);
}

TEST_F(ConfigTest, OverridesReachEveryDepth) {
  TrainConfig c = load("model: {architecture: gpt2}\ndata: {train: a.txt}\n",
                       {"optimizer.lr=1e-2", "optimizer.betas=[0.5, 0.6]", "model.layers=3",
                        "tokenizer={train: {vocab: 300}}", "checkpoint.dir=other", "steps=9"});
  EXPECT_EQ(c.optimizer.learningRate, 1e-2);
  EXPECT_EQ(c.optimizer.beta1, 0.5);
  EXPECT_EQ(c.modelSpec["layers"].Scalar(), "3");
  EXPECT_EQ(c.tokenizer.trainVocab, 300);
  EXPECT_EQ(c.checkpoint.directory, folder / "other");
  EXPECT_EQ(c.steps, 9);
  EXPECT_EQ(load(minimal, {"steps=9", "steps=11"}).steps, 11) << "the last one counts";
  EXPECT_EQ(load(minimal, {"tokenizer.train.vocab=400"}).tokenizer.trainVocab, 400);
}

TEST_F(ConfigTest, ErrorsSayWhereWhatAndWhatToDo) {
  const std::string &m = minimal; // two lines, so what is added is line 3
  struct Case {
    std::string text, error;
  };
  const std::vector<Case> cases = {
      // keys
      {m + "optimiser: {lr: 1}\n",
       "train.yaml:3: unknown key 'optimiser', did you mean 'optimizer'?"},
      {m + "optimizer:\n  weight_decya: 1\n",
       "train.yaml:4: unknown key 'weight_decya' in 'optimizer', did you mean 'weight_decay'?"},
      {m + "zzzzzzzz: 1\n", "train.yaml:3: unknown key 'zzzzzzzz'"},
      {m + "steps: 1\nsteps: 2\n", "train.yaml:4: 'steps' is given twice"},
      {m + "eval: 5\n", "train.yaml:3: eval: expected a mapping, for example {every: ...}"},
      {m + "[a, b]: 5\n", "train.yaml:3: a key must be a plain word"},
      {"data: {train: a.txt}\n", "train.yaml: 'model' is missing (mapping | path: inline spec, a "
                                 "spec file, a Hugging Face folder or a .gguf)"},
      {"model: model.yaml\n", "train.yaml: 'data.train' is missing (file: .txt (any bytes), .jsonl "
                              "(UTF-8, field `text`) or .bin (uint16 or uint32 ids))"},
      // YAML
      {"", "train.yaml: the config is empty; it needs at least `model` and `data.train`"},
      {"- a\n", "train.yaml:1: expected a mapping of keys such as `model:` and `data:`"},
      {m + "---\na: 1\n", "train.yaml: holds 2 YAML documents, expected one"},
      {m + "log: {every: 1\n", "train.yaml:4: end of map flow not found"},
      // sizes
      {m + "memory:\n  limit: 2 gigs\n", "train.yaml:4: memory.limit: expected a size such as "
                                         "2GiB, 1500 MiB or 800MB (KiB, MiB, GiB, "
                                         "TiB, KB, MB, GB, TB, or plain bytes), got '2 gigs'"},
      {m + "memory: {limit: 0}\n", "train.yaml:3: memory.limit: expected a size such as 2GiB, 1500 "
                                   "MiB or 800MB (KiB, MiB, GiB, "
                                   "TiB, KB, MB, GB, TB, or plain bytes), got '0'"},
      {m + "memory: {limits: 1GiB}\n",
       "train.yaml:3: unknown key 'limits' in 'memory', did you mean 'limit'?"},
      // types and ranges
      {m + "steps: many\n", "train.yaml:3: steps: expected a whole number in [1, 1073741824], got "
                            "'many'"},
      {m + "steps: 1.5\n", "train.yaml:3: steps: expected a whole number in [1, 1073741824], got "
                           "'1.5'"},
      {m + "steps: [1]\n", "train.yaml:3: steps: expected a whole number in [1, 1073741824], got a "
                           "list"},
      {m + "seed: -1\n", "train.yaml:3: seed: expected a whole number >= 0, got '-1'"},
      {m + "batch: {sequences: 0}\n", "train.yaml:3: batch.sequences: expected a whole number in "
                                      "[1, 1073741824], got '0'"},
      {m + "batch: {sequences: 99999999999999999999}\n",
       "train.yaml:3: batch.sequences: expected a whole number in [1, 1073741824], got "
       "'99999999999999999999'"},
      {m + "batch: {sequences: 65536, length: 65536}\n",
       "train.yaml:3: batch: 65536 sequences of 65536 tokens, 1 times, is more than 1073741824 "
       "tokens a step"},
      {m + "optimizer: {lr: 0}\n", "train.yaml:3: optimizer.lr: expected a number > 0, got '0'"},
      {m + "optimizer: {lr: .nan}\n",
       "train.yaml:3: optimizer.lr: expected a number > 0, got '.nan'"},
      {m + "optimizer: {lr: inf}\n",
       "train.yaml:3: optimizer.lr: expected a number > 0, got 'inf'"},
      {m + "optimizer: {betas: [0.9, 1]}\n",
       "train.yaml:3: optimizer.betas: expected a number in [0, 1), got '1'"},
      {m + "optimizer: {betas: 0.9}\n",
       "train.yaml:3: optimizer.betas: expected two numbers in [0, 1), for example [0.9, 0.95], "
       "got '0.9'"},
      {m + "optimizer: {weight_decay: -0.1}\n",
       "train.yaml:3: optimizer.weight_decay: expected a number >= 0, got '-0.1'"},
      {m + "optimizer: {name: sgd}\n", "train.yaml:3: optimizer.name: expected adamw, got 'sgd'"},
      {m + "schedule: {name: cosin}\n",
       "train.yaml:3: schedule.name: expected one of cosine, linear, constant, wsd, got 'cosin'"},
      {m + "schedule: {name: cosine, min_lr: 1}\n",
       "train.yaml:3: schedule.min_lr: 1 is above optimizer.lr (0.0003)"},
      {m + "schedule: {min_lr: 1e-5}\n",
       "train.yaml:3: schedule.min_lr: has no meaning without schedule.name (cosine, linear or "
       "wsd)"},
      {m + "precision: f16\n", "train.yaml:3: precision: expected one of f32, bf16, got 'f16'"},
      {m + "target: gpu\n", "train.yaml:3: target: expected one of auto, cpu, cuda, got 'gpu'"},
      {m + "metrics: {listen: localhost}\n",
       "train.yaml:3: metrics.listen: expected host:port, for example 127.0.0.1:9464, got "
       "'localhost'"},
      {m + "metrics: {listen: 'localhost:70000'}\n",
       "train.yaml:3: metrics.listen: expected host:port, for example 127.0.0.1:9464, got "
       "'localhost:70000'"},
      // files
      {"model: none.yaml\ndata: {train: a.txt}\n",
       "train.yaml:1: model: 'none.yaml' does not exist"},
      {"model: model.yaml\ndata:\n  train: c.txt\n",
       "train.yaml:3: data.train: 'c.txt' does not exist"},
      {"model: model.yaml\ndata: {train: empty.txt}\n",
       "train.yaml:2: data.train: 'empty.txt' is empty"},
      {"model: model.yaml\ndata: {train: ./}\n",
       "train.yaml:2: data.train: '' is a folder, expected a .txt, .jsonl or .bin file"},
      {m + "init: weights\n", "train.yaml:3: init: 'weights' does not exist"},
      {"model: model.yaml\ndata: {train: a.txt}\neval: {every: 5}\n",
       "train.yaml:3: eval: there is nothing to evaluate on: give data.val, or leave `eval` out"},
      // tokenizer
      {m + "tokenizer: sentencepiece\n", "train.yaml:3: tokenizer: 'sentencepiece' does not exist"},
      {m + "tokenizer: {train: {kind: unigram, vocab: 500}}\n",
       "train.yaml:3: tokenizer.train.kind: expected bpe, got 'unigram'"},
      {m + "tokenizer: {train: {vocab: 200}}\n",
       "train.yaml:3: tokenizer.train.vocab: expected a whole number in [257, 1048576], got '200'"},
      {m + "tokenizer: {train: {kind: bpe}}\n",
       "train.yaml:3: tokenizer: tokenizer.train.vocab is missing: the number of tokens, at least "
       "257"},
      {m + "tokenizer: {train: {vocabb: 300}}\n",
       "train.yaml:3: unknown key 'vocabb' in 'tokenizer.train', did you mean 'vocab'?"},
      {m + "tokenizer: {train: 300}\n",
       "train.yaml:3: tokenizer.train: expected a mapping, `byte`, `model`, a path to a "
       "tokenizer.json or tokenizer.model, or {train: {kind: bpe, vocab: N}}"},
  };
  for (const Case &c : cases) {
    std::string error = errorOf(c.text);
    if (c.error.find("is a folder") != std::string::npos)
      EXPECT_THAT(error, HasSubstr("is a folder, expected a .txt, .jsonl or .bin file"));
    else
      EXPECT_EQ(error, c.error) << c.text;
  }
}

TEST_F(ConfigTest, OverrideErrorsNameTheOverride) {
  auto with = [&](const std::string &text) { return errorOf(minimal, {text}); };
  EXPECT_EQ(with("optimizer.lr=fast"),
            "--set optimizer.lr=fast: optimizer.lr: expected a number > 0, got 'fast'");
  EXPECT_EQ(with("optimzer.lr=1"),
            "--set optimzer.lr=1: unknown key 'optimzer', did you mean 'optimizer'?");
  EXPECT_EQ(with("optimizer.lrr=1"),
            "--set optimizer.lrr=1: unknown key 'lrr' in 'optimizer', did you mean 'lr'?");
  EXPECT_EQ(with("steps"), "--set steps: expected key=value, for example --set optimizer.lr=1e-3");
  EXPECT_EQ(with("=1"), "--set =1: expected key=value, for example --set optimizer.lr=1e-3");
  EXPECT_EQ(with("a..b=1"), "--set a..b=1: 'a..b' is not a dotted key");
  EXPECT_EQ(with("model.layers=2"),
            "--set model.layers=2: 'model' is not a mapping (train.yaml:1)");
  EXPECT_EQ(with("steps=[1"), "--set steps=[1: the value is not YAML: end of sequence flow not "
                              "found");
  EXPECT_EQ(with("data.train=none.txt"),
            "--set data.train=none.txt: data.train: 'none.txt' does not exist");
  EXPECT_EQ(with("batch={sequences: 0}"), "--set batch={sequences: 0}: batch.sequences: expected a "
                                          "whole number in [1, 1073741824], got '0'");
}

TEST_F(ConfigTest, HostileFilesEndInAnError) {
  EXPECT_EQ(errorOf(std::string(5 << 20, '#')),
            "'train.yaml' is larger than 4 MiB, too large for a train config");
  EXPECT_THAT(errorOf(minimal + "model2: " + std::string(100000, '[')), HasSubstr("train.yaml"));
  std::string deep = "model: ";
  for (int i = 0; i < 100; ++i)
    deep += "{a: ";
  EXPECT_THAT(errorOf(deep + "1" + std::string(100, '}') + "\n"),
              HasSubstr("train.yaml:1: nested more than 64 deep"));
  // Aliases that multiply: 10^9 values in nine lines.
  std::string laughs = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 9; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j)
      laughs += fmt::format("{}*a{}", j ? "," : "", i - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(errorOf(laughs), HasSubstr("more than 100000 values"));
  EXPECT_THAT(errorOf("a: &a [*a, *a]\n"), HasSubstr("train.yaml"));
  EXPECT_THAT(errorOf("\x80\xff\x00 : {"), HasSubstr("train.yaml"));
  EXPECT_THROW(loadTrainConfig(folder / "missing.yaml"), Error);
  EXPECT_THROW(loadTrainConfig(folder.root), Error);
}

// Reading the resolved copy gives the same config, also from another folder.
TEST_F(ConfigTest, ResolvedCopyIsAFixedPoint) {
  for (const std::string &text :
       {minimal, std::string("model: {architecture: gpt2, layers: [{kind: x}, 2]}\n"
                             "data: {train: a.txt, order: sequential}\n"
                             "tokenizer: {train: {kind: bpe, vocab: 300}}\n"
                             "optimizer: {lr: 0.1, betas: [0.9, 0.99], eps: 1e-7}\n"
                             "schedule: {name: wsd, min_lr: 1e-5, decay_steps: 7}\n"
                             "seed: 18446744073709551615\nmetrics: {listen: ':0'}\n"
                             "memory: {limit: 1.5GiB}\n")}) {
    TrainConfig first = load(text);
    std::string resolved = resolvedYaml(first);
    EXPECT_THAT(resolved, HasSubstr("source_path: " + (folder / "train.yaml").string()));
    TrainConfig again = loadTrainConfig(folder.write("elsewhere/train.yaml", resolved));
    EXPECT_EQ(resolvedYaml(again), resolved);
    EXPECT_EQ(again.sourcePath, folder / "train.yaml");
    EXPECT_EQ(again.seed, first.seed);
    EXPECT_EQ(again.optimizer.learningRate, first.optimizer.learningRate);
  }
}

TEST_F(ConfigTest, AMemoryLimitKnowsWhereItStands) {
  EXPECT_EQ(load(minimal).memory.limit, 0);
  TrainConfig c = load(minimal + "memory: {limit: 1500MiB}\n");
  EXPECT_EQ(c.memory.limit, int64_t(1500) << 20);
  EXPECT_THAT(c.memory.place, testing::EndsWith("train.yaml:3: memory.limit"));
  EXPECT_EQ(load(minimal, {"memory.limit=2000000"}).memory.limit, 2000000);
  EXPECT_THAT(resolvedYaml(c), HasSubstr("limit: 1500MiB"));
  // The same numbers come out, so a resumed run may have another limit.
  EXPECT_TRUE(changesSince(folder.write("copy.yaml", resolvedYaml(c)), load(minimal)).empty());
}

TEST_F(ConfigTest, WhatACheckpointSaysOfAKeyThatItIsOlderThanIsTheDefault) {
  std::string copy = resolvedYaml(load(minimal));
  for (const char *line :
       {"dropout:\n  embedding: 0\n  residual: 0\n  attention: 0\n", "  eps: 1e-08\n"}) {
    size_t at = copy.find(line);
    ASSERT_NE(at, std::string::npos) << line << "is not in\n" << copy;
    copy.erase(at, std::string_view(line).size());
  }
  std::filesystem::path older = folder.write("copy.yaml", copy);
  EXPECT_TRUE(changesSince(older, load(minimal)).empty());
  auto changes =
      changesSince(older, load(minimal, {"dropout.residual=0.25", "optimizer.eps=1e-7"}));
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].key, "optimizer.eps");
  EXPECT_EQ(changes[0].before, "1e-08");
  EXPECT_EQ(changes[1].key, "dropout.residual");
  EXPECT_EQ(changes[1].before, "0");
  EXPECT_EQ(changes[1].now, "0.25");
}

TEST_F(ConfigTest, HelpListsEveryKeyWithItsDefault) {
  std::string help = configHelp();
  EXPECT_THAT(help, HasSubstr("optimizer.betas"));
  EXPECT_THAT(help, HasSubstr("two numbers in [0, 1)"));
  EXPECT_THAT(help, HasSubstr("cosine | linear | constant | wsd"));
  EXPECT_THAT(help, HasSubstr("checkpoint.keep"));
}

} // namespace
} // namespace lmc
