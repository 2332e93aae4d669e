#include "frontend/tokenizer/SentencePieceFile.h"

#include "frontend/tokenizer/SentencePiece.pb.h"
#include "frontend/tokenizer/VocabularyTokenizer.h"
#include "runtime/Error.h"

namespace lmc {

static VocabularyParts partsOf(const sentencepiece::Model &model) {
  VocabularyParts parts;
  for (const sentencepiece::Model::Piece &piece : model.pieces()) {
    if (piece.type() < int(PieceType::Normal) || piece.type() > int(PieceType::Byte))
      fail("piece {} has the unknown type {}", parts.tokens.size(), piece.type());
    parts.tokens.push_back(piece.piece());
    parts.scores.push_back(piece.score());
    parts.types.push_back(PieceType(piece.type()));
  }
  auto idOf = [](int32_t id) { return id < 0 ? std::nullopt : std::optional(id); };
  parts.unknownId = idOf(model.trainer_spec().unk_id());
  parts.bosId = idOf(model.trainer_spec().bos_id());
  parts.eosId = idOf(model.trainer_spec().eos_id());
  return parts;
}

static std::unique_ptr<Tokenizer> parse(std::string_view bytes, std::string_view configJson) {
  sentencepiece::Model model;
  if (!model.ParseFromArray(bytes.data(), int(bytes.size())) || model.pieces().empty())
    fail("is no SentencePiece model");
  if (model.trainer_spec().treat_whitespace_as_suffix())
    fail("trainer_spec.treat_whitespace_as_suffix is not supported");
  if (!model.normalizer_spec().escape_whitespaces())
    fail("normalizer_spec.escape_whitespaces must be true");
  SentencePieceNormalizer normalizer{model.normalizer_spec().precompiled_charsmap(),
                                     model.normalizer_spec().add_dummy_prefix(),
                                     model.normalizer_spec().remove_extra_whitespaces()};
  constexpr int unigram = 1, bpe = 2;
  std::unique_ptr<Tokenizer> result;
  if (model.trainer_spec().model_type() == unigram)
    result = makeUnigram(partsOf(model), normalizer);
  else if (model.trainer_spec().model_type() == bpe)
    result = makeSentencePieceBpe(partsOf(model), normalizer);
  else
    fail("trainer_spec.model_type {} is not supported (known: 1 unigram, 2 bpe)",
         model.trainer_spec().model_type());
  return configJson.empty() ? std::move(result) : parseTokenizer(result->serialize(), configJson);
}

std::unique_ptr<Tokenizer> parseSentencePiece(std::string_view bytes, std::string_view configJson,
                                              std::string_view name) {
  try {
    return parse(bytes, configJson);
  } catch (const Error &error) {
    fail("'{}': {}", name, error.what());
  }
}

} // namespace lmc
