// A tokenizer.json at work: added tokens, normalizer, pre-tokenizer, byte pair encoding, template.
#pragma once

#include "frontend/tokenizer/BpeModel.h"
#include "frontend/tokenizer/PreTokenizer.h"
#include "frontend/tokenizer/SpecialTokens.h"
#include "frontend/tokenizer/Tokenizer.h"

namespace lmc {

/// What the file says, ready for use.
struct TokenizerPlan {
  std::vector<NormalizeStep> normalizer;
  std::vector<PieceStep> preTokenizer;
  SpecialTokens rawTokens, normalizedTokens; // matched before and after the normalizer
  std::vector<std::string> tokenBytes;       // by id: what each decodes to within a text
  std::vector<bool> special;                 // by id
  std::vector<int32_t> prefix, suffix;       // the template around a text
  std::optional<int32_t> bos, eos;
  size_t leadingSpacesDropped = 0;
  bool cutsBeforeSpaces = false; // a text may be cut between a non-space and a space
  std::string json, configJson;
};

class BpeTokenizer : public Tokenizer {
public:
  BpeTokenizer(TokenizerPlan plan, BpeModel model)
      : plan(std::move(plan)), model(std::move(model)) {}

  std::vector<int32_t> encode(std::string_view text, bool addSpecial) const override;
  std::string tokenBytes(int32_t id) const override;
  int32_t vocabSize() const override { return int32_t(plan.tokenBytes.size()); }
  bool isSpecial(int32_t id) const override;
  std::optional<int32_t> bosId() const override { return plan.bos; }
  std::optional<int32_t> eosId() const override { return plan.eos; }
  std::string serialize() const override { return plan.json; }
  std::string serializeConfig() const override { return plan.configJson; }
  size_t leadingSpacesDropped() const override { return plan.leadingSpacesDropped; }
  size_t safeCut(std::string_view text) const override;
  void encodePart(std::string_view text, bool atStart, std::vector<int32_t> &ids) const override;

private:
  TokenizerPlan plan;
  BpeModel model;
  mutable PieceCache cache;
};

} // namespace lmc
