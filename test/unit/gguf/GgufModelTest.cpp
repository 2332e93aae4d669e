#include "frontend/gguf/GgufModel.h"

#include "ModelFolder.h"
#include "frontend/WriteFolder.h"
#include "frontend/gguf/Quantize.h"
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

/// The weights at `path` are the folder's, to the bit.
void expectValues(const std::filesystem::path &path, const ModelFolder &model) {
  auto source = openModelWeights(path);
  std::vector<const TensorView *> views =
      matchWeights(*source, readModelConfig(path), model.parameters);
  for (size_t i = 0; i < views.size(); ++i) {
    std::vector<float> values(views[i]->numElements());
    readAsF32(*views[i], values);
    EXPECT_EQ(values, model.values[i]) << model.parameters[i].name;
  }
}

const std::string smallMixtral =
    smallDecoder("mixtral", R"("num_local_experts":4,"num_experts_per_tok":2)");

} // namespace

TEST(GgufModel, foldersComeBackToTheBit) {
  const std::string untied = R"("tie_word_embeddings":false)";
  const std::string models[] = {
      smallLlama,
      smallGpt2,
      smallDecoder("llama", R"("attention_bias":true,"mlp_bias":true)"),
      smallDecoder("llama", R"("rope_scaling":{"rope_type":"linear","factor":2.5})"),
      smallDecoder("llama", R"("rope_theta":5e5,"rope_scaling":{"rope_type":"llama3","factor":8.0,
          "low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":40})"),
      smallDecoder("llama", R"("rope_scaling":{"rope_type":"yarn","factor":4.0,"beta_fast":16.0,
          "original_max_position_embeddings":16})"),
      smallDecoder("llama", R"("rope_scaling":{"rope_type":"yarn","factor":4.0,
          "attention_factor":0.75,"original_max_position_embeddings":16})"),
      smallDecoder("mistral", R"("sliding_window":13)"),
      smallDecoder("qwen2", untied),
      smallDecoder("qwen2",
                   R"("use_sliding_window":true,"sliding_window":9,"max_window_layers":1)"),
      smallDecoder("qwen3", R"("tie_word_embeddings":true)"),
      smallDecoder("phi3", R"("sliding_window":null,"partial_rotary_factor":0.75)"),
      smallDecoder("phi3", R"("original_max_position_embeddings":22,"rope_scaling":{
          "rope_type":"longrope","short_factor":[1,1.1,1.2,1.3],"long_factor":[1.5,2.2,2.9,3.6]})"),
      smallDecoder("gemma2", R"("query_pre_attn_scalar":24,"sliding_window":11,
          "attn_logit_softcapping":5.5)"),
      smallDecoder("gemma3_text", R"("query_pre_attn_scalar":8,"sliding_window":11,
          "layer_types":["full_attention","sliding_attention","full_attention"])"),
      smallMixtral,
      smallDecoder("mixtral", R"("num_local_experts":3,"num_experts_per_tok":3,
          "sliding_window":13)"),
      smallDecoder("qwen3_moe", R"("num_experts":5,"num_experts_per_tok":2,
          "moe_intermediate_size":16,"norm_topk_prob":true)"),
      smallDecoder("qwen3_moe", R"("num_experts":5,"num_experts_per_tok":2,"mlp_only_layers":[1],
          "moe_intermediate_size":16,"norm_topk_prob":false,"attention_bias":true)"),
  };
  for (const std::string &json : models) {
    SCOPED_TRACE(json);
    ModelFolder model(json);
    convert(model.folder.path, model.folder / "m.gguf");
    ModelConfig config = readModelConfig(model.folder / "m.gguf");
    EXPECT_EQ(canonicalSpec(config), canonicalSpec(model.config));
    auto source = openModelWeights(model.folder / "m.gguf");
    std::vector<const TensorView *> views = matchWeights(*source, config, model.parameters);
    for (size_t i = 0; i < views.size(); ++i) {
      std::vector<float> values(views[i]->numElements());
      readAsF32(*views[i], values);
      if (views[i]->offset != 0) // what the norm multiplies by is stored
        for (float *list : {values.data(), model.values[i].data()})
          for (size_t at = 0; at < values.size(); ++at)
            list[at] += 1;
      EXPECT_EQ(values, model.values[i]) << model.parameters[i].name;
    }
    convert(model.folder / "m.gguf", model.folder / "again.gguf");
    EXPECT_EQ(readBytes(model.folder / "again.gguf"), readBytes(model.folder / "m.gguf"));
  }
}

