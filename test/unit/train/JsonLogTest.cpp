#include "train/JsonLog.h"

#include "runtime/Error.h"
#include "test/unit/train/TempFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace lmc {
namespace {

using test::readFile;
using test::TempFolder;
using testing::HasSubstr;

StepRecord record(int64_t step) {
  return {step, 0.1f, 1.0f / 3, 1e-5f, step * 64, 12345.678901234567, 0.0051};
}

TEST(JsonLog, LinesHaveTheContractsKeysAndExactNumbers) {
  TempFolder folder;
  {
    JsonLog log = JsonLog::create(folder / "runs/x/metrics.jsonl");
    log.write(record(1));
    log.writeEvaluation(1, 2.7182817f);
  }
  std::istringstream lines(readFile(folder / "runs/x/metrics.jsonl"));
  std::string first, second, rest;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_FALSE(std::getline(lines, rest));

  auto step = nlohmann::ordered_json::parse(first);
  std::vector<std::string> keys;
  for (const auto &[key, value] : step.items())
    keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"step", "loss", "grad_norm", "lr", "tokens",
                                            "tokens_per_second", "step_seconds"}));
  EXPECT_EQ(step["step"], 1);
  // The very bits of the floats, for readers that know only doubles.
  EXPECT_EQ(step["loss"].get<double>(), double{0.1f});
  EXPECT_EQ(step["grad_norm"].get<double>(), double{1.0f / 3});
  EXPECT_EQ(step["lr"].get<double>(), double{1e-5f});
  EXPECT_EQ(step["tokens"], 64);
  EXPECT_EQ(step["tokens_per_second"].get<double>(), 12345.678901234567);
  EXPECT_EQ(step["step_seconds"].get<double>(), 0.0051);
  EXPECT_EQ(nlohmann::json::parse(second),
            (nlohmann::json{{"step", 1}, {"val_loss", double{2.7182817f}}}));
}

TEST(JsonLog, EachLineIsThereAtOnce) {
  TempFolder folder;
  JsonLog log = JsonLog::create(folder / "m.jsonl");
  log.write(record(1));
  std::string text = readFile(folder / "m.jsonl");
  EXPECT_TRUE(text.ends_with("}\n")) << text;
}

TEST(JsonLog, ResumeCutsLaterStepsAndATornLine) {
  TempFolder folder;
  std::filesystem::path file = folder / "m.jsonl";
  {
    JsonLog log = JsonLog::create(file);
    for (int step = 1; step <= 5; ++step)
      log.write(record(step));
    log.writeEvaluation(4, 1);
  }
  std::string whole = readFile(file);
  for (const std::string &tail : {"", "{", "{\"step\":6,\"lo", "{\"step\":6,\"loss\":1}"}) {
    folder.write("m.jsonl", whole + tail);
    JsonLog log = JsonLog::resume(file, 3);
    log.write(record(4));
    std::string text = readFile(file);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4) << tail;
    EXPECT_TRUE(whole.starts_with(text)) << "steps 1 to 4, as if never stopped";
  }
  // A torn line after the step of the checkpoint.
  folder.write("m.jsonl", whole + "{\"step\":5,\"val");
  JsonLog::resume(file, 5);
  EXPECT_EQ(readFile(file), whole);
  // Nothing kept, and no file at all.
  JsonLog::resume(file, 0);
  EXPECT_EQ(readFile(file), "");
  JsonLog::resume(folder / "new.jsonl", 7).write(record(8));
  EXPECT_THAT(readFile(folder / "new.jsonl"), HasSubstr("\"step\":8"));
}

TEST(JsonLog, NeverCutsAnotherFile) {
  TempFolder folder;
  for (std::string text : std::vector<std::string>{
           "{\"text\": \"a data set\"}\n", "some text", "{\"step\":1,\"loss\":2}\nmore\n", "\n",
           "{\"step\":1" + std::string(1 << 20, ' ') + "}\n"}) {
    std::filesystem::path file = folder.write("m.jsonl", text);
    try {
      JsonLog::resume(file, 5);
      ADD_FAILURE() << "no error for: " << text;
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr("not a line of a training log"));
    }
    EXPECT_EQ(readFile(file), text);
  }
}

TEST(JsonLog, ANewRunMovesTheOldLogAway) {
  TempFolder folder;
  folder.write("m.jsonl", "first\n");
  EXPECT_EQ(JsonLog::create(folder / "m.jsonl").olderLog(), folder / "m.jsonl.1");
  folder.write("m.jsonl", "second\n");
  EXPECT_EQ(JsonLog::create(folder / "m.jsonl").olderLog(), folder / "m.jsonl.2");
  EXPECT_EQ(JsonLog::create(folder / "m.jsonl").olderLog(), "") << "an empty log is taken over";
  EXPECT_EQ(readFile(folder / "m.jsonl.1"), "first\n");
  EXPECT_EQ(readFile(folder / "m.jsonl.2"), "second\n");
}

TEST(JsonLog, FailuresNameTheFile) {
  TempFolder folder;
  folder.write("file", "x");
  EXPECT_THROW(JsonLog::create(folder / "file/m.jsonl"), Error);
  JsonLog full = JsonLog::resume("/dev/full", 0);
  try {
    full.write(record(1));
    ADD_FAILURE() << "no error from a full device";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "cannot write '/dev/full': No space left on device");
  }
}

} // namespace
} // namespace lmc
