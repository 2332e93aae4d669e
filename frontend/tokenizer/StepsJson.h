// The members "normalizer", "pre_tokenizer" and "decoder" of a tokenizer.json. Each is an Error that
// names the component where it is not understood. Private to this folder.
#pragma once

#include "frontend/tokenizer/Decoder.h"
#include "frontend/tokenizer/JsonFields.h"
#include "frontend/tokenizer/Normalizer.h"
#include "frontend/tokenizer/PreTokenizer.h"

namespace lmc::tokenizer_json {

std::vector<NormalizeStep> readNormalizer(const Field &node);

struct PieceSteps {
  std::vector<PieceStep> list;
  bool byteLevel = false;        // the model sees bytes, not characters
  bool cutsBeforeSpaces = false; // no piece reaches across "x| " (x: a visible ASCII character)
};
PieceSteps readPreTokenizer(const Field &node);

/// byteLevel: what a missing decoder means.
Decoder::Steps readDecoder(const Field &node, bool byteLevel);

/// {"String": s} or {"Regex": r}.
struct Pattern {
  bool isRegex = false;
  std::string text;
  std::shared_ptr<const SplitPattern> compile() const;
};
Pattern readPattern(const Field &node);

} // namespace lmc::tokenizer_json
