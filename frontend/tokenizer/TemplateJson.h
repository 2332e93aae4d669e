// What stands around a text: the member "post_processor" of a tokenizer.json, and the tokens that
// tokenizer_config.json names. Private to this folder.
#pragma once

#include "frontend/tokenizer/ModelJson.h"

#include <optional>

namespace lmc::tokenizer_json {

struct Template {
  std::vector<int32_t> prefix, suffix;
  std::optional<int32_t> bos, eos;
};

/// Error naming a component that is not understood, or a token that is not in the vocabulary.
Template readPostProcessor(const Field &node, const Vocabulary &vocabulary);

/// Names that models use when no tokenizer_config.json says it. added: the added tokens.
void guessBosAndEos(const StringMap<int32_t> &added, Template &result);

/// bos_token, eos_token, add_bos_token, add_eos_token: where they are given they decide, whatever
/// the post_processor says. ids: of all tokens.
void readConfig(const Field &config, const StringMap<int32_t> &ids, Template &result);

} // namespace lmc::tokenizer_json
