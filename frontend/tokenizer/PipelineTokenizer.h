// A tokenizer.json at work: added tokens, normalizer, pre-tokenizer, model, template, decoder. Private
// to this folder.
#pragma once

#include "frontend/tokenizer/Decoder.h"
#include "frontend/tokenizer/Normalizer.h"
#include "frontend/tokenizer/PieceCache.h"
#include "frontend/tokenizer/PreTokenizer.h"
#include "frontend/tokenizer/SpecialTokens.h"
#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// What the file says, ready for use.
struct TokenizerPlan {
  std::vector<NormalizeStep> normalizer;
  std::vector<PieceStep> preTokenizer;
  std::unique_ptr<const TokenModel> model;
  Decoder decoder;
  SpecialTokens rawTokens, normalizedTokens; // matched before and after the normalizer
  std::vector<bool> special;                 // by id
  std::vector<int32_t> prefix, suffix;       // the template around a text
  std::optional<int32_t> bos, eos;
  bool cutsBeforeSpaces = false; // a text may be cut between a non-space and a space
  std::string json, configJson;
};

class PipelineTokenizer : public Tokenizer {
public:
  explicit PipelineTokenizer(TokenizerPlan plan) : plan(std::move(plan)) {}

  std::vector<int32_t> encode(std::string_view text, bool addSpecial) const override;
  std::string tokenBytes(int32_t id) const override;
  int32_t vocabSize() const override { return int32_t(plan.decoder.numTokens()); }
  bool isSpecial(int32_t id) const override;
  std::optional<int32_t> bosId() const override { return plan.bos; }
  std::optional<int32_t> eosId() const override { return plan.eos; }
  std::string serialize() const override { return plan.json; }
  std::string serializeConfig() const override { return plan.configJson; }
  void decodeNext(int32_t id, DecodeState &state, std::string &bytes) const override;
  void decodeEnd(DecodeState &state, std::string &bytes) const override;
  size_t safeCut(std::string_view text) const override;
  void encodePart(std::string_view text, bool atStart, std::vector<int32_t> &ids) const override;

private:
  void encodeWindow(std::string_view text, bool atStart, PieceCache::Use &pieceIds,
                    std::vector<int32_t> &ids) const;
  void checkId(int32_t id) const;

  TokenizerPlan plan;
  mutable PieceCache cache;
};

} // namespace lmc
