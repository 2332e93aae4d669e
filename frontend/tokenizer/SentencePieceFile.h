// Reads a SentencePiece model (`tokenizer.model`) as a tokenizer.json of the same meaning. Private to
// this folder.
#pragma once

#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// bytes: the file. configJson, name: as for parseTokenizer. Control symbols written in a text are
/// recognised, which SentencePiece itself leaves to its caller. Error for the kinds `word` and
/// `char`, and for spaces at the ends of words.
std::unique_ptr<Tokenizer> parseSentencePiece(std::string_view bytes, std::string_view configJson,
                                              std::string_view name);

} // namespace lmc
