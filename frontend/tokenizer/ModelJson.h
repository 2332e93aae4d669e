// The member "model" of a tokenizer.json. Private to this folder.
#pragma once

#include "frontend/tokenizer/JsonFields.h"
#include "frontend/tokenizer/TokenModel.h"

#include <memory>

namespace lmc::tokenizer_json {

/// Tokens as the file spells them.
struct Vocabulary {
  std::vector<std::string> spelling; // by id
  std::vector<bool> used;            // by id
  StringMap<int32_t> ids;

  void resize(size_t size);
  /// where: for the Error if the id is taken.
  void add(const std::string &token, int32_t id, const Field &where);
};

struct ModelParts {
  std::unique_ptr<const TokenModel> model;
  Vocabulary vocabulary;
};

/// byteLevel: pieces are bytes, and tokens are spelled as GPT-2 does. Error naming a type or an
/// option that is not understood.
ModelParts readModel(const Field &node, bool byteLevel);

} // namespace lmc::tokenizer_json
