// The members "normalizer" and "pre_tokenizer" of a tokenizer.json. Private to this folder.
#pragma once

#include "frontend/tokenizer/JsonFields.h"
#include "frontend/tokenizer/PreTokenizer.h"

namespace lmc::tokenizer_json {

struct PieceSteps {
  std::vector<NormalizeStep> normalizer;
  std::vector<PieceStep> preTokenizer;
  std::vector<std::string> patterns; // of the Split steps, as written
  bool byteLevel = false;            // the model sees bytes, not characters
};

/// Error naming a step that is not understood.
PieceSteps readPieceSteps(const Json &normalizer, const Json &preTokenizer);

} // namespace lmc::tokenizer_json
