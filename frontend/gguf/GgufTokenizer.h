// The tokenizer inside a GGUF file, and its way from and to Hugging Face's tokenizer.json.
//   Source: ggml-org/ggml, docs/gguf.md, "Tokenizer".
#pragma once

#include "frontend/checkpoint/GgufMetadata.h"
#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// tokenizer.ggml.*, as the file has it; everything may be missing.
struct GgufTokenizer {
  enum TokenType { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

  /// "gpt2": byte-level BPE; "llama": SentencePiece's BPE by scores; "t5": its unigram model; "bert":
  /// WordPiece; others.
  std::string model;
  std::string pre; ///< of gpt2: how text is cut into pieces, "gpt-2", "llama-bpe", ...
  std::vector<std::string> tokens, merges; ///< merges: "left right", the most frequent first
  std::vector<float> scores;               ///< of each token, or none
  std::vector<int32_t> types;              ///< TokenType of each token, or none
  std::optional<int64_t> bos, eos, eot, eom, unknown, padding;
  std::optional<int64_t> classifier, separator; ///< of bert: what stands around a text
  std::optional<bool> addBos, addEos, addSpacePrefix, removeExtraSpaces;
  std::string charsmap; ///< SentencePiece's normalizer
  std::string chatTemplate;
  std::string huggingFaceJson; ///< tokenizer.json, word for word
};

/// Error naming the key where a value has the wrong type, lists differ in length or an id is no
/// token's.
GgufTokenizer readGgufTokenizer(const GgufMetadata &metadata);
void writeGgufTokenizer(const GgufTokenizer &tokenizer, GgufMetadata &metadata);

/// huggingFaceJson where there is one, else what model, tokens and merges or scores say; where a key
/// is left out, its default is llama.cpp's. `name`: for errors. Throws Error where no tokenizer is
/// inside or its kind, or its way to cut text, is unknown.
std::unique_ptr<Tokenizer> makeTokenizer(const GgufTokenizer &tokenizer, const std::string &name);

/// The tokenizer of a folder, tokenizer.json or tokenizer.model; empty without one. tokenizer.json
/// comes along as huggingFaceJson in any case, since lists cannot say everything (tokens that take
/// spaces around them along, normal forms). Of a tokenizer that llama.cpp has no kind or name for,
/// only huggingFaceJson tells: model is empty.
GgufTokenizer convertTokenizer(const std::filesystem::path &folder);

} // namespace lmc
