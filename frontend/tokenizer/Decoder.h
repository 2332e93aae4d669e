// The decoder of a tokenizer.json: from tokens to the bytes of a text. Private to this folder.
#pragma once

#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Tokenizer.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lmc {

class Decoder {
public:
  // What is done to each token by itself, in order.
  struct ByteLevel {};    // GPT-2's spelling to bytes
  struct ByteFallback {}; // "<0x0A>" to the byte 10
  struct Replace {
    std::string from, to;
  };
  struct ReplaceMatches {
    std::shared_ptr<const SplitPattern> pattern;
    std::string to;
  };
  struct Metaspace {
    std::string replacement;
    bool dropAtStart; // the spaces of the first token
  };
  struct WordPiece { // a space before each token but the first and those with the prefix
    std::string prefix;
    bool cleanUp; // no space before punctuation
  };
  struct Strip { // up to start characters `content` at the beginning, up to stop at the end
    std::string content;
    size_t start, stop;
  };
  using TokenStep =
      std::variant<ByteLevel, ByteFallback, Replace, ReplaceMatches, Metaspace, WordPiece, Strip>;

  struct Steps {
    std::vector<TokenStep> ofTokens;
    std::string wordSuffix;           // "</w>": a space, at the end of a text nothing; "": none
    std::optional<Strip> ofWholeText; // of all tokens, joined
  };

  Decoder() = default;
  /// tokens by id. asTheyAre: by id, tokens that ByteLevel leaves alone.
  Decoder(Steps steps, std::vector<std::string> tokens, std::vector<bool> asTheyAre);

  /// What a token adds within a text.
  const std::string &bytesOf(int32_t id) const { return withinText[id]; }
  size_t numTokens() const { return tokens.size(); }

  void next(int32_t id, DecodeState &state, std::string &bytes) const;
  void finish(DecodeState &state, std::string &bytes) const;

private:
  std::string decodeToken(int32_t id, bool first, bool last) const;
  void append(std::string_view text, DecodeState &state, std::string &bytes) const;

  Steps steps;
  std::vector<std::string> tokens, withinText;
  std::vector<bool> asTheyAre;
  bool firstDiffers = false; // a text's first token may decode to something else
};

} // namespace lmc
