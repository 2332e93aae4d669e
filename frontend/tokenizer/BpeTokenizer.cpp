#include "frontend/tokenizer/BpeTokenizer.h"

#include "runtime/Error.h"

namespace lmc {

std::vector<int32_t> BpeTokenizer::encode(std::string_view text, bool addSpecial) const {
  std::vector<int32_t> ids;
  if (addSpecial)
    ids = plan.prefix;
  encodePart(text, true, ids);
  if (addSpecial)
    ids.insert(ids.end(), plan.suffix.begin(), plan.suffix.end());
  return ids;
}

void BpeTokenizer::encodePart(std::string_view text, bool atStart,
                              std::vector<int32_t> &ids) const {
  PieceCache::Use pieceIds(cache);
  Pieces pieces;
  for (const SpecialTokens::Segment &raw : plan.rawTokens.split(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    bool first = raw.text.data() == text.data();
    std::string normalized;
    std::string_view segment = raw.text;
    if (!plan.normalizer.empty())
      segment = normalized = normalize(plan.normalizer, raw.text, atStart || !first);
    for (const SpecialTokens::Segment &part : plan.normalizedTokens.split(segment)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      bool begins = atStart && first && part.text.data() == segment.data();
      preTokenize(plan.preTokenizer, part.text, begins, pieces);
      for (std::string_view piece : pieces.list)
        pieceIds.encode(model, piece, ids);
      pieces.owned.clear();
    }
  }
}

std::string BpeTokenizer::tokenBytes(int32_t id) const {
  if (id < 0 || id >= vocabSize())
    fail("token id {} is not in the vocabulary of {} tokens", id, vocabSize());
  return plan.tokenBytes[id];
}

bool BpeTokenizer::isSpecial(int32_t id) const {
  return id >= 0 && id < vocabSize() && plan.special[id];
}

size_t BpeTokenizer::safeCut(std::string_view text) const {
  if (!plan.cutsBeforeSpaces)
    return 0;
  // Text after an added token is normalised afresh, which a part that begins there would not be.
  size_t at = lastCutBeforeSpace(text);
  while (at > 0 && plan.rawTokens.mayEndWith(text[at - 1]))
    at = lastCutBeforeSpace(text.substr(0, at));
  return at;
}

} // namespace lmc
