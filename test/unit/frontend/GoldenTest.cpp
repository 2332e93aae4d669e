// Against traces that other programs recorded (../shared).
#include "ReferenceModel.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>

namespace lmc {
namespace {

std::vector<uint16_t> readTokens(const std::filesystem::path &file, size_t count) {
  std::vector<uint16_t> tokens(count);
  std::ifstream stream(file, std::ios::binary);
  stream.read(reinterpret_cast<char *>(tokens.data()), static_cast<std::streamsize>(2 * count));
  EXPECT_TRUE(stream) << file;
  return tokens;
}

class Golden : public testing::TestWithParam<const char *> {};

TEST_P(Golden, FirstStep) {
  std::filesystem::path folder = sharedFolder() / "golden" / GetParam();
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no trace " << folder << "; set LMC_SHARED to the folder that has golden/";
  auto expected = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  ProgramOptions options;
  options.batch = expected["batch"]["sequences"];
  options.length = expected["batch"]["length"];
  options.inference = false;
  ReferenceModel model(readModelConfig(folder), options);
  model.load(folder);
  model.differentiate();

  size_t count = options.batch * options.length;
  std::vector<uint16_t> stream = readTokens(folder / "tokens.bin", count + 1);
  lm::Tensor tokens({options.batch, options.length}, {stream.begin(), stream.end() - 1});
  lm::Tensor targets({options.batch, options.length}, {stream.begin() + 1, stream.end()});
  auto results = model.run("loss", {tokens, targets});
  const auto &step = expected["trace_float64"][0];
  EXPECT_NEAR(results[0].data[0], step["loss"].get<double>(), 1e-6);
  double squares = 0;
  for (const lm::Tensor &gradient : llvm::drop_begin(results))
    for (double element : gradient.data)
      squares += element * element;
  double norm = step["grad_norm"];
  EXPECT_NEAR(std::sqrt(squares), norm, 1e-5 * norm);
}

INSTANTIATE_TEST_SUITE_P(
    , Golden, testing::Values("gpt2-tiny", "llama-tiny"), [](const auto &info) {
      return std::string(info.param).substr(0, std::string(info.param).find('-'));
    });

int argmax(const lm::Tensor &logits, int64_t row) {
  auto begin = logits.data.begin() + row * logits.lastDim();
  return static_cast<int>(std::max_element(begin, begin + logits.lastDim()) - begin);
}

TEST(Stories, GreedyText) {
  std::filesystem::path folder = sharedFolder() / "models/stories260k";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no model " << folder << "; set LMC_SHARED to the folder that has models/";
  ProgramOptions options;
  options.training = false;
  options.cacheLength = 32;
  options.chunk = 8;
  ReferenceModel model(readModelConfig(folder), options);
  model.load(folder);

  auto tokenizer = nlohmann::json::parse(std::ifstream(folder / "tokenizer.json"));
  std::map<int, std::string> pieces;
  for (const auto &[piece, id] : tokenizer["model"]["vocab"].items())
    pieces[id] = piece;
  std::vector<int> tokens = {static_cast<int>(model.config.bosId.value())};
  std::string text;
  while (tokens.size() < 20) {
    lm::Tensor logits = model.forward(tokens);
    tokens.push_back(argmax(logits, logits.shape[0] - 1));
    text += pieces[tokens.back()];
  }
  for (size_t at; (at = text.find("\u2581")) != std::string::npos;)
    text.replace(at, 3, " ");
  EXPECT_EQ(text.substr(0, 34), " Once upon a time, there was a lit") << text;
}

} // namespace
} // namespace lmc
