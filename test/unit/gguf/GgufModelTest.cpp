#include "frontend/gguf/GgufModel.h"

#include "ModelFolder.h"
#include "frontend/gguf/Quantize.h"
#include "frontend/gguf/WriteFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>

namespace lmc {
namespace {

void convert(const std::filesystem::path &model, const std::filesystem::path &output) {
  GgufModel source = isGguf(model) ? readGgufModel(model) : convertToGguf(model);
  const QuantizationMix &mix = quantizationMix("f32");
  quantize(source, mix, planQuantization(source, mix, false), output, 2);
}

std::string errorOf(const GgufMetadata &metadata, std::vector<int64_t> table = {40, 32}) {
  TemporaryFolder folder;
  int64_t bytes = 4;
  for (int64_t extent : table)
    bytes *= extent;
  GgufWriter writer(folder / "m.gguf", metadata,
                    {{"token_embd.weight", TensorType::F32, std::move(table)}});
  writer.write(std::vector<std::byte>(bytes));
  writer.commit();
  try {
    readGgufConfig(GgufFile::open(folder / "m.gguf"));
  } catch (const Error &error) {
    std::string text = error.what();
    return text.substr(text.find("m.gguf"));
  }
  return "no error";
}

} // namespace

TEST(GgufModel, foldersComeBackToTheBit) {
  for (const char *json : {smallLlama, smallGpt2}) {
    ModelFolder model(json);
    convert(model.folder.path, model.folder / "m.gguf");
    ModelConfig config = readModelConfig(model.folder / "m.gguf");
    EXPECT_EQ(canonicalSpec(config), canonicalSpec(model.config));
    auto source = openModelWeights(model.folder / "m.gguf");
    std::vector<const TensorView *> views = matchWeights(*source, config, model.parameters);
    for (size_t i = 0; i < views.size(); ++i) {
      std::vector<float> values(views[i]->numElements());
      readAsF32(*views[i], values);
      EXPECT_EQ(values, model.values[i]) << model.parameters[i].name;
    }
    convert(model.folder / "m.gguf", model.folder / "again.gguf");
    EXPECT_EQ(readBytes(model.folder / "again.gguf"), readBytes(model.folder / "m.gguf"));
  }
}

// GGUF's llama rotates neighbouring rows, its matrices are [out, in].
TEST(GgufModel, layoutsAreThoseOfGguf) {
  ModelFolder llama(smallLlama), gpt2(smallGpt2);
  convert(llama.folder.path, llama.folder / "m.gguf");
  convert(gpt2.folder.path, gpt2.folder / "m.gguf");
  auto valuesOf = [](const ModelFolder &model, const std::string &name) {
    for (size_t i = 0; i < model.parameters.size(); ++i)
      if (model.parameters[i].name == name)
        return model.values[i];
    return std::vector<float>();
  };
  auto read = [](const GgufFile &file, const std::string &name) {
    std::vector<float> values(file.find(name)->numElements());
    readAsF32(*file.find(name), values);
    return values;
  };
  GgufFile file = GgufFile::open(llama.folder / "m.gguf");
  for (const auto &[name, own] :
       {std::pair("blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight"),
        {"blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight"}}) {
    std::vector<float> theirs = read(file, name), ours = valuesOf(llama, own);
    for (size_t row = 0; row < ours.size() / 32; ++row) {
      size_t i = row % 8, head = row - i; // D = 8: dimension i of the first half meets i + 4
      size_t stored = head + (i < 4 ? 2 * i : 2 * (i - 4) + 1);
      for (size_t c = 0; c < 32; ++c)
        ASSERT_EQ(theirs[32 * stored + c], ours[32 * row + c]) << name;
    }
  }
  GgufFile second = GgufFile::open(gpt2.folder / "m.gguf");
  const TensorView &qkv = *second.find("blk.0.attn_qkv.weight");
  EXPECT_EQ(qkv.shape, (std::vector<int64_t>{96, 32}));
  std::vector<float> theirs = read(second, "blk.0.attn_qkv.weight"),
                     ours = valuesOf(gpt2, "transformer.h.0.attn.c_attn.weight");
  for (size_t out = 0; out < 96; ++out)
    for (size_t in = 0; in < 32; ++in)
      ASSERT_EQ(theirs[32 * out + in], ours[96 * in + out]);
}

TEST(GgufModel, foldersAreWrittenFromGguf) {
  ModelFolder model(smallLlama);
  convert(model.folder.path, model.folder / "m.gguf");
  std::filesystem::path folder = model.folder / "folder";
  EXPECT_THAT(writeModelFolder(model.folder / "m.gguf", folder, TensorType::F32, 1 << 14),
              testing::HasSubstr("holds no tokenizer"));
  EXPECT_TRUE(std::filesystem::exists(folder / "model-00010-of-00010.safetensors"));
  ModelConfig config = readModelConfig(folder);
  EXPECT_EQ(canonicalSpec(config), canonicalSpec(model.config));
  auto source = openWeights(folder);
  std::vector<const TensorView *> views = matchWeights(*source, config, model.parameters);
  for (size_t i = 0; i < views.size(); ++i) {
    std::vector<float> values(views[i]->numElements());
    readAsF32(*views[i], values);
    EXPECT_EQ(values, model.values[i]) << model.parameters[i].name;
  }
}

TEST(GgufModel, configErrorsNameTheKey) {
  ModelFolder model(smallLlama);
  GgufMetadata good = writeGgufConfig(model.config, "m");
  EXPECT_EQ(errorOf(good), "no error");
  auto with = [&](const char *key, GgufValue value) {
    GgufMetadata changed = good;
    changed.set(key, std::move(value));
    return errorOf(changed);
  };
  using testing::HasSubstr;
  EXPECT_THAT(with("general.architecture", std::string("mamba")),
              HasSubstr("m.gguf': key 'general.architecture' is 'mamba', known are llama, gpt2"));
  EXPECT_THAT(with("llama.block_count", 0u), HasSubstr("expected a whole number in [1, 4096]"));
  EXPECT_THAT(with("llama.block_count", GgufArray{std::vector<uint32_t>{1, 2}}),
              HasSubstr("key 'llama.block_count' is [1, 2] (array of u32)"));
  EXPECT_THAT(with("llama.attention.head_count", 5u), HasSubstr("must divide"));
  EXPECT_THAT(with("llama.vocab_size", 41u),
              HasSubstr("but tensor 'token_embd.weight' is [40, 32]"));
  EXPECT_THAT(with("llama.rope.scaling.type", std::string("yarn")), HasSubstr("is 'yarn'"));
  EXPECT_THAT(with("llama.rope.scaling.factor", 2.0f), HasSubstr("is 2"));
  EXPECT_THAT(with("llama.expert_count", 8u), HasSubstr("mixtures of experts"));
  EXPECT_THAT(with("llama.rope.dimension_count", 4u), HasSubstr("only the head's 8"));
  EXPECT_THAT(with("llama.attention.layer_norm_rms_epsilon", 0.0f), HasSubstr("above 0"));
  EXPECT_THAT(with("llama.attention.sliding_window", 4096u), HasSubstr("is not understood"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", 40u), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(errorOf(good, {40}), HasSubstr("has no tensor 'token_embd.weight' of shape"));
  EXPECT_THAT(errorOf(GgufMetadata("m")), HasSubstr("key 'general.architecture' is missing"));
}

TEST(GgufModel, unknownAndMissingTensorsAreNamed) {
  ModelFolder model(smallLlama);
  convert(model.folder.path, model.folder / "m.gguf");
  auto errorWith = [&](const std::string &from, const std::string &to) {
    std::string bytes = readBytes(model.folder / "m.gguf");
    bytes.replace(bytes.find(from), from.size(), to);
    model.folder.write("changed.gguf", bytes);
    try {
      auto source = openModelWeights(model.folder / "changed.gguf");
      matchWeights(*source, model.config, model.parameters);
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  using testing::HasSubstr;
  EXPECT_THAT(errorWith("blk.1.ffn_up.weight", "blk.1.ffn_xx.weight"),
              HasSubstr("has no tensor 'model.layers.1.mlp.up_proj.weight'"));
  EXPECT_THAT(errorWith("blk.1.ffn_up.weight", "blk.9.ffn_up.weight"),
              HasSubstr("has no tensor 'model.layers.1.mlp.up_proj.weight'"));
}

} // namespace lmc
