// Text to token ids and back: the narrow interface that training and serving see, and the ways to
// get one: `byte`, a `tokenizer.json` (byte-level BPE, SentencePiece-style BPE, Unigram, WordPiece,
// WordLevel), a SentencePiece `tokenizer.model`.
//
// Bytes that are not UTF-8 are part of no word and match no pattern. Byte-level BPE gives their exact
// ids and gets them back; kinds with byte tokens ("<0xE2>") give each its byte token; in the others
// they are the unknown token, as every character outside the vocabulary, or an Error where there is
// none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

/// How far the decoding of one text has come.
struct DecodeState {
  bool continuesText = false; // the tokens follow a text: nothing is dropped at their start
  bool begun = false;
  size_t stripped = 0;            // characters dropped so far
  std::string held;               // bytes that the text's end may lose
  std::optional<int32_t> waiting; // a token whose bytes depend on whether another follows
};

/// Immutable; every member may be called from several threads at once.
class Tokenizer {
public:
  virtual ~Tokenizer() = default;

  /// Ids of a whole text of any bytes. Special tokens written in the text are recognised. addSpecial: put what the tokenizer's
  /// template adds (BOS, EOS) around it. Error where the vocabulary cannot express the text.
  virtual std::vector<int32_t> encode(std::string_view text, bool addSpecial) const = 0;

  /// The bytes that a token stands for within a text. Error if id is not in [0, vocabSize).
  virtual std::string tokenBytes(int32_t id) const = 0;

  virtual int32_t vocabSize() const = 0;
  virtual bool isSpecial(int32_t id) const { return false; }
  virtual std::optional<int32_t> bosId() const { return std::nullopt; }
  virtual std::optional<int32_t> eosId() const { return std::nullopt; }

  /// tokenizer.json and tokenizer_config.json; parseTokenizer of both gives an equal tokenizer.
  virtual std::string serialize() const = 0;
  virtual std::string serializeConfig() const { return "{}"; }

  /// Appends to bytes what a token adds to a text, and what is left when no more follow. A token's
  /// bytes may come one call later. Error if id is not in [0, vocabSize).
  virtual void decodeNext(int32_t id, DecodeState &state, std::string &bytes) const;
  virtual void decodeEnd(DecodeState &state, std::string &bytes) const {}

  /// For texts that do not fit into memory. safeCut: the largest known n > 0 such that encoding
  /// text[0, n) and text[n, end) one after the other with encodePart gives the ids of the whole,
  /// whatever follows text; 0 if there is none. Only what stands around the cut counts, so that the
  /// newest part of a long text may be given alone. encodePart appends to ids, without BOS and EOS;
  /// atStart: text begins a document.
  virtual size_t safeCut(std::string_view text) const { return 0; }
  virtual void encodePart(std::string_view text, bool atStart, std::vector<int32_t> &ids) const;

  /// Exact bytes of a whole text. skipSpecial leaves special tokens out.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial = false) const;
};

/// Decodes tokens as they are generated. What it returns is always valid UTF-8: an unfinished
/// character waits for its remaining bytes, bytes that can never be one become U+FFFD. The pieces
/// together are decode() of all ids (made valid).
class StreamDecoder {
public:
  /// continuesText: the tokens follow a prompt, so a leading space is part of the text.
  explicit StreamDecoder(const Tokenizer &tokenizer, bool continuesText = false,
                         bool skipSpecial = true);

  std::string push(int32_t id);
  /// The rest, after the last token.
  std::string finish();

private:
  std::string takeComplete();

  const Tokenizer &tokenizer;
  DecodeState state;
  bool skipSpecial;
  std::string pending; // ends in an unfinished character
};

/// `byte`, a tokenizer.json, a SentencePiece model (any other file name), or a folder that holds
/// tokenizer.json or else tokenizer.model. A tokenizer_config.json beside it decides about BOS and
/// EOS. Everything in the files that would change ids and is not understood is an Error that names
/// the file and the place in it.
std::unique_ptr<Tokenizer> loadTokenizer(const std::string &nameOrPath);

/// Whether a folder holds a tokenizer.json or a tokenizer.model.
bool holdsTokenizer(const std::filesystem::path &folder);

/// configJson: the text of tokenizer_config.json or empty. name: for errors.
std::unique_ptr<Tokenizer> parseTokenizer(std::string_view json, std::string_view configJson = {},
                                          std::string_view name = "tokenizer.json");

/// 256 ids that are the bytes.
std::unique_ptr<Tokenizer> makeByteTokenizer();

/// The next piece of the training text; false at the end. A document may come in many pieces.
struct TextPiece {
  std::string text;
  bool endsDocument = false;
};
using TextSource = std::function<bool(TextPiece &)>;

/// Byte-level BPE with GPT-2's pre-tokenizer. Ids: specialTokens, the 256 bytes in GPT-2's order,
/// then merges, most frequent pair first and the lowest pair of ids among equals; exactly what
/// Hugging Face's BpeTrainer finds. Ends early if no pair is left. Error if vocabSize is below 256
/// + specialTokens.
std::unique_ptr<Tokenizer> trainBpe(const TextSource &source, int32_t vocabSize,
                                    const std::vector<std::string> &specialTokens = {});

} // namespace lmc
