// A small model folder with random weights.
#pragma once

#include "../checkpoint/TemporaryFolder.h"
#include "frontend/Weights.h"

namespace lmc {

struct ModelFolder {
  TemporaryFolder folder;
  ModelConfig config;
  std::vector<ParameterSpec> parameters;
  std::vector<std::vector<float>> values; // of each parameter

  explicit ModelFolder(const std::string &configJson) {
    folder.write("config.json", configJson);
    config = readModelConfig(folder.path);
    parameters = parametersOf(config);
    std::vector<NamedTensor> tensors;
    for (const ParameterSpec &parameter : parameters) {
      int64_t count = 1;
      for (int64_t extent : parameter.shape)
        count *= extent;
      ParameterSpec random = parameter;
      random.initDeviation = 0.5; // norms and biases too
      initialiseParameter(random, 3, values.emplace_back(count));
    }
    for (size_t i = 0; i < parameters.size(); ++i)
      tensors.push_back(
          {parameters[i].name,
           {TensorType::F32, parameters[i].shape, std::as_bytes(std::span(values[i]))}});
    writeSafetensors(folder / "model.safetensors", tensors);
  }
};

inline const char *smallLlama = R"({"model_type":"llama","hidden_size":32,"intermediate_size":96,
    "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":40,
    "max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":12345.5,"bos_token_id":1,
    "eos_token_id":[2,3],"tie_word_embeddings":false})";
/// A model_type with four heads of 8 features and more keys.
inline std::string smallDecoder(const std::string &type, const std::string &keys) {
  return R"({"hidden_size":32,"intermediate_size":48,"num_hidden_layers":3,"num_attention_heads":4,
    "num_key_value_heads":2,"head_dim":8,"vocab_size":40,"max_position_embeddings":64,
    "rms_norm_eps":1e-6,"bos_token_id":1,"eos_token_id":2,"model_type":")" +
         type + "\"," + keys + "}";
}
inline const char *smallGpt2 = R"({"model_type":"gpt2","n_embd":32,"n_layer":2,"n_head":4,
    "vocab_size":40,"n_positions":64})";

} // namespace lmc