TEST(GgufModel, normsOfGemmaAreStoredWithTheirOne) {
  ModelFolder model(smallDecoder("gemma3_text", R"("query_pre_attn_scalar":8)"));
  convert(model.folder.path, model.folder / "m.gguf");
  GgufFile file = GgufFile::open(model.folder / "m.gguf");
  for (const auto &[name, own] :
       {std::pair("blk.1.attn_q_norm.weight", "model.layers.1.self_attn.q_norm.weight"),
        {"blk.1.post_ffw_norm.weight", "model.layers.1.post_feedforward_layernorm.weight"},
        {"blk.1.ffn_norm.weight", "model.layers.1.pre_feedforward_layernorm.weight"},
        {"output_norm.weight", "model.norm.weight"}}) {
    std::vector<float> stored(file.find(name)->numElements());
    readAsF32(*file.find(name), stored);
    for (size_t i = 0; i < model.parameters.size(); ++i)
      if (model.parameters[i].name == own)
        for (size_t at = 0; at < stored.size(); ++at)
          EXPECT_EQ(stored[at], 1 + model.values[i][at]) << name;
  }
}

// Keys that the folders above do not lead to.
TEST(GgufModel, otherWaysToSayIt) {
  ModelFolder llama(smallLlama), gemma(smallDecoder("gemma2", R"("query_pre_attn_scalar":8)"));
  auto read = [](const ModelFolder &model, auto change, std::vector<GgufTable> tables = {}) {
    GgufMetadata metadata = writeGgufConfig(model.config, "m").metadata;
    change(metadata);
    std::vector<GgufTensorInfo> infos = {{"token_embd.weight", TensorType::F32, {40, 32}}};
    for (const GgufTable &table : tables)
      infos.push_back({table.name, TensorType::F32, {int64_t(table.values.size())}});
    GgufWriter writer(model.folder / "x.gguf", metadata, infos);
    writer.write(std::vector<std::byte>(40 * 32 * 4));
    for (const GgufTable &table : tables)
      writer.write(std::as_bytes(std::span(table.values)));
    writer.commit();
    return readGgufConfig(GgufFile::open(model.folder / "x.gguf"));
  };
  auto none = [](GgufMetadata &) {};
  EXPECT_EQ(read(llama, none).architecture, Architecture::Llama);
  ModelConfig scaled = read(llama, [](auto &m) { m.set("llama.rope.scale_linear", 2.0f); });
  EXPECT_EQ(scaled.rope.scaling, RopeConfig::Scaling::Linear);
  EXPECT_EQ(scaled.rope.factor, 2);
  ModelConfig mistral = read(llama, [](auto &m) { m.set("llama.attention.sliding_window", 16u); });
  EXPECT_EQ(mistral.architecture, Architecture::Mistral);
  EXPECT_EQ(mistral.windowLayers, (std::vector<int64_t>{0, 1}));
  // Factors of nobody's settings.
  ModelConfig factors = read(llama, none, {{"rope_freqs.weight", {1, 1.5, 7, 3}}});
  EXPECT_EQ(factors.rope.scaling, RopeConfig::Scaling::LongRope);
  EXPECT_EQ(factors.rope.shortFactors, (std::vector<double>{1, 1.5, 7, 3}));
  EXPECT_EQ(factors.rope.longFactors, factors.rope.shortFactors);

  EXPECT_EQ(read(gemma, none).windowLayers, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(read(gemma, none).window, 4096);
  ModelConfig every = read(gemma, [](auto &m) {
    m.set("gemma2.attention.sliding_window_pattern", 3u);
    m.set("gemma2.attention.scale", 0.25f);
    m.set("gemma2.attn_logit_softcapping", 0.0f);
  });
  EXPECT_EQ(every.windowLayers, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(every.queryScalar, 16);
  EXPECT_EQ(every.attentionCap, 0);
  EXPECT_EQ(every.logitCap, 30);
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
  auto weights = openModelWeights(model.folder / "m.gguf");
  writeModelFolder(readModelConfig(model.folder / "m.gguf"), *weights, nullptr, folder, {},
                   1 << 14);
  EXPECT_TRUE(std::filesystem::exists(folder / "model-00010-of-00010.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "tokenizer.json"));
  EXPECT_EQ(canonicalSpec(readModelConfig(folder)), canonicalSpec(model.config));
  expectValues(folder, model);
}

// One tensor in GGUF, one for each expert in folders and in GGUF files of 2023.
TEST(GgufModel, expertsInOneTensorOrInPieces) {
  ModelFolder model(smallMixtral);
  convert(model.folder.path, model.folder / "m.gguf");
  GgufModel whole = readGgufModel(model.folder / "m.gguf");
  std::vector<GgufTensorInfo> infos;
  std::vector<std::span<const std::byte>> contents;
  int split = 0;
  for (const auto &[name, view] : whole.tensors) {
    size_t at = name.find("_exps.");
    if (at == std::string::npos) {
      infos.push_back({name, view.type, view.shape});
      contents.push_back(view.bytes);
      continue;
    }
    ASSERT_EQ(view.shape.size(), 3u);
    ++split;
    std::vector<int64_t> shape(view.shape.begin() + 1, view.shape.end());
    size_t bytes = view.bytes.size() / view.shape[0];
    for (int64_t expert = 0; expert < view.shape[0]; ++expert) {
      infos.push_back({fmt::format("{}.{}.weight", name.substr(0, at), expert), view.type, shape});
      contents.push_back(view.bytes.subspan(expert * bytes, bytes));
    }
  }
  EXPECT_EQ(split, 3 * 3);
  GgufWriter writer(model.folder / "pieces.gguf", whole.metadata, infos);
  for (std::span<const std::byte> content : contents)
    writer.write(content);
  writer.commit();
  expectValues(model.folder / "pieces.gguf", model);

  std::filesystem::path folder = model.folder / "folder";
  writeModelFolder(model.config, *openModelWeights(model.folder / "m.gguf"), nullptr, folder, {},
                   1 << 20);
  EXPECT_EQ(openWeights(folder)->find("model.layers.2.block_sparse_moe.experts.3.w3.weight")->shape,
            (std::vector<int64_t>{48, 32}));
  expectValues(folder, model);

  const QuantizationMix &mix = quantizationMix("q8_0");
  GgufModel source = convertToGguf(model.folder.path);
  for (const QuantizedTensor &tensor : planQuantization(source, mix, false))
    if (tensor.name == "blk.1.ffn_up_exps.weight") {
      EXPECT_EQ(tensor.bytesBefore, 4u * 4 * 48 * 32);
      EXPECT_EQ(tensor.bytes, 4u * 48 * 34);
    }
}

TEST(GgufModel, quantisedWeightsAreNotExpandedUnasked) {
  ModelFolder model(smallLlama);
  GgufModel source = convertToGguf(model.folder.path);
  const QuantizationMix &mix = quantizationMix("q8_0");
  quantize(source, mix, planQuantization(source, mix, false), model.folder / "m.gguf", 1);
  ModelConfig config = readModelConfig(model.folder / "m.gguf");
  auto weights = openModelWeights(model.folder / "m.gguf");
  std::filesystem::path folder = model.folder / "folder";
  try {
    writeModelFolder(config, *weights, nullptr, folder, {}, 1 << 20);
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("is Q8_0; give the type"));
  }
  writeModelFolder(config, *weights, nullptr, folder, TensorType::BF16, 1 << 20);
  EXPECT_EQ(openWeights(folder)->find("lm_head.weight")->type, TensorType::BF16);
}

TEST(GgufModel, configErrorsNameTheKey) {
  ModelFolder model(smallLlama);
  GgufMetadata good = writeGgufConfig(model.config, "m").metadata;
  EXPECT_EQ(errorOf(good), "no error");
  auto with = [&](const char *key, GgufValue value) {
    GgufMetadata changed = good;
    changed.set(key, std::move(value));
    return errorOf(changed);
  };
  using testing::HasSubstr;
  EXPECT_THAT(
      with("general.architecture", std::string("mamba")),
      HasSubstr("m.gguf': key 'general.architecture' is 'mamba', known are llama, gpt2, qwen2"));
  EXPECT_THAT(with("llama.block_count", 0u), HasSubstr("expected a whole number in [1, 4096]"));
  EXPECT_THAT(with("llama.block_count", GgufArray{std::vector<uint32_t>{1, 2}}),
              HasSubstr("key 'llama.block_count' is [1, 2] (array of u32)"));
  EXPECT_THAT(with("llama.attention.head_count", 5u), HasSubstr("must divide"));
  EXPECT_THAT(with("llama.vocab_size", 41u),
              HasSubstr("but tensor 'token_embd.weight' is [40, 32]"));
  EXPECT_THAT(with("llama.rope.scaling.type", std::string("odd")),
              HasSubstr("is 'odd', known are"));
  EXPECT_THAT(with("llama.rope.scaling.type", std::string("longrope")),
              HasSubstr("tensor 'rope_factors_long.weight' is missing"));
  EXPECT_THAT(with("llama.rope.scaling.factor", -2.0f), HasSubstr("is -2"));
  EXPECT_THAT(with("llama.attention.causal", false), HasSubstr("is 0; attention to later tokens"));
  EXPECT_THAT(with("llama.expert_count", 8u),
              HasSubstr("key 'llama.expert_used_count' is missing"));
  EXPECT_THAT(with("llama.rope.dimension_count", 9u),
              HasSubstr("expected a whole number in [2, 8]"));
  EXPECT_THAT(with("llama.attention.value_length", 4u), HasSubstr("only the keys' 8"));
  EXPECT_THAT(with("llama.attention.layer_norm_rms_epsilon", 0.0f), HasSubstr("above 0"));
  EXPECT_THAT(with("llama.attention.other", 4096u), HasSubstr("is not understood"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", 40u), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(errorOf(good, {40}), HasSubstr("has no tensor 'token_embd.weight' of shape"));
  EXPECT_THAT(errorOf(GgufMetadata("m")), HasSubstr("key 'general.architecture' is missing"));
}

TEST(GgufModel, whatExpertsCannotDoIsNamed) {
  using testing::HasSubstr;
  ModelFolder mixtral(smallMixtral), qwen(smallDecoder("qwen3", R"("tie_word_embeddings":true)"));
  GgufMetadata good = writeGgufConfig(mixtral.config, "m").metadata;
  EXPECT_EQ(errorOf(good), "no error");
  auto with = [&](const char *key, GgufValue value) {
    GgufMetadata changed = good;
    changed.set(key, std::move(value));
    return errorOf(changed);
  };
  EXPECT_EQ(with("llama.expert_gating_func", 1u), "no error");
  EXPECT_EQ(with("llama.expert_weights_scale", 1.0f), "no error");
  EXPECT_EQ(with("llama.expert_feed_forward_length", 48u), "no error");
  EXPECT_THAT(with("llama.expert_used_count", 5u), HasSubstr("expected a whole number in [1, 4]"));
  EXPECT_THAT(with("llama.expert_gating_func", 2u),
              HasSubstr("key 'llama.expert_gating_func' is 2; only softmax (1)"));
  EXPECT_THAT(with("llama.expert_weights_scale", 2.5f),
              HasSubstr("key 'llama.expert_weights_scale' is 2.5; scaled weights"));
  EXPECT_THAT(with("llama.expert_weights_norm", false),
              HasSubstr("key 'llama.expert_weights_norm' is false"));
  EXPECT_THAT(with("llama.expert_shared_count", 1u),
              HasSubstr("key 'llama.expert_shared_count' is 1; experts that all tokens share"));
  EXPECT_THAT(with("llama.expert_group_count", 4u),
              HasSubstr("key 'llama.expert_group_count' is 4; groups of experts"));
  EXPECT_THAT(with("llama.expert_feed_forward_length", 32u),
              HasSubstr("as wide as llama.feed_forward_length says: 48"));
  EXPECT_THAT(with("llama.experts_per_group", 2u), HasSubstr("is not understood"));
  good = writeGgufConfig(qwen.config, "m").metadata;
  EXPECT_THAT(with("qwen3.expert_count", 8u), HasSubstr("mixtures of experts"));
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
