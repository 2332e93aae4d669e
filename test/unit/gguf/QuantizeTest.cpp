#include "frontend/gguf/Quantize.h"

#include "ModelFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lmc {
namespace {

std::string run(const std::filesystem::path &model, const char *type,
                const std::filesystem::path &output, int threads = 1, bool requantize = false) {
  try {
    GgufModel source = isGguf(model) ? readGgufModel(model) : convertToGguf(model);
    const QuantizationMix &mix = quantizationMix(type);
    quantize(source, mix, planQuantization(source, mix, requantize), output, threads);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST(Quantize, everyMixStaysNearTheWeights) {
  ModelFolder model(R"({"model_type":"llama","hidden_size":256,"intermediate_size":256,
      "num_hidden_layers":2,"num_attention_heads":4,"vocab_size":40,"max_position_embeddings":64,
      "tie_word_embeddings":false})");
  // Error of normal weights over their deviation, at most; from the bits a weight has.
  const std::map<std::string, double> bounds = {
      {"f32", 0},        {"f16", 4e-4},     {"bf16", 3e-3},   {"q8_0", 8e-3},   {"q6_k", 0.025},
      {"q5_k_m", 0.045}, {"q5_k_s", 0.045}, {"q5_1", 0.045},  {"q5_0", 0.05},   {"q4_k_m", 0.09},
      {"q4_k_s", 0.09},  {"q4_1", 0.09},    {"q4_0", 0.1},    {"iq4_nl", 0.09}, {"mxfp4", 0.15},
      {"q3_k_l", 0.18},  {"q3_k_m", 0.18},  {"q3_k_s", 0.18}, {"q2_k", 0.36},   {"q2_k_s", 0.36}};
  ASSERT_EQ(bounds.size(), quantizationMixes().size());
  for (const auto &[type, bound] : bounds) {
    std::filesystem::path path = model.folder / "m.gguf";
    ASSERT_EQ(run(model.folder.path, type.c_str(), path), "") << type;
    auto source = openModelWeights(path);
    std::vector<const TensorView *> views =
        matchWeights(*source, readModelConfig(path), model.parameters);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < views.size(); ++i) {
      std::vector<float> values(views[i]->numElements());
      readAsF32(*views[i], values);
      for (size_t j = 0; j < values.size(); ++j) {
        sum += std::pow(double(values[j]) - model.values[i][j], 2);
        squares += std::pow(double(model.values[i][j]), 2);
      }
    }
    EXPECT_LE(std::sqrt(sum / squares), bound) << type;
    EXPECT_EQ(GgufFile::open(path).metadata().integer("general.file_type", 0, 100),
              quantizationMix(type).fileType);
  }
}

TEST(Quantize, bytesDoNotDependOnThreads) {
  ModelFolder model(smallLlama);
  ASSERT_EQ(run(model.folder.path, "q4_k_m", model.folder / "1.gguf", 1), "");
  ASSERT_EQ(run(model.folder.path, "q4_k_m", model.folder / "3.gguf", 3), "");
  EXPECT_EQ(readBytes(model.folder / "1.gguf"), readBytes(model.folder / "3.gguf"));
}

TEST(Quantize, twiceOnlyOnRequest) {
  ModelFolder model(smallLlama);
  std::filesystem::path once = model.folder / "once.gguf", twice = model.folder / "twice.gguf";
  ASSERT_EQ(run(model.folder.path, "q8_0", once), "");
  EXPECT_THAT(run(once, "q4_0", twice),
              testing::HasSubstr("tensor 'token_embd.weight' is Q8_0 already"));
  EXPECT_FALSE(std::filesystem::exists(twice));
  EXPECT_EQ(run(once, "q4_0", twice, 1, true), "");
  EXPECT_EQ(run(once, "q8_0", twice), ""); // nothing changes
  EXPECT_EQ(readBytes(once), readBytes(twice));
}

TEST(Quantize, weightsThatNoBlockHoldsAreNamed) {
  for (float bad : {INFINITY, NAN, 70000.0f}) {
    TemporaryFolder folder;
    std::vector<float> values(64);
    values[33] = bad;
    GgufMetadata metadata("m");
    metadata.set("general.architecture", std::string("llama"));
    metadata.set("llama.block_count", 1u);
    metadata.set("llama.attention.head_count", 1u);
    GgufWriter writer(folder / "m.gguf", metadata,
                      {{"blk.0.attn_q.weight", TensorType::F32, {2, 32}}});
    writer.write(std::as_bytes(std::span(values)));
    writer.commit();
    EXPECT_THAT(run(folder / "m.gguf", "q8_0", folder / "out.gguf"),
                testing::HasSubstr("tensor 'blk.0.attn_q.weight': element 33 is"));
    EXPECT_FALSE(std::filesystem::exists(folder / "out.gguf"));
  }
}

} // namespace lmc
