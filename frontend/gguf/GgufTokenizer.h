// The tokenizer inside a GGUF file, and its way from and to Hugging Face's tokenizer.json.
//   Source: ggml-org/ggml, docs/gguf.md, "Tokenizer".
#pragma once

#include "frontend/checkpoint/GgufMetadata.h"

namespace lmc {

/// tokenizer.ggml.*, as the file has it; everything may be missing.
struct GgufTokenizer {
  enum TokenType { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

  std::string model; ///< "gpt2": byte-level BPE; "llama": SentencePiece's BPE by scores; others
  std::string pre;   ///< of gpt2: how text is cut into pieces, "gpt-2", "llama-bpe", ...
  std::vector<std::string> tokens, merges; ///< merges: "left right", the most frequent first
  std::vector<float> scores;               ///< of each token, or none
  std::vector<int32_t> types;              ///< TokenType of each token, or none
  std::optional<int64_t> bos, eos, eot, unknown, padding;
  std::optional<bool> addBos, addEos, addSpacePrefix;
  std::string chatTemplate;
  std::string huggingFaceJson; ///< tokenizer.json, word for word
};

/// Error naming the key where a value has the wrong type, lists differ in length or an id is no
/// token's.
GgufTokenizer readGgufTokenizer(const GgufMetadata &metadata);
void writeGgufTokenizer(const GgufTokenizer &tokenizer, GgufMetadata &metadata);

/// tokenizer.json and tokenizer_config.json that give the same ids: huggingFaceJson where there is
/// one, else what model, tokens and merges or scores say. Throws Error where no tokenizer is inside
/// or its kind has no such form.
struct TokenizerTexts {
  std::string json, configJson;
};
TokenizerTexts tokenizerTexts(const GgufTokenizer &tokenizer);

/// The other way, from a folder; empty without tokenizer.json. Of a kind that GGUF cannot express
/// only huggingFaceJson tells, model is empty.
GgufTokenizer convertTokenizer(const std::filesystem::path &folder);

} // namespace lmc
