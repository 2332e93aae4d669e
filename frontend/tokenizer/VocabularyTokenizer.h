// Tokenizers from the parts that other file formats hold: a GGUF file's metadata, a SentencePiece
// model. The parts become a tokenizer.json, so the result is checked, saved and loaded as any other.
#pragma once

#include "frontend/tokenizer/BytePreTokenizers.h"
#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// SentencePiece's numbers, which GGUF's tokenizer.ggml.token_type uses too.
enum class PieceType { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

struct VocabularyParts {
  /// By id. In byte-level vocabularies as GPT-2 spells bytes, in SentencePiece's with "▁" for a
  /// space; for WordPiece see makeWordPiece.
  std::vector<std::string> tokens;
  std::vector<float> scores;       ///< by id; empty where the kind has none
  std::vector<PieceType> types;    ///< by id; empty: all Normal
  std::vector<std::string> merges; ///< "left right", by rank; byte-level BPE only
  std::optional<int32_t> unknownId, bosId, eosId, padId; ///< BERT: bosId is [CLS], eosId is [SEP]
  bool addBos = false, addEos = false;
  std::string chatTemplate; ///< goes into tokenizer_config.json
};

/// SentencePiece's normalizer.
struct SentencePieceNormalizer {
  std::string charsmap;           ///< empty: none
  bool addSpacePrefix = true;     ///< a space before a text that is not empty
  bool removeExtraSpaces = false; ///< at both ends, and all but one of several
};

/// All: Error naming the token or field that is wrong (sizes that differ, ids out of range, a score
/// that is not finite).

/// Byte pair encoding by the scores of what a merge gives (GGUF "llama"): the highest first, the
/// leftmost among equals. Characters without a token become byte tokens where those of all their bytes
/// are there.
std::unique_ptr<Tokenizer> makeSentencePieceBpe(const VocabularyParts &parts,
                                                const SentencePieceNormalizer &normalizer);

/// SentencePiece's unigram model (GGUF "t5").
std::unique_ptr<Tokenizer> makeUnigram(const VocabularyParts &parts,
                                       const SentencePieceNormalizer &normalizer);

/// Byte-level BPE (GGUF "gpt2"). Control and user-defined tokens are found in a text before anything
/// else.
std::unique_ptr<Tokenizer> makeByteLevelBpe(const VocabularyParts &parts,
                                            const BytePreTokenizer &preTokenizer);

/// BERT's WordPiece (GGUF "bert"), without capitals and accents. phantomSpaces: tokens are spelled
/// as GGUF does, "▁word" and "ly", not as BERT does, "word" and "##ly".
std::unique_ptr<Tokenizer> makeWordPiece(const VocabularyParts &parts, bool phantomSpaces);

} // namespace lmc
